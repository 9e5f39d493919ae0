package verdict

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// longest is what a cut value takes at most: escapes, marks and brackets included.
const longest = 6*maxValue + 4096

func TestCut(t *testing.T) {
	for text, want := range map[string]string{
		"":                        "",
		"short":                   "short",
		strings.Repeat("x", 100):  strings.Repeat("x", 100),
		strings.Repeat("x", 101):  strings.Repeat("x", 60) + "… (101 bytes, sha256 ",
		strings.Repeat("ü", 51):   strings.Repeat("ü", 30) + "… (102 bytes, sha256 ",
		strings.Repeat("x", 1e6):  strings.Repeat("x", 56) + "… (1000000 bytes, sha256 ",
		strings.Repeat("😀", 1000): strings.Repeat("😀", 14) + "… (4000 bytes, sha256 ",
	} {
		got := Cut(text, 100)
		if !strings.HasPrefix(got, want) || len(got) > 100 || !utf8.ValidString(got) {
			t.Errorf("%d bytes: %q", len(text), got)
		}
		if again := Cut(got, 100); again != got {
			t.Errorf("cut again: %q", again)
		}
	}
	if Cut(strings.Repeat("x", 1e6)+"a", 100) == Cut(strings.Repeat("x", 1e6)+"b", 100) {
		t.Error("different texts of one length and beginning are not told apart")
	}
}

func FuzzStored(f *testing.F) {
	for _, seed := range []string{
		`"` + strings.Repeat("x", 3000) + `"`, `"` + strings.Repeat(`\u0000`, 3000) + `"`, strings.Repeat("9", 5000),
		`[` + strings.Repeat(`"a",`, 5000) + `"b"]`, `{"…":1,"a":"` + strings.Repeat("y", 5000) + `","b":[{},[],null]}`,
		`{"` + strings.Repeat("k", 5000) + `":true,"z":"` + strings.Repeat("ü", 5000) + `"}`,
		strings.Repeat(`[1,`, 2000) + `2` + strings.Repeat(`]`, 2000), `{"a":1}`, `""`,
	} {
		f.Add([]byte(seed), uint16(len(seed)/2))
	}
	f.Fuzz(func(t *testing.T, text []byte, at uint16) {
		value, err := jsontree.Parse(text)
		if err != nil {
			return
		}
		kept := stored(value)
		if !json.Valid(kept) || len(kept) > max(len(text), longest) {
			t.Fatalf("%.200s: %d bytes: %.200s", text, len(kept), kept)
		}
		if _, err := jsontree.Parse(kept); err != nil {
			t.Fatalf("%.200s: %v: %s", text, err, kept)
		}
		if len(value.Raw()) <= maxText && string(kept) != string(value.Raw()) {
			t.Fatalf("%s was changed: %s", text, kept)
		}
		// Whatever differs anywhere still differs.
		other := append([]byte(nil), text...)
		if int(at) >= len(other) {
			return
		}
		other[at] ^= 1
		changed, err := jsontree.Parse(other)
		if err == nil && changed.Kind() == value.Kind() && !sameJSON(value, changed) && string(stored(changed)) == string(kept) {
			t.Fatalf("%.200s and %.200s are told apart no more: %s", text, other, kept)
		}
	})
}

// sameJSON reports whether two values mean the same.
func sameJSON(a, b jsontree.Node) bool {
	var x, y any
	if json.Unmarshal(a.Raw(), &x) != nil || json.Unmarshal(b.Raw(), &y) != nil {
		return true
	}
	return fmt.Sprint(x) == fmt.Sprint(y)
}

func TestStoredKeepsItsShape(t *testing.T) {
	env := fmt.Sprintf(`{"name":"TOKEN","value":%q}`, strings.Repeat("s", 100_000))
	value, err := jsontree.Parse([]byte(env))
	if err != nil {
		t.Fatal(err)
	}
	var kept struct{ Name, Value string }
	if err := json.Unmarshal(stored(value), &kept); err != nil {
		t.Fatal(err)
	}
	if kept.Name != "TOKEN" || !strings.HasPrefix(kept.Value, "ssss") || !strings.Contains(kept.Value, "… (100000 bytes, sha256 ") {
		t.Errorf("%+v", kept)
	}
}

func TestBound(t *testing.T) {
	var changes []Change
	add := func(part string, n, size int) {
		for i := range n {
			changes = append(changes, Change{Part: part, Path: fmt.Sprintf("env[V%05d].value", i), From: []byte(`"` + strings.Repeat("x", size) + `"`)})
		}
		changes = append(changes, Change{Part: part, Path: "image", From: []byte(`"a"`), To: []byte(`"b"`)})
	}
	add("app/web", 20_000, 2000)
	add("container/istio-proxy", 3, 10)
	add("initContainer/istio-init", 0, 0)
	add("pod", 5_000, 10)
	add("volumes", 5_000, 10)
	kept, left := Bound(changes)
	if len(kept) > maxChanges || SizeOf(kept) > maxChangesSize || len(kept)+left != len(changes) {
		t.Errorf("%d changes of %d bytes, %d left out of %d", len(kept), SizeOf(kept), left, len(changes))
	}
	images, ofProxy := 0, 0
	for i, c := range kept {
		if c.Path == "image" {
			images++
		}
		if c.Part == "container/istio-proxy" {
			ofProxy++
		}
		if i > 0 && c.Part < kept[i-1].Part {
			t.Errorf("%s behind %s", c.Part, kept[i-1].Part)
		}
	}
	if images != 5 || ofProxy != 4 {
		t.Errorf("%d images of five parts, %d of the proxy's four changes", images, ofProxy)
	}
	if again, left := Bound(kept); len(again) != len(kept) || left != 0 {
		t.Error("bounded changes are bounded again")
	}
	if few, left := Bound(changes[:3]); len(few) != 3 || left != 0 {
		t.Errorf("%d of three changes, %d left out", len(few), left)
	}
}

// A Pod of one stranger's values is judged as any other, and little is kept of it.
func TestJudgeIsBounded(t *testing.T) {
	pod := func(fill string) []byte {
		var env, containers strings.Builder
		for i := range 3000 {
			fmt.Fprintf(&env, `,{"name":"V%d","value":"%s%d"}`, i, fill, i)
		}
		for i := range 500 {
			fmt.Fprintf(&containers, `,{"name":"c%d","image":"%s:1"}`, i, fill)
		}
		return []byte(`{"spec":{"containers":[{"name":"app","image":"a","env":[{"name":"BIG","value":"` + strings.Repeat(fill, 500_000) + `"},
			{"name":"` + strings.Repeat(fill, 100_000) + `","value":"x"}` + env.String() + `]}` + containers.String() + `]}}`)
	}
	v := judge(t, documents{Live: pod("a"), Fresh: pod("b"), Template: []byte(`{"spec":{"containers":[{"name":"app"}]}}`)})
	if v.State != Drifted || len(v.Changes) == 0 || v.More == 0 {
		t.Errorf("%s, %d changes and %d more", v.State, len(v.Changes), v.More)
	}
	if n := len(v.Changes); n > maxChanges || SizeOf(v.Changes) > maxChangesSize || len(v.Sidecars) > maxNames || len(v.Loses) > maxNames {
		t.Errorf("%d changes of %d bytes, %d sidecars, %d lost", n, SizeOf(v.Changes), len(v.Sidecars), len(v.Loses))
	}
	for _, c := range v.Changes {
		if len(c.Path) > maxPath || len(c.From) > longest || len(c.To) > longest {
			t.Errorf("a path of %d bytes, values of %d and %d", len(c.Path), len(c.From), len(c.To))
		}
	}
}
