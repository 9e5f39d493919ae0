package acceptance

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/auditor/watch"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

// standing is an auditor that watches a namespace.
type standing struct {
	*watch.Auditor
	t *testing.T
}

// startAuditor starts one whose sweep takes ten rounds, of which none ends by time.
func startAuditor(t *testing.T, config *rest.Config, namespace string) *standing {
	t.Helper()
	return stand(t, config, audit.Options{
		Selection: inventory.Selection{Namespace: namespace}, Concurrency: 4, Log: logr.Discard(),
	}, watch.Sweep{Interval: 10 * time.Minute, Full: 100 * time.Minute})
}

// stand has an auditor watch until the test ends.
func stand(t *testing.T, config *rest.Config, options audit.Options, sweep watch.Sweep) *standing {
	t.Helper()
	a, err := watch.New(config, options, sweep)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { a.Run(ctx); close(ended) }()
	t.Cleanup(func() { stop(); <-ended })
	return &standing{a, t}
}

func (s *standing) round(scope watch.Scope) watch.Round {
	s.t.Helper()
	r, err := s.Round(s.t.Context(), scope)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// until has rounds of what changed until the Pods of web are so many of a state. It
// returns how many revisions were asked about.
func (s *standing) until(state verdict.State, pods int) (asked int) {
	s.t.Helper()
	err := cluster.Poll(s.t.Context(), fmt.Sprintf("%d %s Pods", pods, state), func(context.Context) error {
		r := s.round(watch.Changes)
		asked += r.Asked
		for _, item := range r.Report.Items {
			if item.Name == "web" && item.Pods[state] == pods && len(item.Pods) == 1 {
				return nil
			}
		}
		return fmt.Errorf("found %s", details(r.Report))
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return asked
}

func names(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("web-%02d", i)
	}
	return all
}

// in is the state of each Deployment, as checkStates wants it.
func in(state verdict.State, names ...string) []string {
	var lines []string
	for _, name := range names {
		lines = append(lines, fmt.Sprintf("Deployment/%s %s 1", name, state))
	}
	return lines
}

// One who has a feature stands for all who have it: a change is found by the next round.
// An injector that tells apart what no feature does is found by the sweep.
func TestSentinels(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	namespace, running := startOwnInjector(t, c, addsProxy("proxy:1"))
	all := names(12)
	deployAtOnce(t, c, namespace, all...)
	s := startAuditor(t, auditorConfig(t, c), namespace)

	if r := s.round(watch.Everything); r.Asked != 12 || r.Features == 0 {
		t.Errorf("asked about %d, %d features", r.Asked, r.Features)
	}
	for range 5 {
		r := s.round(watch.Cover)
		checkStates(t, r.Report, in(verdict.InSync, all...)...)
		if r.Asked < 2 || r.Asked > 4 { // two of all that are alike, and whose turn it is
			t.Errorf("the cover asks about %d", r.Asked)
		}
	}

	running.Inject(addsProxy("proxy:2"))
	r := s.round(watch.Cover)
	checkStates(t, r.Report, in(verdict.Drifted, all...)...)
	if r.Learned != 0 {
		t.Errorf("a change that concerns all: %d features learned", r.Learned)
	}

	// Nothing that is a feature tells these two apart from the others.
	special := func(image string) injector.Answer {
		return func(r injector.Request) []injector.Operation {
			if app := r.Pod.Labels["app"]; app == all[3] || app == all[8] {
				return addsProxy(image)(r)
			}
			return addsProxy("proxy:2")(r)
		}
	}
	running.Inject(special("proxy:3"))
	changed := func(image string) (found []string) {
		for _, item := range r.Report.Items {
			for _, change := range item.Revisions[0].Changes {
				if string(change.To) == `"`+image+`"` {
					found = append(found, item.Name)
				}
			}
		}
		return found
	}
	for range 13 {
		r = s.round(watch.Cover)
	}
	if got := changed("proxy:3"); !slices.Equal(got, []string{all[3], all[8]}) {
		t.Errorf("the sweep finds %v", got)
	}
	running.Inject(special("proxy:4"))
	if r = s.round(watch.Cover); len(changed("proxy:4")) != 2 {
		t.Errorf("once their answers are features of their own, the next round finds %v", changed("proxy:4"))
	}
}

// deployAtOnce makes Deployments of one Pod.
func deployAtOnce(t *testing.T, c *cluster.Cluster, namespace string, names ...string) {
	t.Helper()
	var manifests strings.Builder
	for _, name := range names {
		fmt.Fprintf(&manifests, `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec: {containers: [{name: app, image: "app:1"}]}
`, name)
	}
	apply(t, c, namespace, manifests.String())
	for _, name := range names {
		rolledOut(t, c, namespace, "deployment/"+name)
	}
}

// Pods that come, go or are changed are known by the watch: nobody is asked about
// those that are like others.
func TestAuditorWatchesPods(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	for name, refuse := range map[string]fault{
		"streamed": func(r *http.Request, send roundTrip) (*http.Response, error) { return send(r) },
		"listed": func(r *http.Request, send roundTrip) (*http.Response, error) {
			if r.URL.Query().Has("sendInitialEvents") { // as API servers do that do not know it
				return answer(r, http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, ""), nil
			}
			return send(r)
		},
		"expired": func() fault {
			var watches atomic.Int32
			return func(r *http.Request, send roundTrip) (*http.Response, error) {
				if r.URL.Query().Has("watch") && !r.URL.Query().Has("sendInitialEvents") && watches.Add(1)%2 == 1 {
					return answer(r, http.StatusGone, metav1.StatusReasonExpired, ""), nil
				}
				response, err := send(r)
				if err == nil && r.URL.Query().Has("watch") {
					response.Body = &shortBody{ReadCloser: response.Body}
				}
				return response, err
			}
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace, running := startOwnInjector(t, c, addsProxy("proxy:1"))
			deployWeb(t, c, namespace, 2, "web")
			s := startAuditor(t, through(auditorConfig(t, c), refuse), namespace)
			s.until(verdict.InSync, 2)
			scale(t, c, namespace, 4)
			if asked := s.until(verdict.InSync, 4); asked != 0 {
				t.Errorf("asked about Pods that are like the others, %d times", asked)
			}
			running.Inject(addsProxy("proxy:2"))
			if r := s.round(watch.Cover); r.Report.Summary.Pods[verdict.Drifted] != 4 {
				t.Errorf("after a change: %v", r.Report.Summary.Pods)
			}
			scale(t, c, namespace, 1)
			if asked := s.until(verdict.Drifted, 1); asked != 0 {
				t.Errorf("asked about Pods that went, %d times", asked)
			}
			restart(t, c, namespace, "web")
			if asked := s.until(verdict.InSync, 1); asked == 0 {
				t.Error("a new revision is in sync, and nobody was asked")
			}
			pod := podsOf(t, c, namespace, "app=web")[0]
			if _, err := c.Kubectl(t.Context(), "", "-n", namespace, "set", "image", "pod/"+pod.Name, "proxy=proxy:3"); err != nil {
				t.Fatal(err)
			}
			s.until(verdict.Modified, 1)
			if _, err := c.Kubectl(t.Context(), "", "-n", namespace, "delete", "deployment", "web"); err != nil {
				t.Fatal(err)
			}
			err := cluster.Poll(t.Context(), "the workload to go", func(context.Context) error {
				if left := s.round(watch.Changes).Report.Items; len(left) > 0 {
					return fmt.Errorf("%d are left", len(left))
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// shortBody is cut two seconds after its first bytes: later on a busy machine, where
// even they take their time.
type shortBody struct {
	io.ReadCloser
	begun sync.Once
}

func (b *shortBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.begun.Do(func() { time.AfterFunc(2*time.Second, func() { _ = b.Close() }) })
	}
	return n, err
}

func scale(t *testing.T, c *cluster.Cluster, namespace string, replicas int) {
	t.Helper()
	if _, err := c.Kubectl(t.Context(), "", "-n", namespace, "scale", "deployment/web", fmt.Sprintf("--replicas=%d", replicas)); err != nil {
		t.Fatal(err)
	}
}

func restart(t *testing.T, c *cluster.Cluster, namespace, name string) {
	t.Helper()
	if _, err := c.Kubectl(t.Context(), "", "-n", namespace, "rollout", "restart", "deployment/"+name); err != nil {
		t.Fatal(err)
	}
	rolledOut(t, c, namespace, "deployment/"+name)
}

// An identity that may not watch Pods is told so at once.
func TestAuditorThatMayNotWatch(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	namespace := namespaceWith(t, c, nil)
	config, err := c.ServiceAccountConfig(t.Context(), namespace, "default")
	if err != nil {
		t.Fatal(err)
	}
	s := startAuditor(t, config, namespace)
	_, err = s.Round(t.Context(), watch.Everything)
	if err == nil || !strings.Contains(err.Error(), "watch pods") || !strings.Contains(err.Error(), "ClusterRole sidecar-drift-audit") {
		t.Errorf("it says: %v", err)
	}
}
