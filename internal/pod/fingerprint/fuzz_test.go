package fingerprint

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec/podtest"
)

// FuzzOf takes any document for a Pod: its fingerprint does not depend on how
// the document is written, nor on our own annotations.
func FuzzOf(f *testing.F) {
	f.Add(podtest.Live)
	f.Add(podtest.Fresh)
	f.Add([]byte(ssaPod))
	for _, seed := range []string{
		`{"spec":{"containers":[{"name":"a"},{"name":"a"},{},null,1]}}`,
		`{"spec":{"containers":[{"name":"a","env":[{"name":"A","value":"$(A)$$(B)"},{"name":"A"}]}]},"metadata":{"name":"a","managedFields":[{"fieldsV1":{}}]}}`,
		`{"spec":{"volumes":[{"name":{}},{"name":"v","emptyDir":{"sizeLimit":1e3}}]},"metadata":{"managedFields":[{"fieldsV1":{"f:spec":{"f:volumes":{"k:{}":{}}}}}]}}`,
		`{"metadata":{"annotations":{"sidecar.istio.io/status":"{\"containers\":[1,null,\"a\"]}","kubernetes.io/limit-ranger":"x: cpu request for container a"},"ownerReferences":[{"kind":"DaemonSet","controller":true}]},"spec":{"affinity":{"nodeAffinity":{}},"containers":[{"name":"a","resources":{"limits":{"cpu":1},"requests":{"cpu":"1"}}}]}}`,
		`{"spec":{"containers":[{"name":"a","x":` + strings.Repeat("[", 300) + strings.Repeat("]", 300) + `}]}}`,
		`{"spec":{"containers":[{"name":"a","resources":` + strings.Repeat(`{"resources":`, 2000) + `1` + strings.Repeat(`}`, 2000) + `}]}}`,
		`{"spec":{"x":-0,"y":1E400,"z":0.1}}`,
		`{"spec":{"containers":[{"name":"a","args":[` + strings.Repeat(`"a",`, 500) + `null]}]},"metadata":{"annotations":null,"labels":[],"managedFields":[{"fieldsV1":{"f:metadata":{}}}]}}`,
		`{"spec":{"containers":[{"name":"\ud83d\ude00\u0061"}],"hostNetwork":true},"metadata":{"managedFields":[{"operation":"Apply","fieldsV1":{"f:spec":{"f:containers":{"k:{\"name\":\"a\\u0062\"}":{".":{}}}}}}]}}`,
		`{"spec":{"a":1,"a":2}}`, "{\"spec\":{\"a\":\"\xff\"}}", `{"spec":{"a":"\ud800"}}`, `{"spec":null}`,
	} {
		f.Add([]byte(seed))
	}
	var fields, owned []string // so many that they are indexed
	for i := range 70 {
		fields = append(fields, fmt.Sprintf(`"x%d":1`, i))
		owned = append(owned, fmt.Sprintf(`"f:x%d":{}`, i))
	}
	f.Add(fmt.Appendf(nil, `{"metadata":{"managedFields":[{"fieldsV1":{"f:spec":{%s}}}]},"spec":{%s}}`, strings.Join(owned[1:], ","), strings.Join(fields, ",")))
	f.Fuzz(func(t *testing.T, src []byte) {
		root, err := jsontree.Parse(src)
		if err != nil {
			return
		}
		want, err := Of(root, "a")
		if err != nil {
			return
		}
		if diff := cmp.Diff(want, of(t, appendReversed(nil, root), "a")); diff != "" {
			t.Errorf("from the last key to the first: %s", diff)
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

// appendReversed appends the value as JSON, indented, the members of objects
// from the last to the first.
func appendReversed(dst []byte, n jsontree.Node) []byte {
	var parts [][]byte
	for child := range n.Children() {
		var part []byte
		if n.Kind() == jsontree.Object {
			part, _ = jsontext.AppendQuote(part, child.Name()) // read from valid JSON
			part = append(part, " :\n\t"...)
		}
		parts = append(parts, appendReversed(part, child))
	}
	switch n.Kind() {
	case jsontree.Object:
		slices.Reverse(parts)
		return append(append(append(dst, "{\n"...), bytes.Join(parts, []byte("\n, "))...), " }"...)
	case jsontree.Array:
		return append(append(append(dst, "[\n"...), bytes.Join(parts, []byte("\n, "))...), " ]"...)
	}
	return append(dst, n.Raw()...)
}
