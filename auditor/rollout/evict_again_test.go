package rollout

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// Both Pods were evicted and replaced, one new one differs, and nothing more may be evicted,
// as the window has ended, or injection gives more than was chosen: it did not converge.
func TestNoSecondEvictionOnceNothingMayBegin(t *testing.T) {
	t.Run("the window has ended", func(t *testing.T) { noSecondEviction(t, change.Loss, true, "v1:fresh") })
	t.Run("injection changed, and risk is limited", func(t *testing.T) { noSecondEviction(t, change.Version, false, "v1:upgraded") })
}

func noSecondEviction(t *testing.T, risk change.Risk, ends bool, fresh string) {
	t.Helper()
	var mu sync.Mutex
	pods, next, evictions, drained := []string{"p1", "p2"}, 3, 0, make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasSuffix(r.URL.Path, "/eviction"):
			evictions++
			if evictions > 2 {
				w.WriteHeader(http.StatusForbidden)
				fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"denied by policy"}`)
				return
			}
			name := strings.Split(r.URL.Path, "/")[6]
			for i := range pods {
				if pods[i] == name {
					pods[i] = fmt.Sprint("p", next)
					next++
				}
			}
			w.WriteHeader(http.StatusCreated)
			fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Success"}`)
		case strings.HasSuffix(r.URL.Path, "/pods"):
			var items []string
			for _, p := range pods {
				items = append(items, fmt.Sprintf(`{"metadata":{"name":%q,"namespace":"shop","uid":"uid-%s"},"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True","lastTransitionTime":"2020-01-01T00:00:00Z"}]}}`, p, p))
			}
			fmt.Fprintf(w, `{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[%s]}`, strings.Join(items, ","))
		case strings.HasSuffix(r.URL.Path, "/deployments/web"):
			fmt.Fprint(w, deploymentJSON)
		default:
			w.WriteHeader(http.StatusCreated)
			fmt.Fprint(w, `{"kind":"Event","apiVersion":"v1","metadata":{}}`)
		}
	}))
	defer server.Close()
	c, err := connect(&rest.Config{Host: server.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}})
	if err != nil {
		t.Fatal(err)
	}
	planned := withPods(audited("Deployment", verdict.Drifted, imageChange), "p1", "p2")
	opts := Options{Strategy: Evict, Select: Filter{MaxRisk: risk}}.withDefaults()
	opts.Pace.MaxUnavailable = 1
	opts.Pace.Drain = drained
	task := task{
		cluster: c, opts: opts, item: planned, tell: func(Event) {}, biased: func([]verdict.Change) {},
		audit: func(context.Context, inventory.WorkloadRef, []byte) (*report.Item, error) {
			item := withPods(audited("Deployment", verdict.Drifted, imageChange), "p3")
			item.Revisions[0].Fresh = fresh
			item.Revisions[0].Members[verdict.InSync] = []report.PodRef{{Name: "p4", UID: "uid-p4"}}
			select {
			case <-drained:
			default:
				if !ends {
					break
				}
				close(drained) // the window has ended meanwhile: nothing new is to start
			}
			return &item, nil
		},
	}
	object, err := c.get(t.Context(), refOf(planned))
	if err != nil {
		t.Fatal(err)
	}
	targets := planned.Revisions[0].Members[verdict.Drifted]
	b := begun{recreation: &eviction{cluster: c, pace: opts.Pace, targets: targets}, workload: object}
	if b.workload, err = b.begin(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	d, _ := task.settle(t.Context(), b)
	mu.Lock()
	defer mu.Unlock()
	if d.result != report.NotConverging {
		t.Errorf("%s: %s", d.result, d.reason)
	}
	if evictions > 2 {
		t.Errorf("%d evictions, though nothing new may begin after two", evictions)
	}
}

var deploymentJSON = func() string {
	b, _ := json.Marshal(map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": map[string]any{"name": "web", "namespace": "shop", "uid": "u", "generation": 1, "creationTimestamp": "2020-01-01T00:00:00Z"},
		"spec": map[string]any{
			"replicas": 2, "selector": map[string]any{"matchLabels": map[string]string{"app": "web"}},
			"template": map[string]any{"metadata": map[string]any{"labels": map[string]string{"app": "web"}}, "spec": map[string]any{"containers": []any{map[string]any{"name": "app", "image": "a"}}}},
		},
		"status": map[string]any{"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "readyReplicas": 2},
	})
	return string(b)
}()
