package podspec

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// FuzzDiffMeaning compares two made-up containers, one written from the last
// key to the first: Diff and the canonical form find a difference just where a
// slow reading of the decoded JSON does. With it goes that Diff is the same from
// either side and names what one of them has.
func FuzzDiffMeaning(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		program := make([]byte, 1+r.IntN(80))
		for i := range program {
			program[i] = byte(r.Uint32())
		}
		f.Add(program, []byte(nil), uint16(1))
		f.Add(program, []byte{byte(r.Uint32())}, uint16(r.IntN(len(program))))
	}
	f.Fuzz(func(t *testing.T, program, edit []byte, at uint16) {
		if len(program) > 500 {
			return
		}
		edited := slices.Clone(program)
		if int(at) < len(edited) {
			copy(edited[at:], edit)
		}
		treeA, treeB := made(program), made(edited)
		if at%2 > 0 {
			turn(treeB)
		}
		a, b := madeUp(t, treeA, false), madeUp(t, treeB, true)
		there := Diff(a, b, a.Containers()[0].Member, b.Containers()[0].Member, Fields{})
		back := Diff(b, a, b.Containers()[0].Member, a.Containers()[0].Member, Fields{})
		same := meaning("", "containers", true, treeA, nil) == meaning("", "containers", true, treeB, nil)
		if same != (len(there) == 0) {
			t.Errorf("%s\n%s\nmean the same: %v, and the differences are %v", a.Pod().Raw(), b.Pod().Raw(), same, there)
		}
		formA, formB := a.AppendCanonical(nil, a.Containers()[0].Member), b.AppendCanonical(nil, b.Containers()[0].Member)
		if same != (string(formA) == string(formB)) {
			t.Errorf("%s\n%s\nmean the same: %v, and the canonical forms are\n%q\n%q", a.Pod().Raw(), b.Pod().Raw(), same, formA, formB)
		}
		if len(there) != len(back) {
			t.Fatalf("%d differences one way, %d the other", len(there), len(back))
		}
		var in map[string]bool
		for i, d := range there {
			if o := back[i]; d.Path != o.Path || string(d.A.Raw()) != string(o.B.Raw()) || string(d.B.Raw()) != string(o.A.Raw()) {
				t.Errorf("%v one way, %v the other", d, o)
			}
			if in == nil {
				in = map[string]bool{"": true}
				places(in, "", "containers", treeA)
				places(in, "", "containers", treeB)
			}
			if !in[d.Path] {
				t.Errorf("neither %s\nnor %s\nhas a %s", a.Pod().Raw(), b.Pod().Raw(), d.Path)
			}
		}
	})
}

// turn reverses the lists in a value that have keys.
func turn(value any) {
	switch value := value.(type) {
	case map[string]any:
		for name, child := range value {
			turn(child)
			list, _ := child.([]any)
			if first, _ := listKeys([]byte(name)); first != "" || setList([]byte(name)) {
				slices.Reverse(list)
			}
		}
	case []any:
		for _, item := range value {
			turn(item)
		}
	}
}

// maker makes JSON values from the bytes of a fuzzer's input.
type maker []byte

// made is a container.
func made(program []byte) map[string]any {
	m := maker(program)
	container := m.object("containers", 0)
	for _, name := range []string{"resources", "env", "image", "imagePullPolicy", "ports", "volumeMounts", "livenessProbe"} {
		if m.choose(3) > 0 {
			container[name] = m.value(name, 1)
		}
	}
	return container
}

func (m *maker) choose(n int) int {
	if len(*m) == 0 {
		return 0
	}
	b := (*m)[0]
	*m = (*m)[1:]
	return int(b) % n
}

