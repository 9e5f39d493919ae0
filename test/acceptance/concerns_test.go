package acceptance

import (
	"context"
	"fmt"
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

// A Pod without a controller that is like one before but for its name is not asked about,
// as long as it is like that one in sync; one that is otherwise is.
func TestKnownShapes(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	namespace, running := startOwnInjector(t, c, addsProxy("proxy:1"))
	pod := func(name, image string) {
		t.Helper()
		apply(t, c, namespace, fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: %s, labels: {app: %[1]s}}
spec: {containers: [{name: app, image: "%s"}]}
`, name, image))
	}
	s, asked := counting(t, c, namespace)
	known := func(pods int) func(t *testing.T, states ...string) {
		t.Helper()
		var r watch.Round
		err := cluster.Poll(t.Context(), fmt.Sprintf("%d Pods", pods), func(context.Context) error {
			r = s.round(watch.Changes)
			n := 0
			for _, of := range r.Report.Summary.Pods {
				n += of
			}
			if n != pods {
				return fmt.Errorf("there are %d", n)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return func(t *testing.T, states ...string) { t.Helper(); checkStates(t, r.Report, states...) }
	}
	pod("one", "app:1")
	known(1)(t, "Pod/one InSync 1")
	if n := asked(); n == 0 {
		t.Fatal("no dry run at first")
	}
	pod("two", "app:1")
	known(2)(t, "Pod/one InSync 1", "Pod/two InSync 1")
	if n := asked(); n != 0 {
		t.Errorf("%d dry runs for those that are like others", n)
	}
	pod("other", "app:2")
	known(3)
	if n := asked(); n == 0 {
		t.Error("nobody is asked about a Pod that is like none")
	}
	// Injected otherwise than what is known: it is asked about.
	running.Inject(addsProxy("proxy:2"))
	pod("three", "app:1")
	known(4)
	if n := asked(); n == 0 {
		t.Error("nobody is asked about a Pod that was injected otherwise")
	}
}
