package fingerprint

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec/podtest"
)

// fullPod is a Pod into which a container, an init container and a volume with
// every field set were injected.
func fullPod(t testing.TB) []byte {
	t.Helper()
	injected, initial := podtest.Full[corev1.Container](), podtest.Full[corev1.Container]()
	injected.Name, initial.Name = "proxy", "init"
	pod := podtest.Tree(t, map[string]any{
		"metadata": map[string]any{"name": "web-0", "managedFields": []any{map[string]any{
			"operation": "Update",
			"fieldsV1":  json.RawMessage(`{"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{".":{},"f:name":{},"f:image":{}}}}}`),
		}}},
		"spec": corev1.PodSpec{
			InitContainers: []corev1.Container{initial},
			Containers:     []corev1.Container{{Name: "app", Image: "i"}, injected},
			Volumes:        []corev1.Volume{podtest.Full[corev1.Volume]()},
		},
	})
	return podtest.JSON(t, pod)
}

// rewrite encodes the value in one of its many ways: keys in any order, any
// white space, any escapes, keyed lists in any order.
func rewrite(dst *bytes.Buffer, r *rand.Rand, field string, value any) {
	space := func() { dst.WriteString([]string{"", "", " ", "\n\t"}[r.IntN(4)]) }
	space()
	switch value := value.(type) {
	case map[string]any:
		keys := slices.Sorted(maps.Keys(value))
		r.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		dst.WriteByte('{')
		for i, key := range keys {
			if i > 0 {
				dst.WriteByte(',')
			}
			rewrite(dst, r, "", key)
			dst.WriteByte(':')
			rewrite(dst, r, key, value[key])
		}
		dst.WriteByte('}')
	case []any:
		items := slices.Clone(value)
		switch field {
		case "env", "volumeMounts", "volumes", "ports", "volumeDevices", "claims", "bindMountOptions", "managedFields":
			r.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
		}
		dst.WriteByte('[')
		for i, item := range items {
			if i > 0 {
				dst.WriteByte(',')
			}
			rewrite(dst, r, "", item)
		}
		dst.WriteByte(']')
	case string:
		dst.WriteByte('"')
		for _, c := range value {
			if c < 0x20 || c == '"' || c == '\\' || c < 0x80 && r.IntN(8) == 0 {
				fmt.Fprintf(dst, `\u%04x`, c)
			} else {
				dst.WriteRune(c)
			}
		}
		dst.WriteByte('"')
	default:
		encoded, err := json.Marshal(value)
		if err != nil {
			panic(err)
		}
		dst.Write(encoded)
	}
	space()
}

func decode(t *testing.T, src []byte) map[string]any {
	t.Helper()
	var tree map[string]any
	if err := json.Unmarshal(src, &tree); err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestEncodingDoesNotMatter(t *testing.T) {
	for name, src := range map[string][]byte{"live": podtest.Live, "fresh": podtest.Fresh, "ssa": []byte(ssaPod), "full": fullPod(t)} {
		want, tree := of(t, src), decode(t, src)
		for seed := range uint64(30) {
			var form bytes.Buffer
			rewrite(&form, rand.New(rand.NewPCG(seed, 0)), "", tree)
			if diff := cmp.Diff(want, of(t, form.Bytes())); diff != "" {
				t.Errorf("%s, seed %d: %s", name, seed, diff)
			}
		}
		var pod corev1.Pod
		if err := json.Unmarshal(src, &pod); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, of(t, podtest.JSON(t, pod))); diff != "" {
			t.Errorf("%s, decoded and encoded as a Pod: %s", name, diff)
		}
	}
}

func spec(tree map[string]any) map[string]any { return tree["spec"].(map[string]any) }

func container(t *testing.T, tree map[string]any, list, name string) map[string]any {
	t.Helper()
	for _, item := range spec(tree)[list].([]any) {
		if c := item.(map[string]any); c["name"] == name {
			return c
		}
	}
	t.Fatalf("no %s %s", list, name)
	return nil
}

func annotations(tree map[string]any) map[string]any {
	metadata := tree["metadata"].(map[string]any)
	if metadata["annotations"] == nil {
		metadata["annotations"] = map[string]any{}
	}
	return metadata["annotations"].(map[string]any)
}

