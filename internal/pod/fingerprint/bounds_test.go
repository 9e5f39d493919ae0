package fingerprint

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// TestMemoryIsBounded: what a Pod's author may write costs memory by its size,
// and not by the square of it or by the numbers in it. The stamper sees Pods
// before they are validated.
func TestMemoryIsBounded(t *testing.T) {
	const perByte, base = 100, 1 << 20
	many := func(n int, format string) string {
		items := make([]string, n)
		for i := range items {
			items[i] = fmt.Sprintf(format, i)
		}
		return strings.Join(items, ",")
	}
	pod := func(owned, container string) string {
		return `{"metadata":{"name":"a","managedFields":[{"operation":"Update","fieldsV1":{"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{".":{},` +
			owned + `}}}}}]},"spec":{"containers":[{"name":"app",` + container + `},{"name":"proxy",` + container + `}]}}`
	}
	for name, src := range map[string]string{
		"a deep list":               pod(`"f:x":{}`, `"new":`+strings.Repeat("[", 9990)+strings.Repeat("]", 9990)),
		"a deep map":                pod(`"f:x":{}`, `"new":`+strings.Repeat(`{"resources":`, 9990)+"1"+strings.Repeat("}", 9990)),
		"a deep set of fields":      pod(strings.Repeat(`"f:x":{`, 9900)+strings.Repeat("}", 9900), `"x":1`),
		"a long list":               pod(`"f:args":{}`, `"args":[`+strings.Repeat(`"",`, 100_000)+`""]`),
		"many variables":            pod(`"f:env":{".":{}}`, `"env":[`+many(10_000, `{"name":"v%d"}`)+`]`),
		"many fields":               pod(many(10_000, `"f:x%d":{}`), many(10_000, `"y%d":{}`)),
		"long keys with escapes":    pod(`"f:env":{`+many(60, `"k:{\"name\":\"\\u0041%d`+strings.Repeat("x", 2000)+`\"}":{".":{}}`)+`}`, `"env":[`+many(5000, `{"name":"v%d"}`)+`]`),
		"references of a long name": pod(`"f:x":{}`, `"env":[{"name":"A"},{"name":"`+strings.Repeat("N", 20_000)+`","value":"`+strings.Repeat("$(A)", 5000)+`"}]`),
		"an exponent":               pod(`"f:x":{}`, `"resources":{"limits":{"cpu":"1e-5000000"},"requests":{"cpu":"12345678901234567890e5000000"}}`),
		"digits":                    pod(`"f:x":{}`, `"resources":{"limits":{"cpu":"`+strings.Repeat("1", 100_000)+`"}}`),
		"the own name":              pod(`"f:x":{}`, `"image":"`+strings.Repeat("a", 100_000)+`"`),
		"a number":                  pod(`"f:x":{}`, `"new":1.`+strings.Repeat("1", 100_000)+`e-5000000`),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			root, err := jsontree.Parse([]byte(src))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Of(root); err != nil {
				t.Fatal(err)
			}
			runtime.ReadMemStats(&after)
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > base+perByte*uint64(len(src)) {
				t.Errorf("%d bytes take %d bytes of memory: %d for each", len(src), allocated, allocated/uint64(len(src)))
			}
		})
	}
}