// Field names and texts that are looked at in their own ways, and some others.
var (
	madeNames = []string{
		"x", "env", "ports", "volumeMounts", "bindMountOptions", "resources", "image", "imagePullPolicy", "livenessProbe", "httpGet", "scheme",
		"periodSeconds", "securityContext", "args", "terminationMessagePolicy", "emptyDir", "sizeLimit", "fieldRef", "metadata", "configMap", "new",
	}
	madeTexts = []any{"A", "", "{}", "é\u2028\x00", "File", "HTTP", true, false}
	madeOf    = map[string][]any{
		"image":           {"nginx", "r:5/nginx", "r/nginx:1", "n:latest", "n:latest@x", "n@x"},
		"imagePullPolicy": {"Always", "IfNotPresent"},
		"value":           {"$(A)", "$(B) $(A)$$(A)", "$(C", "$(A)$(B)", "A"},
		"sizeLimit":       amounts,
	}
	madeNumbers = []json.Number{"0", "1", "-0", "1.0", "1e0", "10", "420", "0.1", "1E400", "9007199254740993", "1e21", "-1.50"}
	amounts     = []any{"1", json.Number("1"), json.Number("1.0"), "1000m", "1e3", "1k", "1Ki", "1024", "0.1", "100m", "1e21", "1000E", "-1", "x", "", "1e-400", "1e-999999999", strings.Repeat("1", 70), true}
)

func (m *maker) object(field string, depth int) map[string]any {
	object := map[string]any{}
	if (field == "limits" || field == "requests") && depth > 0 {
		for range m.choose(4) {
			object[[]string{"cpu", "memory", "x"}[m.choose(3)]] = amounts[m.choose(len(amounts))]
		}
		return object
	}
	for range m.choose(5) {
		name := madeNames[m.choose(len(madeNames))]
		object[name] = m.value(name, depth+1)
	}
	return object
}

func (m *maker) value(field string, depth int) any {
	kind := m.choose(8)
	switch {
	case kind == 7 || depth > 6:
		return m.scalar()
	case kind == 6:
		return nil
	}
	switch field {
	case "env":
		return m.items(field, depth, "name", "A", "B", "C")
	case "ports":
		return m.items(field, depth, "containerPort", json.Number("53"), json.Number("80"))
	case "volumeMounts":
		return m.items(field, depth, "mountPath", "/a", "/b")
	case "resources":
		return map[string]any{"limits": m.object("limits", depth), "requests": m.object("requests", depth)}
	case "bindMountOptions", "args", "new":
		list := []any{}
		for range m.choose(4) {
			list = append(list, m.value("x", depth+1))
		}
		return list
	case "scheme", "periodSeconds", "terminationMessagePolicy":
		return m.scalar()
	}
	if texts := madeOf[field]; texts != nil {
		return texts[m.choose(len(texts))]
	}
	return m.object(field, depth)
}

func (m *maker) scalar() any {
	if m.choose(2) == 0 {
		return madeTexts[m.choose(len(madeTexts))]
	}
	return madeNumbers[m.choose(len(madeNumbers))]
}

// items makes a list of which nearly every item has its key.
func (m *maker) items(field string, depth int, key string, keys ...any) []any {
	list := []any{}
	for range m.choose(4) {
		item := m.object(field, depth)
		switch choice := m.choose(12); {
		case choice == 0:
			list = append(list, m.scalar())
			continue
		case choice > 2:
			item[key] = keys[m.choose(len(keys))]
		}
		switch field {
		case "env":
			item["value"] = m.value("value", depth)
		case "ports":
			item["protocol"] = []any{"TCP", "UDP"}[m.choose(2)]
		case "volumeMounts":
			item["name"] = []any{"kube-api-access-x", "v"}[m.choose(2)]
		}
		list = append(list, item)
	}
	return list
}

func madeUp(t *testing.T, container map[string]any, backwards bool) *View {
	t.Helper()
	src := appendJSON([]byte(`{"spec":{"containers":[`), container, backwards)
	root, err := jsontree.Parse(append(src, `]}}`...))
	if err != nil {
		t.Fatalf("%s: %v", src, err)
	}
	return NewView(root)
}

func appendJSON(dst []byte, value any, backwards bool) []byte {
	switch value := value.(type) {
	case map[string]any:
		names := slices.Sorted(maps.Keys(value))
		if backwards {
			slices.Reverse(names)
		}
		dst = append(dst, '{')
		for i, name := range names {
			if i > 0 {
				dst = append(dst, " ,"...)
			}
			dst = appendJSON(append(strconv.AppendQuote(dst, name), ':'), value[name], backwards)
		}
		return append(dst, '}')
	case []any:
		dst = append(dst, '[')
		for i, item := range value {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSON(dst, item, backwards)
		}
		return append(dst, ']')
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		panic(err) // of what is made up
	}
	return append(dst, encoded...)
}
