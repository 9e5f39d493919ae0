package podspec

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	corev1 "k8s.io/api/core/v1"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec/podtest"
)

// FuzzDiff compares a Pod with itself and with a copy in which one value is
// another one: there is a difference just where the canonical forms differ, and
// it is the same from either side.
func FuzzDiff(f *testing.F) {
	f.Add(podtest.Live, []byte(`"x"`), uint16(300))
	f.Add(podtest.JSON(f, corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{podtest.Full[corev1.Container]()}}}), []byte(`[]`), uint16(90))
	for _, container := range []string{
		`{"name":"a","env":[{"name":"A"},{"name":"B","value":"$(A) web-0"},{"name":"A","value":"2"}],"args":["web-0","-1"]}`,
		`{"resources":{"limits":{"cpu":"1","memory":1e3},"requests":{"cpu":"1000m","x":"1Ki"}},"imagePullPolicy":"Always"}`,
		`{"ports":[{"containerPort":53,"hostPort":53},{"containerPort":53,"protocol":"UDP"}],"livenessProbe":{"periodSeconds":10,"httpGet":{"port":1}}}`,
		`{"volumeMounts":[{"mountPath":"/web-0","name":"kube-api-access-x","bindMountOptions":["b","a"]},{"mountPath":"/b"}],"securityContext":{"x":{}}}`,
		`{"new":[-0,1.0,1E400,{"a":null}],"x":` + strings.Repeat(`[`, 300) + strings.Repeat(`]`, 300) + `}`,
	} {
		for at, value := range []string{`null`, `1`, `"1"`, `{}`, `[]`, `[{"name":"A"}]`, `"1.0"`, `-0.0`} {
			f.Add([]byte(pod("web-0", container)), []byte(value), uint16(5+at))
		}
	}
	f.Add([]byte(`{"metadata":{"labels":{"l":"v"}},"spec":{"hostNetwork":true,"volumes":[{"name":"v","emptyDir":{"sizeLimit":"1Gi"}},{"name":"kube-api-access-y"}],
		"topologySpreadConstraints":[{"topologyKey":"k","matchLabelKeys":["l"],"labelSelector":{"matchExpressions":[{"key":"l","operator":"In","values":["v"]}]}}]}}`), []byte(`true`), uint16(9))
	f.Add([]byte(`{"spec":{"containers":[{"volumeMounts":[{"mountPath":"/","name":"kube-api-access-x"},{"mountPath":"/a"}]}]}}`), []byte(`null`), uint16(5))
	f.Fuzz(func(t *testing.T, src, value []byte, at uint16) {
		a, err := jsontree.Parse(src)
		if err != nil {
			return
		}
		other, err := jsontree.Parse(value)
		if err != nil {
			return
		}
		left := int(at)
		changed := appendReplaced(nil, a, other, &left)
		b, err := jsontree.Parse(changed)
		if err != nil {
			return // too deep
		}
		viewA, viewB := NewView(a), NewView(b)
		if found := podDiff(viewA, viewA); len(found) > 0 {
			t.Errorf("differs from itself at %q", found)
		}
		there, back := podDiff(viewA, viewB), podDiff(viewB, viewA)
		named := bytes.Equal(viewA.names.own, viewB.names.own)
		if named && !slices.Equal(there, back) {
			t.Errorf("%q one way, %q the other", there, back)
		}
		// A value may hold the other Pod's name by chance.
		same := bytes.Equal(podForm(viewA), podForm(viewB))
		if same && len(there) > 0 || named && !same && len(there) == 0 {
			if isPod(src) && isPod(changed) {
				t.Errorf("the canonical forms are equal: %v, and the differences %q from\n%s", same, there, changed)
			}
		}
	})
}

// isPod reports whether the values have the types of a Pod's: the API server
// takes no other document.
func isPod(src []byte) bool { return json.Unmarshal(src, new(corev1.Pod)) == nil }

// appendReplaced appends the value n as JSON, with the value that is left values
// further down replaced.
func appendReplaced(dst []byte, n, value jsontree.Node, left *int) []byte {
	if *left--; *left == -1 {
		n = value
	}
	switch kind := n.Kind(); kind {
	case jsontree.Object, jsontree.Array:
		dst = append(dst, byte(kind))
		first := len(dst)
		for child := range n.Children() {
			if len(dst) > first {
				dst = append(dst, ',')
			}
			if kind == jsontree.Object {
				dst, _ = jsontext.AppendQuote(dst, child.Name()) // read from valid JSON
				dst = append(dst, ':')
			}
			dst = appendReplaced(dst, child, value, left)
		}
		return append(dst, byte(kind)+2) // } or ]
	default:
		return append(dst, n.Raw()...)
	}
}

// podDiff returns the paths at which two Pods differ, sorted.
func podDiff(a, b *View) []string {
	var paths []string
	add := func(at string, x, y Member) {
		for _, d := range Diff(a, b, x, y, Fields{}) {
			paths = append(paths, at+" "+d.Path)
		}
	}
	inA, inB := a.Containers(), b.Containers()
	for i := range max(len(inA), len(inB)) {
		if i >= len(inA) || i >= len(inB) || inA[i].Init != inB[i].Init {
			paths = append(paths, "containers")
			break
		}
		add("container", inA[i].Member, inB[i].Member)
	}
	add("volumes", a.Volumes(), b.Volumes())
	fieldsA, fieldsB := fieldsByName(a), fieldsByName(b)
	for name, x := range fieldsA {
		add(name, x, fieldsB[name])
	}
	for name, y := range fieldsB {
		if _, ok := fieldsA[name]; !ok {
			add(name, Member{}, y)
		}
	}
	slices.Sort(paths)
	return paths
}

func fieldsByName(v *View) map[string]Member {
	fields := map[string]Member{}
	for _, m := range v.PodFields() {
		if !m.Default {
			fields[string(m.Key)] = m
		}
	}
	return fields
}

// podForm is the canonical form of all that podDiff looks at.
func podForm(v *View) []byte {
	var form []byte
	for _, c := range v.Containers() {
		form = append(form, '0')
		if c.Init {
			form = append(form, '1')
		}
		form = v.AppendCanonical(form, c.Member)
	}
	form = append(form, '|')
	if volumes := v.Volumes(); volumes.Node.Exists() {
		form = v.AppendCanonical(form, volumes)
	}
	for _, m := range v.PodFields() {
		if !m.Default {
			form = v.appendValue(v.appendKey(append(form, '|'), m), Member{Field: []byte(podField)}, m)
		}
	}
	return form
}
