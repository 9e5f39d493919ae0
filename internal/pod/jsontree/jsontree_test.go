package jsontree

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
)

func parse(t testing.TB, src string) Node {
	t.Helper()
	n, err := Parse([]byte(src))
	if err != nil {
		t.Fatalf("Parse(%q): %v", src, err)
	}
	return n
}

func TestNode(t *testing.T) {
	root := parse(t, ` {"a": {"b": [1, "x\u00e9\n", true, null, {}]}, "k:{\"name\":\"n\"}": "v", "e": []} `)
	var items, kinds []string
	for item := range root.Get("a", "b").Children() {
		items = append(items, item.String())
		kinds = append(kinds, string(item.Kind()))
	}
	if diff := cmp.Diff([]string{"1", "xé\n", "true", "null", ""}, items); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"0", `"`, "t", "n", "{"}, kinds); diff != "" {
		t.Error(diff)
	}
	if got := root.Get(`k:{"name":"n"}`).String(); got != "v" {
		t.Errorf("escaped name: %q", got)
	}
	if got := string(root.Get("a", "b").Raw()); got != `[1, "x\u00e9\n", true, null, {}]` {
		t.Errorf("Raw = %s", got)
	}
	for path, want := range map[string]bool{"e": true, "a": false, "absent": true} {
		if got := root.Get(path).IsEmpty(); got != want {
			t.Errorf("IsEmpty(%s) = %v", path, got)
		}
	}
	absent := root.Get("a", "nope", "deeper")
	if absent.Exists() || absent.Kind() != Absent || absent.Text() != nil || absent.Raw() != nil || absent.Name() != nil {
		t.Error("an absent value is not the zero Node")
	}
	for range absent.Children() {
		t.Error("an absent value has children")
	}
}

func TestParseRefuses(t *testing.T) {
	for name, src := range map[string]string{
		"empty":        "",
		"cut":          `{"a":[1`,
		"name alone":   `{"a"`,
		"trailing":     `{} {}`,
		"duplicate":    `{"a":1,"a":2}`,
		"apart":        `{"b":1,"a":[{"a":1}],"c":2,"\u0061":3}`,
		"invalid utf8": "{\"a\":\"\xff\"}",
		"number":       `01`,
		"comma":        `[1,]`,
		"too deep":     strings.Repeat("[", 20000),
	} {
		if _, err := Parse([]byte(src)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// rebuild makes the value that encoding/json would decode.
func rebuild(n Node) any {
	switch n.Kind() {
	case Object:
		m := map[string]any{}
		for child := range n.Children() {
			m[string(child.Name())] = rebuild(child)
		}
		return m
	case Array:
		l := []any{}
		for child := range n.Children() {
			l = append(l, rebuild(child))
		}
		return l
	case String:
		return n.String()
	case Null:
		return nil
	case True, False:
		return n.Kind() == True
	default:
		return json.Number(n.String())
	}
}

func TestParseAtMost(t *testing.T) {
	for src, values := range map[string]int{`1`: 1, `[]`: 1, `[1,2]`: 3, `{"a":{"b":[null]}}`: 4} {
		if _, err := ParseAtMost([]byte(src), values); err != nil {
			t.Errorf("%s holds %d values: %v", src, values, err)
		}
		if _, err := ParseAtMost([]byte(src), values-1); !errors.Is(err, ErrTooMany) {
			t.Errorf("%s, %d values allowed: %v", src, values-1, err)
		}
	}
}

// FuzzParse: what is read is what encoding/json reads, in memory that the
// document's size bounds, and each value stands where Raw says.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{}`, `[]`, `"\ud83d\ude00"`, `{"a":[{"b":null},-1.5e+3,"\\\""]}`, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, ` {"" : [ ] } `,
		"{\"a\":\"\xff\"}", `"\ud800"`, "\"\x00\"", `-0`, `1E400`, `0.1e-7`, `01`, `[1,]`, `{} {}`, "\ufeff{}", `[` + strings.Repeat(`0,`, 500) + `0]`,
		strings.Repeat(`[`, 300) + strings.Repeat(`]`, 300), strings.Repeat(`{"a":`, 300) + `1` + strings.Repeat(`}`, 300), strings.Repeat(`[`, 10001),
	} {
		f.Add([]byte(seed))
	}
	var reader Reader // whatever it read before
	f.Fuzz(func(t *testing.T, src []byte) {
		n, err := Parse(src)
		again, errAgain := reader.Parse(src, maxSize)
		if (err == nil) != (errAgain == nil) || err == nil && !reflect.DeepEqual(rebuild(n), rebuild(again)) {
			t.Errorf("a Reader that is used again: %v, want %v", errAgain, err)
		}
		if err != nil {
			if jsontext.Value(src).IsValid() {
				t.Errorf("a valid document is refused: %v", err)
			}
			return
		}
		if !jsontext.Value(src).IsValid() {
			t.Error("an invalid document is accepted")
		}
		dec := json.NewDecoder(bytes.NewReader(src))
		dec.UseNumber()
		var want any
		if err := dec.Decode(&want); err != nil {
			t.Fatalf("accepted what encoding/json refuses: %v", err)
		}
		if got := rebuild(n); !reflect.DeepEqual(want, got) {
			t.Error(cmp.Diff(want, got))
		}
		if got := bytes.TrimSpace(src); !bytes.Equal(got, n.Raw()) {
			t.Errorf("the document is %q, want %q", n.Raw(), got)
		}
		for child := range n.Children() {
			if again, err := Parse(child.Raw()); err != nil || !reflect.DeepEqual(rebuild(again), rebuild(child)) {
				t.Errorf("%q, read by itself: %v", child.Raw(), err)
			}
		}
		if values := cap(n.doc.tape); values > 3*len(src)+8 || len(n.doc.unescaped) > 3*len(src) {
			t.Errorf("%d bytes take room for %d values and %d bytes of text", len(src), values, len(n.doc.unescaped))
		}
	})
}

func BenchmarkParse(b *testing.B) {
	src, err := os.ReadFile("../../../webhook/testdata/admissionreview-istio-1.27.json")
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(src); err != nil {
			b.Fatal(err)
		}
	}
}

// TestReader: documents of one Reader follow each other without allocations.
func TestReader(t *testing.T) {
	src, err := os.ReadFile("../../../webhook/testdata/admissionreview-istio-1.27.json")
	if err != nil {
		t.Fatal(err)
	}
	var r Reader
	parse := func(src []byte, values int) Node {
		n, err := r.Parse(src, values)
		if err != nil {
			t.Fatal(err)
		}
		r.Forget()
		return n
	}
	parse(src, maxSize)
	if allocations := testing.AllocsPerRun(100, func() { parse(src, maxSize) }); allocations > 0 {
		t.Errorf("%v allocations a document", allocations)
	}
	for range 2 {
		if _, err := r.Parse([]byte(`[1,{"a":2,"a":3}]`), maxSize); !errors.Is(err, jsontext.ErrDuplicateName) {
			t.Errorf("duplicate names: %v", err)
		}
		if _, err := r.Parse([]byte(`[1,2]`), 2); !errors.Is(err, ErrTooMany) {
			t.Errorf("too many values: %v", err)
		}
		n, err := r.Parse([]byte(`["\u0061"]`), 2)
		if err != nil || rebuild(n).([]any)[0] != "a" {
			t.Errorf("after errors: %v, %v", rebuild(n), err)
		}
	}
}
