package fingerprint

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/internal/jsontree"
	"github.com/sidecar-drift/sidecar-drift/internal/podspec/podtest"
)

// FuzzOf takes any document for a Pod: its fingerprint does not depend on how
// the document is written, nor on our own annotations.
func FuzzOf(f *testing.F) {
	f.Add(podtest.Live)
	f.Add([]byte(ssaPod))
	for _, seed := range []string{
		`{"spec":{"containers":[{"name":"a"},{"name":"a"},{},null,1]}}`,
		`{"spec":{"containers":[{"name":"a","env":[{"name":"A","value":"$(A)$$(B)"},{"name":"A"}]}]},"metadata":{"name":"a","managedFields":[{"fieldsV1":{}}]}}`,
		`{"spec":{"volumes":[{"name":{}},{"name":"v","emptyDir":{"sizeLimit":1e3}}]},"metadata":{"managedFields":[{"fieldsV1":{"f:spec":{"f:volumes":{"k:{}":{}}}}}]}}`,
		`{"metadata":{"annotations":{"sidecar.istio.io/status":"{\"containers\":[1,null,\"a\"]}","kubernetes.io/limit-ranger":"x: cpu request for container a"},"ownerReferences":[{"kind":"DaemonSet","controller":true}]},"spec":{"affinity":{"nodeAffinity":{}},"containers":[{"name":"a","resources":{"limits":{"cpu":1},"requests":{"cpu":"1"}}}]}}`,
		`{"spec":{"containers":[{"name":"a","x":` + strings.Repeat("[", 300) + strings.Repeat("]", 300) + `}]}}`,
		`{"spec":{"x":-0,"y":1E400,"z":0.1}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		root, err := jsontree.Parse(src)
		if err != nil {
			return
		}
		want, err := Of(root, "a")
		if err != nil {
			return
		}
		dec := json.NewDecoder(bytes.NewReader(src))
		dec.UseNumber()
		var tree map[string]any
		if err := dec.Decode(&tree); err != nil {
			t.Fatal(err)
		}
		if metadata, ok := tree["metadata"].(map[string]any); ok {
			if annotations, ok := metadata["annotations"].(map[string]any); ok {
				annotations[StampAnnotation], annotations[PartsAnnotation] = want.Stamp, string(want.PartsJSON())
			}
		}
		if diff := cmp.Diff(want, of(t, podtest.JSON(t, tree), "a")); diff != "" {
			t.Error(diff)
		}
		stamped := false
		for i, p := range want.Parts {
			stamped = stamped || p.Name != metadataPart
			if i > 0 && want.Parts[i-1].Name > p.Name {
				t.Error("the parts are not sorted")
			}
		}
		if stamped == (want.Stamp == None) {
			t.Errorf("stamp %s of parts %s", want.Stamp, want.PartsJSON())
		}
	})
}
