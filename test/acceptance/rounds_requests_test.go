package acceptance

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/auditor/watch"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

// Owners are read by name where few are asked about, and else by one list a round, however
// many answers move in it.
func TestOwnersAreListedOnceARound(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	namespace, running := startOwnInjector(t, c, addsProxy("proxy:1"))
	const all = 104 // more than are read by name
	var manifests strings.Builder
	for i := range all {
		fmt.Fprintf(&manifests, `---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: "many-%03[1]d"}
spec:
  selector: {matchLabels: {app: "many-%03[1]d"}}
  template:
    metadata: {labels: {app: "many-%03[1]d", of: many, mesh.example.com/side: %[2]s}}
    spec: {nodeSelector: {none: has-it}, containers: [{name: app, image: "app:1"}]}
`, i, []string{"left", "right"}[i%2])
	}
	apply(t, c, namespace, manifests.String())
	podsExist(t, c, namespace, "of=many", all)

	var lists, gets atomic.Int64
	const owners = "/replicasets"
	s := stand(t, through(auditorConfig(t, c), func(r *http.Request, send roundTrip) (*http.Response, error) {
		switch {
		case r.Method != http.MethodGet || r.URL.Query().Has("continue"):
		case strings.HasSuffix(r.URL.Path, owners):
			lists.Add(1)
		case strings.Contains(r.URL.Path, owners+"/"):
			gets.Add(1)
		}
		return send(r)
	}), audit.Options{Selection: inventory.Selection{Namespace: namespace}, Concurrency: 8, Log: logr.Discard()},
		watch.Sweep{Interval: 10 * time.Minute, Full: 1000 * time.Minute})
	round := func(name string, scope watch.Scope, wantLists int64, drifted int, concerns ...watch.Concern) {
		t.Helper()
		lists.Store(0)
		gets.Store(0)
		r, err := s.Round(t.Context(), scope, concerns...)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Report.Summary.Pods[verdict.Drifted]; got != drifted {
			t.Errorf("%s: %d Pods drifted, want %d", name, got, drifted)
		}
		if n := lists.Load(); n != wantLists {
			t.Errorf("%s: %d lists, want %d", name, n, wantLists)
		}
		if n := gets.Load(); n > int64(r.Asked) || wantLists == 0 && r.Asked > 0 && n == 0 {
			t.Errorf("%s: %d were read by name, of %d that were asked about", name, n, r.Asked)
		}
	}
	round("the first", watch.Everything, 1, 0)
	round("nothing has changed", watch.Cover, 0, 0)
	running.Inject(func(r injector.Request) []injector.Operation {
		if r.Pod.Labels["mesh.example.com/side"] == "left" {
			return addsProxy("proxy:2")(r)
		}
		return addsProxy("proxy:1")(r)
	})
	round("half of them", watch.Cover, 0, all/2)
	running.Inject(addsProxy("proxy:3")) // so that some are asked once more, to confirm that
	round("whom a webhook is of", watch.Changes, 1, all, watch.Concern{Object: "MutatingWebhookConfiguration/test-injector-" + namespace})
	round("no Pods changed", watch.Changes, 0, all)
}

// Whom a webhook matched before it was changed is asked about by the next round that ends
// well, though the first one to know of the change did not.
func TestAFailedRoundKeepsWhatWebhooksMatched(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	namespace, _ := startOwnInjector(t, c, addsProxy("proxy:1"))
	deployAtOnce(t, c, namespace, "web", "api")
	var fails atomic.Pointer[context.CancelFunc]
	s := stand(t, through(auditorConfig(t, c), func(r *http.Request, send roundTrip) (*http.Response, error) {
		if fail := fails.Load(); fail != nil && strings.Contains(r.URL.Path, "/replicasets") {
			(*fail)()
		}
		return send(r)
	}), audit.Options{Selection: inventory.Selection{Namespace: namespace}, Concurrency: 4, Log: logr.Discard()},
		watch.Sweep{Interval: 10 * time.Minute, Full: 1000 * time.Minute})
	if r := s.round(watch.Everything); r.Report.Summary.Pods[verdict.InSync] != 2 {
		t.Fatalf("at first: %v", r.Report.Summary.Pods)
	}

	own := "test-injector-" + namespace
	patch := fmt.Sprintf(`[{"op":"replace","path":"/webhooks/0/namespaceSelector","value":{"matchLabels":{%q:"nobody"}}}]`, injector.NamespaceLabel)
	if _, err := c.Kubectl(t.Context(), "", "patch", "mutatingwebhookconfiguration", own, "--type=json", "-p", patch); err != nil {
		t.Fatal(err)
	}
	err := cluster.Poll(t.Context(), "the injector to be asked no more", func(ctx context.Context) error {
		got, err := c.Kubectl(ctx, "", "-n", namespace, "run", "probe", "--image", "app:1", "--dry-run=server", "-o", "jsonpath={.spec.containers[*].name}")
		if err == nil && strings.Contains(got, "proxy") {
			err = fmt.Errorf("a Pod has the containers %s", got)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	concern := watch.Concern{Object: "MutatingWebhookConfiguration/" + own}
	ctx, cancel := context.WithCancel(t.Context())
	fails.Store(&cancel)
	if r, err := s.Round(ctx, watch.Changes, concern); err == nil {
		t.Fatalf("the round does not fail: asked about %d", r.Asked)
	}
	fails.Store(nil)
	r, err := s.Round(t.Context(), watch.Changes, concern)
	if err != nil {
		t.Fatal(err)
	}
	if r.Report.Summary.Pods[verdict.Orphaned] != 2 {
		t.Errorf("asked about %d, found %v; want both to lose their proxy", r.Asked, r.Report.Summary.Pods)
	}
}
