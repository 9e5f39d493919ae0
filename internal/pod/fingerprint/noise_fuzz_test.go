package fingerprint

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec/podtest"
)

// FuzzOfNoise: what schedulers, kubelets and in-tree plugins add to a Pod is in
// no fingerprint.
func FuzzOfNoise(f *testing.F) {
	for _, pod := range [][]byte{podtest.Live, podtest.Fresh, []byte(ssaPod), fullPod(f)} {
		f.Add(pod)
	}
	for _, seed := range []string{
		`{"spec":{}}`,
		`{"spec":{"containers":[{"name":"a"},null,{"name":"b","volumeMounts":[{"mountPath":"/"},{}]}],"volumes":[{"name":"v"},1],"tolerations":1},"metadata":{"managedFields":[{"fieldsV1":{"f:spec":{"f:containers":{"k:{\"name\":\"a\"}":{".":{}}}}}}]}}`,
		`{"spec":{"initContainers":[{"name":"a","volumeMounts":null},{"name":"b","volumeMounts":{}}],"volumes":null},"metadata":{"name":"a","managedFields":[{"fieldsV1":{"f:spec":{"f:volumes":{},"f:nodeName":{}}}}]}}`,
		`{"spec":{"containers":[{"name":"a","terminationMessagePath":"x"}]},"metadata":{"annotations":{"sidecar.istio.io/status":"{\"containers\":[\"a\"],\"volumes\":[\"v\"]}"}}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		root, err := jsontree.Parse(src)
		if err != nil {
			return
		}
		want, err := Of(root, "b")
		if err != nil {
			return
		}
		decoder := json.NewDecoder(bytes.NewReader(src))
		decoder.UseNumber()
		var tree map[string]any
		if err := decoder.Decode(&tree); err != nil {
			t.Fatal(err)
		}
		addNoise(tree)
		if diff := cmp.Diff(want, of(t, podtest.JSON(t, tree), "b")); diff != "" {
			t.Error(diff)
		}
	})
}

func addNoise(tree map[string]any) {
	tree["status"] = map[string]any{"phase": "Running"}
	maps.Copy(spec(tree), map[string]any{
		"nodeName": "n", "priority": 7, "priorityClassName": "high", "serviceAccountName": "s", "enableServiceLinks": false,
		"tolerations": []any{map[string]any{"key": "k"}}, "overhead": map[string]any{"cpu": "1"}, "hostname": "h", "subdomain": "s",
		"ephemeralContainers": []any{map[string]any{"name": "debugger"}},
	})
	addItem(spec(tree), "volumes", map[string]any{"name": "kube-api-access-zzzzz"})
	for _, list := range []string{"containers", "initContainers"} {
		items, _ := spec(tree)[list].([]any)
		for _, item := range items {
			if c, ok := item.(map[string]any); ok {
				addItem(c, "volumeMounts", map[string]any{"name": "kube-api-access-zzzzz", "mountPath": "/t"})
				if c["terminationMessagePath"] == nil {
					c["terminationMessagePath"] = "/dev/termination-log"
				}
			}
		}
	}
}

// addItem puts an item before the others of a list, or of none.
func addItem(object map[string]any, field string, item any) {
	if list, ok := object[field].([]any); ok || object[field] == nil {
		object[field] = slices.Insert(slices.Clone(list), 0, item)
	}
}
