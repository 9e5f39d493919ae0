package meaning

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// shown are differences as a reader would see them.
func shown(differences []Difference) []string {
	var lines []string
	for _, d := range differences {
		lines = append(lines, fmt.Sprintf("%s: %s → %s", d.Path, orNone(d.From), orNone(d.To)))
	}
	return lines
}

func orNone(raw json.RawMessage) string {
	if raw == nil {
		return "none"
	}
	return string(raw)
}

func TestDiff(t *testing.T) {
	for _, tt := range []struct {
		name, from, to string
		want           []string
	}{
		{"leaves", `"a"`, `"b"`, []string{`: "a" → "b"`}},
		{"one is absent", ``, `"b"`, []string{`: none → "b"`}},
		{"JSON in a text", `"{\"a\":{\"b\":1},\"c\":2}"`, `"{\"c\":2,\"a\":{\"b\":3,\"d\":[]}}"`, []string{`a.b: 1 → 3`, `a.d: none → []`}},
		{"text and number", `{"a":"1"}`, `{"a":1}`, []string{`a: "1" → 1`}},
		{"a text that became a list", `"a"`, `"a,b"`, []string{`: "a" → "a,b"`}},
		{"keys that are no names", `{"a.b/c":{"1":1,"x y":1,"[":1,"":1}}`, `{"a.b/c":{}}`, []string{
			`[a.b/c][""]: 1 → none`, `[a.b/c]["1"]: 1 → none`, `[a.b/c]["["]: 1 → none`, `[a.b/c]["x y"]: 1 → none`,
		}},
		{"an item between commas", `"a,b,c"`, `"b,c,d"`, []string{`[0]: "a" → none`, `[2]: none → "d"`}},
		{"an item in place", `"a,b,c"`, `"a,x,c"`, []string{`[1]: "b" → "x"`}},
		{"an order", `"a,b,c"`, `"c,b,a"`, []string{`: "a,b,c" → "c,b,a"`}},
		{"a flag", `["proxy","--concurrency=2","--x","1"]`, `["proxy","--concurrency=4","--x","2"]`, []string{`[--concurrency]: "2" → "4"`, `[--x]: "1" → "2"`}},
		{"a flag more", `["proxy","--a=1","--c=3"]`, `["proxy","--a=1","--b","2","--c=3","-v"]`, []string{`[--b]: none → "2"`, `[-v]: none → "-v"`}},
		{"a flag's form", `["--a=1"]`, `["--a","1"]`, []string{`[--a]: "--a=1" → "--a 1"`}},
		{"an order of flags", `["x","--a=1","--b"]`, `["x","--b","--a=2"]`, []string{`: ["x","--a","--b"] → ["x","--b","--a"]`, `[--a]: "1" → "2"`}},
		{"a flag's JSON", `["--config={\"a\":1,\"b\":2}"]`, `["--config={\"b\":3,\"a\":1}"]`, []string{`[--config].b: 2 → 3`}},
		{"a flag given twice", `["--set","a","--set","b"]`, `["--set","a","--set","c"]`, []string{`[--set#2]: "b" → "c"`}},
		{"one of two flags", `["--set","a","--set","b"]`, `["--set","b"]`, []string{`[--set]: "a" → none`}},
		{"what follows a flag", `["-p","15001","run","fast"]`, `["-p","15001","run","slow"]`, []string{`[3]: "fast" → "slow"`}},
		{"objects with names", `[{"name":"a","x":1},{"name":"b","x":1}]`, `[{"name":"b","x":2},{"name":"c","x":1}]`, []string{
			`[a]: {"name":"a","x":1} → none`, `[b].x: 1 → 2`, `[c]: none → {"name":"c","x":1}`,
		}},
		{"objects in another order", `[{"name":"a","x":1},{"name":"b","x":1}]`, `[{"name":"b","x":1},{"name":"a","x":2}]`, []string{
			`: ["a","b"] → ["b","a"]`, `[a].x: 1 → 2`,
		}},
		{"objects without names", `[{"x":1,"y":1},{"x":1,"y":2}]`, `[{"x":1,"y":1},{"x":1,"y":3}]`, []string{`[1].y: 2 → 3`}},
		{"YAML", `"a:\n- b: 1\n  c: 2\n"`, `"a:\n- {c: 2, b: 2}\n"`, []string{`a[0].b: 1 → 2`}},
		{"white space and order", `"{\"a\":1, \"b\":2}"`, `"{\"b\":2,\"a\":1}"`, nil},
		{"JAVA_TOOL_OPTIONS", `"-Xmx1g -Da=b"`, `"-Xmx1g  -Da=c -Dd=e"`, []string{`[-Da]: "b" → "c"`, `[-Dd]: none → "e"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			from, to := Of(json.RawMessage(tt.from)), Of(json.RawMessage(tt.to))
			differences, left := Diff(from, to, Variation{})
			if diff := cmp.Diff(tt.want, shown(differences)); diff != "" || left > 0 {
				t.Errorf("%d left, %s", left, diff)
			}
			if back, _ := Diff(to, from, Variation{}); len(back) != len(differences) {
				t.Errorf("the other way round: %q", shown(back))
			}
		})
	}
}

func TestDiffOfCertificates(t *testing.T) {
	a, b, c := certificate(t, "a"), certificate(t, "b"), certificate(t, "c")
	differences, _ := Diff(Of(text(a+b)), Of(text(b+c)), Variation{})
	got := shown(differences)
	if len(got) != 2 || !strings.HasPrefix(got[0], `[0]: "CN=a, `) || !strings.HasPrefix(got[1], `[1]: none → "CN=c, 2026-01-01 to 2036`) {
		t.Errorf("%q", got)
	}
}

func TestLearn(t *testing.T) {
	for _, tt := range []struct {
		name     string
		answers  []string
		from, to string
		want     []string
		left     int
	}{
		{"a leaf", []string{`"a"`, `"b"`}, `"c"`, `"d"`, nil, 1},
		{"a leaf that became a map", []string{`"a"`, `{}`}, `{"a":1}`, `{"a":2}`, nil, 1},
		{"a key", []string{`{"a":1,"b":1}`, `{"a":2,"b":1}`}, `{"a":3,"b":1}`, `{"a":4,"b":2}`, []string{`b: 1 → 2`}, 1},
		{"a key on one side", []string{`{"a":1}`, `{"b":1}`}, `{"a":2}`, `{"b":2,"c":1}`, []string{`c: none → 1`}, 2},
		{"keys that look alike", []string{`{"a.b":1,"a":{"b":1}}`, `{"a.b":2,"a":{"b":1}}`}, `{"a.b":1,"a":{"b":1}}`, `{"a.b":3,"a":{"b":2}}`, []string{`a.b: 1 → 2`}, 1},
		{"a key and an index", []string{`{"0":1}`, `{"0":2}`}, `[1]`, `[2]`, []string{`[0]: 1 → 2`}, 0},
		{"an index", []string{`[1,2]`, `[1,3]`}, `[1,4]`, `[2,5]`, []string{`[0]: 1 → 2`}, 1},
		{"an index in a longer list", []string{`["x","a"]`, `["y","a"]`}, `["p","a"]`, `["q","a","b"]`, []string{`[2]: none → "b"`}, 1},
		{"an order", []string{`["a","b"]`, `["b","a"]`}, `["a","b","c"]`, `["c","b","d"]`, []string{`[2]: "a" → "d"`}, 0},
		{"an order, a value twice", []string{`["a","b","b"]`, `["b","a","b"]`}, `["a","b","b"]`, `["b","a","a"]`, []string{`[2]: "b" → "a"`}, 0},
		{"an order and a value", []string{`["a","b"]`, `["b","a"]`, `["a","c"]`}, `["x","y"]`, `["z"]`, nil, 1},
		{"a value and an order", []string{`["a","c"]`, `["a","b"]`, `["c","a"]`}, `["x","y"]`, `["z"]`, nil, 1},
		{"lengths", []string{`["a"]`, `["a","b"]`}, `["x","y"]`, `["z"]`, nil, 1},
		{"a nonce by name", []string{`[{"name":"a","n":1},{"name":"b","n":2}]`, `[{"name":"a","n":3},{"name":"b","n":2}]`, `[{"name":"b","n":2},{"name":"a","n":3}]`},
			`[{"name":"a","n":5},{"name":"b","n":2}]`, `[{"name":"b","n":4},{"name":"a","n":6}]`, []string{`[b].n: 2 → 4`}, 1},
		{"a name that is random", []string{`[{"name":"v-1","path":"/a"}]`, `[{"name":"v-2","path":"/a"}]`}, `[{"name":"v-3","path":"/a"}]`, `[{"name":"v-4","path":"/b"}]`,
			[]string{`[0].name: "v-3" → "v-4"`, `[0].path: "/a" → "/b"`}, 0},
		{"an argument", []string{`["--a=1","--b=2"]`, `["--a=3","--b=2"]`, `["--b=2","--a=3"]`}, `["--a=4","--b=2"]`, `["--b=3","--a=5"]`, []string{`[--b]: "2" → "3"`}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var varies Variation
			for _, answer := range tt.answers[1:] {
				varies.Learn(Of(json.RawMessage(tt.answers[0])), Of(json.RawMessage(answer)))
			}
			differences, left := Diff(Of(json.RawMessage(tt.from)), Of(json.RawMessage(tt.to)), varies)
			if diff := cmp.Diff(tt.want, shown(differences)); diff != "" || left != tt.left {
				t.Errorf("%d left, want %d, %s", left, tt.left, diff)
			}
		})
	}
}

func TestVariation(t *testing.T) {
	var none, a, b Variation
	one, other := Of(json.RawMessage(`{"a":1,"b":1}`)), Of(json.RawMessage(`{"a":2,"b":2}`))
	none.Learn(one, one)
	if !none.Empty() || none.Whole() || !none.Equal(Variation{}) {
		t.Error("the same was learned")
	}
	a.Learn(one, Of(json.RawMessage(`{"a":2,"b":1}`)))
	copied := a
	b.Learn(one, Of(json.RawMessage(`{"a":1,"b":2}`)))
	if a.Empty() || a.Equal(b) || a.Equal(none) {
		t.Error("different variations are equal")
	}
	ab, ba := a, b
	ab.Merge(b)
	ba.Merge(a)
	ba.Merge(none)
	if differences, left := Diff(one, other, ab); len(differences) != 0 || left != 2 || !ab.Equal(ba) {
		t.Errorf("merged: %q, %d left", shown(differences), left)
	}
	if !a.Equal(copied) || copied.Equal(ab) {
		t.Error("a copy changed")
	}
	ab.Learn(one, Of(json.RawMessage(`1`)))
	if !ab.Whole() {
		t.Error("a map and a number")
	}
}

// Keys that are other ones each time are too many to know, others stay known.
func TestVariationIsBounded(t *testing.T) {
	answer := func(n int, address string) Value {
		keys := map[string]any{}
		for i := range 50 {
			keys[fmt.Sprintf("%d-%s", n*50+i, strings.Repeat("x", 200))] = 1
		}
		return Of(marshal(t, map[string]any{"vault": map[string]any{"address": address, "nonce": n}, "random": keys}))
	}
	var varies Variation
	for n := range 20 {
		varies.Learn(answer(n, "a"), answer(n+1, "a"))
		if size := varies.root.size(); size > maxPlaces {
			t.Fatalf("%d places", size)
		}
	}
	differences, left := Diff(answer(100, "a"), answer(101, "b"), varies)
	if diff := cmp.Diff([]string{`vault.address: "a" → "b"`}, shown(differences)); diff != "" || left != 2 {
		t.Errorf("%d left, %s", left, diff)
	}
}

func TestPathIsBounded(t *testing.T) {
	long := strings.Repeat("é\n", 200)
	from, to := any(1), any(2)
	for range 20 {
		from, to = map[string]any{long: from}, map[string]any{long: to}
	}
	differences, _ := Diff(Of(marshal(t, from)), Of(marshal(t, to)), Variation{})
	if len(differences) != 1 || len(differences[0].Path) > maxPath+len("…") {
		t.Errorf("%q", shown(differences))
	}
}

func marshal(t testing.TB, value any) json.RawMessage {
	t.Helper()
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
