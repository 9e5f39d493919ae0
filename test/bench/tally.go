package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"sync"
)

// tally counts requests by what they ask for.
type tally struct {
	mu   sync.Mutex
	sent map[string]int
}

func newTally() *tally { return &tally{sent: map[string]int{}} }

var (
	inNamespace = regexp.MustCompile(`/namespaces/[^/]+/([a-z.]+)(/[^/]+)?`)
	ofGroup     = regexp.MustCompile(`^/apis?/`)
)

func (t *tally) count(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		path := ofGroup.ReplaceAllString(inNamespace.ReplaceAllString(request.URL.Path, "/$1"), "")
		for _, key := range []string{"watch", "dryRun", "labelSelector"} {
			if request.URL.Query().Has(key) {
				path += " " + key
			}
		}
		t.mu.Lock()
		t.sent[request.Method+" "+path]++
		t.mu.Unlock()
		return next.RoundTrip(request)
	})
}

func (t *tally) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.sent)
}

// each prints how often each was sent for one workload, and returns the sum.
func (t *tally) each(out io.Writer, workloads int) float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	sum := 0
	for _, what := range slices.Sorted(maps.Keys(t.sent)) {
		n := t.sent[what]
		sum += n
		if each := float64(n) / float64(workloads); each >= 0.01 {
			fmt.Fprintf(out, "  %5.2f %s\n", each, what)
		}
	}
	return float64(sum) / float64(workloads)
}