func TestNoiseDoesNotMatter(t *testing.T) {
	mount := map[string]any{"name": "kube-api-access-zzzzz", "mountPath": "/other", "readOnly": true}
	for name, noise := range map[string]func(map[string]any){
		"stamp": func(p map[string]any) { annotations(p)[StampAnnotation] = "v1:forged" },
		"parts": func(p map[string]any) { annotations(p)[PartsAnnotation] = "{}" },
		"placement": func(p map[string]any) {
			maps.Copy(spec(p), map[string]any{
				"nodeName": "n", "priority": 7, "priorityClassName": "high", "preemptionPolicy": "Never",
				"tolerations": []any{map[string]any{"key": "k"}}, "overhead": map[string]any{"cpu": "1"},
				"nodeSelector": map[string]any{"a": "b"}, "serviceAccount": "a", "serviceAccountName": "a",
				"imagePullSecrets": []any{map[string]any{"name": "s"}}, "enableServiceLinks": false,
				"hostname": "h", "subdomain": "s", "schedulingGates": []any{map[string]any{"name": "g"}},
				"ephemeralContainers": []any{map[string]any{"name": "debugger"}},
			})
		},
		"status": func(p map[string]any) { p["status"] = map[string]any{"phase": "Failed"} },
		"token": func(p map[string]any) {
			for _, list := range []string{"containers", "initContainers"} {
				for _, item := range spec(p)[list].([]any) {
					c := item.(map[string]any)
					mounts, _ := c["volumeMounts"].([]any)
					c["volumeMounts"] = append(slices.Clone(mounts), mount)
				}
			}
			spec(p)["volumes"] = append(slices.Clone(spec(p)["volumes"].([]any)), map[string]any{"name": "kube-api-access-zzzzz"})
		},
		"limits of the app": func(p map[string]any) {
			if p["metadata"].(map[string]any)["name"] != "web-0" {
				return // of the real Pods the app is owned with all its resources
			}
			annotations(p)["kubernetes.io/limit-ranger"] = "LimitRanger plugin set: cpu request for container app; memory limit for container app"
			container(t, p, "containers", "app")["resources"] = map[string]any{
				"requests": map[string]any{"cpu": "1"}, "limits": map[string]any{"memory": "1"},
			}
		},
		"defaults": func(p map[string]any) {
			for _, list := range []string{"containers", "initContainers"} {
				for _, item := range spec(p)[list].([]any) {
					c := item.(map[string]any)
					for field, value := range map[string]any{"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File", "securityContext": map[string]any{}, "resources": map[string]any{}} {
						if c[field] == nil {
							c[field] = value
						}
					}
				}
			}
			maps.Copy(spec(p), map[string]any{"dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "default-scheduler", "terminationGracePeriodSeconds": 30})
		},
		"DaemonSet's affinity": func(p map[string]any) {
			metadata := p["metadata"].(map[string]any)
			metadata["ownerReferences"] = []any{map[string]any{"kind": "DaemonSet", "controller": true}}
			spec(p)["affinity"] = map[string]any{"nodeAffinity": map[string]any{"requiredDuringSchedulingIgnoredDuringExecution": map[string]any{}}}
		},
	} {
		for pod, src := range map[string][]byte{"live": podtest.Live, "full": fullPod(t)} {
			tree := decode(t, src)
			before := of(t, src)
			noise(tree)
			after := of(t, podtest.JSON(t, tree))
			if name == "limits of the app" {
				before.Parts = withoutMetadata(before.Parts)
				after.Parts = withoutMetadata(after.Parts)
			}
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("%s on %s: %s", name, pod, diff)
			}
		}
	}
}

func withoutMetadata(parts []Part) []Part {
	return slices.DeleteFunc(parts, func(p Part) bool { return p.Name == metadataPart })
}

// TestOwnNameDoesNotMatter: two Pods of a StatefulSet differ in it.
func TestOwnNameDoesNotMatter(t *testing.T) {
	src := string(fullPod(t))
	src = strings.Replace(src, `"image":"v`, `"image":"web-0/v`, 1)
	other := strings.ReplaceAll(src, "web-0", "web-17")
	if diff := cmp.Diff(of(t, []byte(src)), of(t, []byte(other))); diff != "" {
		t.Error(diff)
	}
}

// TestMetadataIsNotInTheStamp: it is recorded as a part.
func TestMetadataIsNotInTheStamp(t *testing.T) {
	tree := decode(t, fullPod(t))
	before := of(t, podtest.JSON(t, tree))
	annotations(tree)["injected"] = "x"
	after := of(t, podtest.JSON(t, tree))
	if before.Stamp != after.Stamp || len(before.Parts)+1 != len(after.Parts) {
		t.Errorf("%v and %v", before, after)
	}
}

// TestEveryChangeMatters changes every value of the injected parts, one at a
// time: the stamp changes, and exactly the part that holds the value.
func TestEveryChangeMatters(t *testing.T) {
	tree := decode(t, fullPod(t))
	want := of(t, podtest.JSON(t, tree))
	changes := 0
	check := func(part string) func(podtest.Change) {
		return func(change podtest.Change) {
			changes++
			got := of(t, podtest.JSON(t, tree))
			if got.Stamp == want.Stamp {
				t.Errorf("%s in %s: the stamp is as before", change.What, part)
			}
			if changed := changedParts(want, got); !slices.Equal(changed, []string{part}) {
				t.Errorf("%s in %s: changed %s", change.What, part, changed)
			}
		}
	}
	for list, name := range map[string]string{"containers": "proxy", "initContainers": "init"} {
		podtest.Changes(container(t, tree, list, name), check(strings.TrimSuffix(list, "s")+"/"+name), "name")
	}
	podtest.Changes(spec(tree), check("volumes"), "containers", "initContainers")
	if changes < 1000 {
		t.Errorf("only %d changes were made", changes)
	}
}

func changedParts(a, b Fingerprint) []string {
	hashes := map[string][2]string{}
	for i, f := range []Fingerprint{a, b} {
		for _, p := range f.Parts {
			both := hashes[p.Name]
			both[i] = p.Hash
			hashes[p.Name] = both
		}
	}
	var changed []string
	for _, name := range slices.Sorted(maps.Keys(hashes)) {
		if both := hashes[name]; both[0] != both[1] {
			changed = append(changed, name)
		}
	}
	return changed
}

// TestOrder: the sequence of containers is a part of its own.
func TestOrder(t *testing.T) {
	tree := decode(t, podtest.Live)
	want := of(t, podtest.JSON(t, tree))
	slices.Reverse(spec(tree)["containers"].([]any))
	if changed := changedParts(want, of(t, podtest.JSON(t, tree))); !slices.Equal(changed, []string{"order"}) {
		t.Errorf("changed %s", changed)
	}
}
