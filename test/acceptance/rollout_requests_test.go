package acceptance

import (
	"context"
	"net/http"
	"sync"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

// A rollout of thousands of workloads must not weigh on the API server: a dozen
// requests each, the second audit's included, besides those of the plan. A
// controller may say too early that it is done: then an audit is repeated, which takes
// four.
func TestRolloutRequests(t *testing.T) {
	c, injector := fenced(t), testIstio(t)
	namespace := namespaceWith(t, c, injected)
	names := []string{"a", "b", "c", "d", "e"}
	deployWeb(t, c, namespace, 2, names...)
	if err := injector.Update(t.Context(), istio.Values("1.28.0", "150m")...); err != nil {
		t.Fatal(err)
	}
	config, err := c.ServiceAccountConfig(t.Context(), install.Namespace, install.RolloutAccount)
	if err != nil {
		t.Fatal(err)
	}
	audited, err := audit.Run(t.Context(), config, audit.Options{Selection: inventory.Selection{Namespace: namespace}, Concurrency: 4})
	if err != nil {
		t.Fatal(err)
	}

	var mu sync.Mutex
	var requests []string
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			requests = append(requests, r.Method+" "+r.URL.RequestURI())
			return next.RoundTrip(r)
		})
	})
	plan, err := rollout.MakePlan(t.Context(), config, audited, rollout.Options{})
	if err != nil {
		t.Fatal(err)
	}
	planned := len(requests)
	if planned > 4 { // what may be done, and the Deployments, namespace and budgets by lists
		t.Errorf("the plan took %d requests", planned)
	}
	verifying := audit.Options{Concurrency: 4, Surroundings: &audit.Surroundings{}}
	done, err := rollout.Run(t.Context(), config, plan, rollout.Options{}, func(ctx context.Context, w inventory.WorkloadRef, seen []byte) (*report.Item, error) {
		return audit.Workload(ctx, config, verifying, w, seen)
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]report.Result{}
	for _, name := range names {
		want["Deployment/"+name] = report.RolledOut
	}
	checkResults(t, done, want)
	// What admission is made of, autoscalers, and whether the controller may be impersonated are
	// read once for all. Those that the audit believed as others were asked for them are
	// audited once more, each with its five dry runs.
	told := 0
	for _, item := range audited.Items {
		if item.Revisions[0].Told {
			told++
		}
	}
	if most := 10*len(names) + 24 + 8*told; len(requests)-planned > most {
		for _, r := range requests {
			t.Log(r)
		}
		t.Errorf("%d requests for %d workloads, want at most %d", len(requests)-planned, len(names), most)
	}
}
