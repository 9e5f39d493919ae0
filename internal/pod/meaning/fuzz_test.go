package meaning

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/internal/mask/masktest"
)

// nodes are the maps, lists and leaves of a value, and how deep they lie.
func nodes(v Value) (count, depth int) {
	count = 1
	for _, item := range v.items {
		n, below := nodes(item)
		count += n
		depth = max(depth, below)
	}
	if v.Decoded() {
		depth++
	}
	return count, depth
}

// FuzzOf reads a text: what it means is within bounds, is JSON, and means itself.
func FuzzOf(f *testing.F) {
	for _, c := range append(masktest.Harmless(), masktest.Secrets(1)...) {
		var seed string
		if json.Unmarshal(c.Value, &seed) != nil {
			seed = string(c.Value)
		}
		f.Add(seed)
		f.Add(b64(seed))
	}
	f.Add(certificate(f, "root") + certificate(f, "other"))
	f.Add(zipped(f, "a: 1\nb: [x, {y: z}]\n"))
	f.Add("a: &x [1]\nb: *x\n<<: *x\n")
	f.Add("- - - - a\n- ? b\n")
	f.Fuzz(func(t *testing.T, seed string) {
		for _, raw := range []json.RawMessage{text(seed), json.RawMessage(seed)} {
			v := Of(raw)
			if count, depth := nodes(v); count > maxNodes || depth > maxDepth {
				t.Errorf("%d nodes, %d deep", count, depth)
			}
			if out := v.json(); out != nil && !json.Valid(out) {
				t.Errorf("no JSON: %q", out)
			}
			again := Of(raw)
			if !v.same(&again) {
				t.Error("another meaning each time")
			}
			checkSame(t, "itself", v, again, Variation{})
			if inner, ok := simple(raw); ok && plain(inner) {
				d := decoder{bytes: maxBytes, nodes: maxNodes}
				if _, ok := d.text(string(inner), nesting{}, false); ok {
					t.Errorf("%s is not plain", raw)
				}
			}
		}
	})
}

// FuzzLearn learns from answers, which may be anything, one a line, and compares
// them: what was learned is left out, and all else that is known of comparisons
// holds.
func FuzzLearn(f *testing.F) {
	f.Add(`["a","b"]`, `["b","a"]`, `["b","c"]`, `[]`)
	f.Add(`[{"name":"a","x":1},{"name":"b"}]`, `[{"name":"b"},{"name":"a","x":2}]`, `[{"name":"c"}]`, `{"name":"a"}`)
	f.Add(`["--a","1","--b=2"]`, `["--b=2","--a=1"]`, `["x","--a","1"]`, `["--a","--a"]`)
	f.Add(`a=1,b=2`, `b=2,a=1`, `a,b`, `{"a":"1","b":[2]}`)
	f.Add("a: 1\nb: 2\n", "b: 2\na: 3\n", "- a\n- b\n", "a: [1]\n")
	f.Add(`[[1,2],[3]]`, `[[3],[2,1]]`, `[[1],[2],[3]]`, `[1,2,[3]]`)
	f.Add(strings.Repeat(`[`, 40)+strings.Repeat(`]`, 40), `[[]]`, `[`, `null`)
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		var values []Value
		for _, s := range []string{a, b, c, d} {
			raw := json.RawMessage(s)
			if !json.Valid(raw) {
				raw = text(s)
			}
			values = append(values, Of(raw))
		}
		checkProperties(t, values)
	})
}
