package podspec

import (
	"testing"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// TestSubmitted: fields that were submitted are owned, and no others, whatever the keys of
// their lists look like.
func TestSubmitted(t *testing.T) {
	pod := parsed(t, `{"metadata":{"labels":{"a":"b"}},"spec":{"securityContext":{},"nodeSelector":{"x":"y"},
		"containers":[{"name":"a\"b","ports":[{"containerPort":80},{"containerPort":53,"protocol":"UDP"}],"env":[{"name":"A","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}]}]}}`)
	owned, err := Submitted(pod)
	if err != nil {
		t.Fatal(err)
	}
	spec, v := owned.Field([]byte("spec")), NewView(pod)
	container := spec.Field([]byte("containers")).Item(v.Containers()[0].Member)
	port := func(number, protocol string) bool {
		m := Member{Key: []byte(number), Second: []byte(protocol), Field: []byte("ports"), Item: true}
		return container.Field([]byte("ports")).Item(m).Has()
	}
	for what, test := range map[string]struct{ got, want bool }{
		"a label":                          {owned.Field([]byte("metadata")).Field([]byte("labels")).Field([]byte("a")).Has(), true},
		"a container with a quote in it":   {container.Has(), true},
		"a port of the default protocol":   {port("80", "TCP"), true},
		"a port of another one":            {port("53", "UDP"), true},
		"a port that was not submitted":    {port("53", "TCP"), false},
		"a variable":                       {container.Field([]byte("env")).Item(Member{Key: []byte("A"), Field: []byte("env"), Item: true}).Has(), true},
		"a map that is owned as a whole":   {spec.Field([]byte("nodeSelector")).Has(), true},
		"a field that was not submitted":   {container.Field([]byte("image")).Has(), false},
		"a field of such a map, by itself": {spec.Field([]byte("nodeSelector")).Field([]byte("x")).Has(), false},
	} {
		if test.got != test.want {
			t.Errorf("%s: owned is %v", what, test.got)
		}
	}
}

func parsed(t *testing.T, document string) jsontree.Node {
	t.Helper()
	root, err := jsontree.Parse([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return root
}
