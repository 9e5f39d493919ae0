package webhook

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
)

// forgedSize is what API servers take of an object at most.
const forgedSize = 3 << 20

// forged is a Pod that somebody wrote to harm: as many of one thing as a review
// may hold. N stands in metadata or spec for the things, 0 in a thing for its
// number.
type forged struct {
	metadata, spec string
	values         int // in a thing
	thing          string
}

const (
	nothingOwned = `"managedFields":[{"operation":"Update","fieldsV1":{"f:spec":{}}}]`
	oneOwned     = `"managedFields":[{"operation":"Update","fieldsV1":{"f:spec":{"f:containers":{"k:{\"name\":\"a\"}":{".":{},"f:env":{"k:{\"name\":\"\\u0076\"}":{".":{}}}}}}}}]`
)

var forgedPods = map[string]forged{
	"containers":                {nothingOwned, `"containers":[N]`, 2, `{"name":"c0"}`},
	"init containers":           {nothingOwned, `"containers":[],"initContainers":[N]`, 3, `{"name":"c0","image":"i"}`},
	"containers, one owned":     {oneOwned, `"containers":[N]`, 3, `{"name":"c0","a":{}}`},
	"containers with variables": {nothingOwned, `"containers":[N]`, 6, `{"name":"c0","env":[{"name":"A","value":"$(A)"}]}`},
	"containers, one name":      {nothingOwned, `"containers":[N]`, 2, `{"name":"c"}`},
	"empty containers":          {nothingOwned, `"containers":[N]`, 1, `{}`},
	"variables":                 {nothingOwned, `"containers":[{"name":"a","env":[N]}]`, 3, `{"name":"v0","value":"$(v1)"}`},
	"variables, one owned":      {oneOwned, `"containers":[{"name":"a","env":[N]}]`, 3, `{"name":"v0","value":"$(v1)"}`},
	"variables, one name":       {nothingOwned, `"containers":[{"name":"a","env":[N]}]`, 3, `{"name":"v","value":"$(v)"}`},
	"volumes":                   {nothingOwned, `"containers":[],"volumes":[N]`, 3, `{"name":"v0","emptyDir":{}}`},
	"mounts":                    {nothingOwned, `"containers":[{"name":"a","volumeMounts":[N]}]`, 3, `{"name":"v","mountPath":"/0"}`},
	"token volumes":             {nothingOwned, `"volumes":[N],"containers":[]`, 3, `{"name":"kube-api-access-0","projected":{}}`},
	"arguments":                 {nothingOwned, `"containers":[{"name":"a","args":[N]}]`, 1, `"0"`},
	"tolerations":               {nothingOwned, `"containers":[],"tolerations":[N]`, 2, `{"key":"k0"}`},
	"quantities":                {nothingOwned, `"containers":[{"name":"a","resources":{"limits":{N}}}]`, 1, `"a0":"1e9"`},
	"annotations":               {nothingOwned + `,"annotations":{N}`, `"containers":[]`, 1, `"a0":""`},
	"fields of the Pod":         {nothingOwned, `"containers":[],N`, 1, `"a0":1`},
	"fields":                    {`"managedFields":[{"fieldsV1":{"f:spec":{N}}}]`, `"containers":[{"name":"a"}]`, 1, `"f:a0":{}`},
	"keys":                      {`"managedFields":[{"fieldsV1":{"f:spec":{"f:containers":{N}}}}]`, `"containers":[{"name":"a"}]`, 1, `"k:{\"name\":\"a0\"}":{}`},
	"escaped keys":              {`"managedFields":[{"fieldsV1":{"f:spec":{"f:containers":{N}}}}]`, `"containers":[{"name":"a"}]`, 1, `"k:{\"name\":\"\\u00610\"}":{}`},
	"managers":                  {`"managedFields":[N]`, `"containers":[{"name":"a"}]`, 3, `{"fieldsV1":{"f:0":{}}}`},
	"managers and containers":   {`"managedFields":[` + strings.Repeat(`{"fieldsV1":{"f:spec":{"f:containers":{"k:{\"name\":\"a\"}":{}}}}},`, 1000) + `{}]`, `"containers":[N]`, 2, `{"name":"c0"}`},
	"managers and variables":    {`"managedFields":[` + strings.Repeat(`{"fieldsV1":{"f:spec":{"f:containers":{"k:{\"name\":\"a\"}":{"f:env":{}}}}}},`, 5000) + `{}]`, `"containers":[{"name":"a","env":[N]}]`, 2, `{"name":"c0"}`},
	"Istio's list":              {`"annotations":{"sidecar.istio.io/status":"{\"containers\":[N]}"}`, `"containers":[{"name":"a"}]`, 0, `\"0\"`},
	"depth":                     {nothingOwned, `"containers":[N]`, 9000, `{"name":"0","b":` + strings.Repeat("[", 8998) + strings.Repeat("]", 8998) + `}`},
	"deep maps":                 {nothingOwned, `"containers":[N]`, 9000, `{"name":"0","b":` + strings.Repeat(`{"a":`, 8998) + "1" + strings.Repeat("}", 8998) + `}`},
}

// review returns a review of the Pod, of some forgedSize bytes if that many
// things fit in.
func (f forged) review() string { return f.reviewOf(forgedSize) }

func (f forged) reviewOf(size int) string {
	const head = `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u-1",` +
		`"kind":{"group":"","version":"v1","kind":"Pod"},"operation":"CREATE","object":{"metadata":{`
	n := max(1, size/(len(f.thing)+6))
	if f.values > 0 {
		n = min(n, (maxValues*9/10)/f.values)
	}
	digits := max(1, size/n-len(f.thing))
	things := make([]string, n)
	for i := range things {
		things[i] = strings.Replace(f.thing, "0", fmt.Sprintf("%0*d", digits, i), 1)
	}
	all := strings.Join(things, ",")
	return head + strings.Replace(f.metadata, "N", all, 1) + `},"spec":{` + strings.Replace(f.spec, "N", all, 1) + `}}}}`
}

// TestForgedReviews: what one review makes the stamper allocate is bounded, and
// with it the time. docs/security.md has the figures.
func TestForgedReviews(t *testing.T) {
	const most = 100 << 20
	for name, pod := range forgedPods {
		t.Run(name, func(t *testing.T) {
			body := pod.review()
			h := newHarness()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			recorder := h.post(strings.NewReader(body))
			runtime.ReadMemStats(&after)
			if recorder.Code != http.StatusOK && recorder.Code != http.StatusBadRequest {
				t.Errorf("status %d", recorder.Code)
			}
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > most {
				t.Errorf("a review of %d bytes takes %d", len(body), allocated)
			}
		})
	}
}

// BenchmarkForged shows what they cost.
func BenchmarkForged(b *testing.B) {
	for name, pod := range forgedPods {
		b.Run(name, func(b *testing.B) {
			body := pod.review()
			h := newHarness()
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				h.post(strings.NewReader(body))
			}
		})
	}
}
