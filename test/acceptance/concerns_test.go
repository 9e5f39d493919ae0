package acceptance

import (
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

// counting is an auditor whose dry runs are counted.
func counting(t *testing.T, c *cluster.Cluster, namespaces ...string) (*standing, func() int) {
	t.Helper()
	var asked atomic.Int64
	return stand(t, auditorConfig(t, c), audit.Options{
		Selection: inventory.Selection{IncludeNamespaces: namespaces}, Concurrency: 4, Log: logr.Discard(),
		Asked: func(string) { asked.Add(1) },
	}, watch.Sweep{Interval: 10 * time.Minute, Full: 1000 * time.Minute}), func() int { return int(asked.Swap(0)) }
}

// What changed is asked about whom it concerns, and nobody else: a namespace's annotation
// by which an injector decides, as Linkerd's does, and an object that a webhook is of.
func TestConcerns(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	namespace, running := startOwnInjector(t, c, addsProxy("proxy:1"))
	var reviewed atomic.Int64
	elsewhere, _ := startOwnInjector(t, c, func(r injector.Request) []injector.Operation {
		reviewed.Add(1)
		return addsProxy("proxy:1")(r)
	})
	running.Inject(injector.WhereAnnotated("mesh.example.com/inject", "enabled", addsProxy("proxy:1")))
	deployAtOnce(t, c, namespace, "web", "api")
	deployAtOnce(t, c, elsewhere, "far", "farther", "farthest")
	s, asked := counting(t, c, namespace, elsewhere)
	s.round(watch.Everything)
	if n := asked(); n < 5 {
		t.Fatalf("%d dry runs at first", n)
	}

	with := func(concern watch.Concern) watch.Round {
		t.Helper()
		r, err := s.Round(t.Context(), watch.Changes, concern)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	configurations, err := c.Kubectl(t.Context(), "", "get", "mutatingwebhookconfigurations", "-o", "name")
	if err != nil {
		t.Fatal(err)
	}
	own := ""
	for line := range strings.Lines(configurations) {
		if name := strings.TrimSpace(line[strings.Index(line, "/")+1:]); strings.Contains(name, namespace) {
			own = name
		}
	}
	reviewed.Store(0)
	for _, test := range []struct {
		concern watch.Concern
		asked   int
	}{
		{watch.Concern{Namespace: namespace}, 2},
		{watch.Concern{Object: "MutatingWebhookConfiguration/" + own}, 2},
		{watch.Concern{Object: "MutatingWebhookConfiguration/none-of-ours"}, 0},
		{watch.Concern{Namespace: "none-of-ours"}, 0},
	} {
		if r := with(test.concern); r.Asked != test.asked {
			t.Errorf("%+v: asked about %d, want %d", test.concern, r.Asked, test.asked)
		}
	}
	if n := reviewed.Load(); n > 0 {
		t.Errorf("%d dry runs of those who are not concerned", n)
	}

	if _, err := c.Kubectl(t.Context(), "", "annotate", "namespace", namespace, "mesh.example.com/inject=enabled"); err != nil {
		t.Fatal(err)
	}
	if r := s.round(watch.Changes); r.Asked != 0 {
		t.Errorf("nobody said that something changed, and %d are asked", r.Asked)
	}
	r := with(watch.Concern{Namespace: namespace})
	if r.Report.Summary.Pods[verdict.Missing] != 2 || r.Report.Summary.Pods[verdict.InSync] != 3 {
		t.Errorf("of the namespace: asked about %d, found %v", r.Asked, r.Report.Summary.Pods)
	}
}
