package candidate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const somePod = `{"apiVersion":"v1","kind":"Pod","metadata":{"generateName":"web-","namespace":"shop","labels":{"app":"web"}},
	"spec":{"containers":[{"name":"app","image":"app:1","terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File","imagePullPolicy":"IfNotPresent","resources":{}}]},"status":{}}`

func objectOf(t testing.TB, text string) object {
	t.Helper()
	o, err := decodeObject([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// patchOf is what a candidate makes of a Pod with a patch.
func patchOf(pod object, patch []byte) (object, error) {
	before, err := encode(pod)
	if err != nil {
		return nil, err
	}
	after, err := patched(context.Background(), pod, before, patch)
	if err != nil {
		return nil, err
	}
	return (&admitted{}).typed(&hook{}, after)
}

func TestPatched(t *testing.T) {
	pod := objectOf(t, somePod)
	after, err := patchOf(pod, []byte(`[
		{"op":"add","path":"/spec/containers/-","value":{"name":"proxy","image":"proxy","ports":[{"containerPort":80}]}},
		{"op":"add","path":"/spec/volumes","value":[{"name":"scratch"}]}]`))
	if err != nil {
		t.Fatal(err)
	}
	want := objectOf(t, somePod)
	want["spec"].(object)["containers"] = append(want["spec"].(object)["containers"].([]any), object{
		"name": "proxy", "image": "proxy", "ports": []any{object{"containerPort": int64(80), "protocol": "TCP"}},
		"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File", "imagePullPolicy": "Always", "resources": object{},
	})
	want["spec"].(object)["volumes"] = []any{object{"name": "scratch", "emptyDir": object{}}}
	if diff := cmp.Diff(want, after); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(objectOf(t, somePod), pod); diff != "" {
		t.Errorf("the Pod itself has changed (-before +after):\n%s", diff)
	}
}

// What a hostile candidate may answer is an error that says what is wrong.
func TestHostilePatches(t *testing.T) {
	copies := make([]string, 40)
	for i := range copies {
		copies[i] = fmt.Sprintf(`{"op":"copy","from":"/spec","path":"/spec/x%d"}`, i)
	}
	for patch, want := range map[string]string{
		`{}`:  "no JSON patch",
		`[1]`: "no JSON patch",
		`[{"op":"add","path":"/spec/containers/7","value":{}}]`:                                                                     "cannot be applied",
		`[{"op":"add","path":"/spec/containers/99999999999999999999","value":{}}]`:                                                  "cannot be applied",
		`[{"op":"remove","path":"/spec/containers/-2"}]`:                                                                            "cannot be applied",
		`[{"op":"move","from":"/spec","path":"/spec/containers"}]`:                                                                  "cannot be applied",
		`[{"op":"test","path":"/spec/containers/0/name","value":"other"}]`:                                                          "cannot be applied",
		`[{"op":"explode","path":"/spec"}]`:                                                                                         "no JSON patch",
		`[{"op":"replace","path":"","value":{"kind":"Secret","apiVersion":"v1"}}]`:                                                  "another kind of object",
		`[{"op":"replace","path":"","value":[]}]`:                                                                                   "no Pod",
		`[{"op":"replace","path":"","value":null}]`:                                                                                 "no Pod",
		`[{"op":"replace","path":"/kind","value":"Node"}]`:                                                                          "another kind of object: Node",
		`[{"op":"replace","path":"/metadata/namespace","value":"kube-system"}]`:                                                     "metadata.namespace",
		`[{"op":"add","path":"/metadata/name","value":"chosen"}]`:                                                                   "metadata.name",
		`[{"op":"replace","path":"/spec/containers","value":"all"}]`:                                                                "no Pod",
		`[{"op":"replace","path":"/spec","value":7}]`:                                                                               "no Pod",
		`[{"op":"add","path":"/spec/x","value":1e999}]`:                                                                             "no Pod",
		`[{"op":"add","path":"/metadata/labels/x","value":{"a":1}}]`:                                                                "no Pod",
		"[" + strings.Repeat(`{"op":"test","path":"/kind","value":"Pod"},`, 10_001) + `{"op":"test","path":"/kind","value":"Pod"}]`: "10002 operations",
		"[" + strings.Join(copies, ",") + "]":                                                                                       "cannot be applied",
		`[{"op":"add","path":"/metadata/annotations","value":{"a":"` + strings.Repeat("x", maxPod) + `"}}]`:                         "larger than",
	} {
		if _, err := patchOf(objectOf(t, somePod), []byte(patch)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.100s: %v, want %q", patch, err, want)
		}
	}
}

// A patch that takes long is given up once there is no time left, as a webhook's timeout is to
// hold for all of its answer.
func TestPatchOutOfTime(t *testing.T) {
	pod := objectOf(t, somePod)
	before, err := encode(pod)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("out of time"))
	patch := `[{"op":"add","path":"/metadata/labels/x","value":"y"}]`
	if _, err := patched(ctx, pod, before, []byte(patch)); err == nil || err.Error() != "out of time" {
		t.Errorf("%v", err)
	}
	many := make([]string, 3*slice+1)
	for i := range many {
		many[i] = fmt.Sprintf(`{"op":"add","path":"/metadata/labels/x","value":"%d"}`, i)
	}
	after, err := patchOf(pod, []byte("["+strings.Join(many, ",")+"]"))
	if err != nil || text(child(child(after, "metadata"), "labels"), "x") != fmt.Sprint(3*slice) {
		t.Errorf("of many operations the last counts: %v, %v", after["metadata"], err)
	}
}

// FuzzPatched finds that no patch makes another Pod of one, or a huge one, or changes the Pod
// that it is applied to.
func FuzzPatched(f *testing.F) {
	for _, seed := range []string{
		`[]`, `[{"op":"add","path":"/spec/containers/-","value":{"name":"proxy"}}]`,
		`[{"op":"move","from":"/spec/containers","path":"/spec/initContainers"}]`,
		`[{"op":"copy","from":"","path":"/metadata/annotations/x"}]`,
		`[{"op":"replace","path":"","value":{"apiVersion":"v1","kind":"Pod","metadata":{}}}]`,
		`[{"op":"add","path":"/spec/containers/0/env","value":[{"name":"A","value":1e400}]}]`,
		`[{"op":"add","path":"/metadata/labels/a~1b~0c","value":"\u001b[31m"}]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, patch []byte) {
		pod := objectOf(t, somePod)
		after, err := patchOf(pod, patch)
		if diff := cmp.Diff(objectOf(t, somePod), pod); diff != "" {
			t.Fatalf("the Pod itself has changed:\n%s", diff)
		}
		if err != nil {
			if said := err.Error(); len(said) > 4096 || strings.ContainsAny(said, "\x1b\n\x00") {
				t.Fatalf("says %q", said)
			}
			return
		}
		if err := samePod(pod, after); err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(after)
		if err != nil || len(raw) > 2*maxPod {
			t.Fatalf("%d bytes, %v", len(raw), err)
		}
	})
}
