package acceptance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

// underWay notes which workloads are rolled out at the same time.
type underWay struct {
	mu       sync.Mutex
	now      []string
	together [][]string // each set that there was of more than one
	order    []string   // as they started
}

func (u *underWay) note(event rollout.Event) {
	u.mu.Lock()
	defer u.mu.Unlock()
	name := event.Workload.Name
	switch event.Phase {
	case rollout.Started:
		u.now, u.order = append(u.now, name), append(u.order, name)
		if len(u.now) > 1 {
			set := slices.Clone(u.now)
			slices.Sort(set)
			u.together = append(u.together, set)
		}
	case rollout.Finished:
		u.now = slices.DeleteFunc(u.now, func(other string) bool { return other == name })
	}
}

// Two workloads behind one budget never are rolled out at the same time; others
// may be beside them.
func TestRolloutOfWorkloadsBehindOneBudget(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	e.deployBehind(t, "both", "a", "b")
	deployWeb(t, e.Cluster, e.namespace, 2, "c")
	e.budget(t, "both", "minAvailable: 2", "budget: both")
	var u underWay
	e.opts.Pace.Parallel, e.opts.Progress = 3, u.note
	done := e.run(t.Context(), t, e.plan(t,
		e.item("Deployment", "a", verdict.Drifted), e.item("Deployment", "b", verdict.Drifted), e.item("Deployment", "c", verdict.Drifted)))
	checkResults(t, done, map[string]report.Result{
		"Deployment/a": report.RolledOut, "Deployment/b": report.RolledOut, "Deployment/c": report.RolledOut,
	})
	for _, set := range u.together {
		if slices.Contains(set, "a") && slices.Contains(set, "b") {
			t.Errorf("rolled out at the same time: %v", set)
		}
	}
	if !slices.ContainsFunc(u.together, func(set []string) bool { return slices.Contains(set, "c") }) {
		t.Errorf("c waited for nothing: %v", u.together)
	}
}

func TestRolloutWithinAPercentage(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	deployWeb(t, e.Cluster, e.namespace, 4, "a", "b", "c", "d")
	items := []report.Item{}
	for _, name := range []string{"a", "b", "c", "d"} {
		item := e.item("Deployment", name, verdict.Drifted)
		item.Pods = map[verdict.State]int{verdict.Drifted: 4}
		items = append(items, item)
	}
	// 16 Pods; each Deployment lets one be unavailable.
	e.opts.Pace.Parallel, e.opts.Pace.MaxUnavailablePercent = 4, 13
	var u underWay
	e.opts.Progress = u.note
	e.run(t.Context(), t, e.plan(t, items...))
	if len(u.order) != 4 {
		t.Errorf("rolled out %v, want all four", u.order)
	}
	for _, set := range u.together {
		if len(set) > 2 {
			t.Errorf("rolled out at the same time: %v, want two at most", set)
		}
	}

	e.opts.Pace.MaxUnavailablePercent = 6
	for _, name := range []string{"a", "b", "c", "d"} {
		rolledOut(t, e.Cluster, e.namespace, "deployment/"+name)
	}
	for _, item := range e.plan(t, items...).Report().Items {
		if want := "--max-unavailable-percent 6 allows 0"; item.Rollout.Result != report.Skipped || !strings.Contains(item.Rollout.Reason, want) {
			t.Errorf("%s is %s: %s, want it Skipped: %s", item.Name, item.Rollout.Result, item.Rollout.Reason, want)
		}
	}
}

// canaryEngines are two namespaces with two Deployments each.
func canaryEngines(t *testing.T) (*engine, []report.Item) {
	t.Helper()
	t.Parallel()
	var items []report.Item
	e, other := newEngine(t), newEngine(t)
	for _, in := range []*engine{e, other} {
		deployWeb(t, in.Cluster, in.namespace, 2, "a", "b")
		items = append(items, in.item("Deployment", "a", verdict.Drifted), in.item("Deployment", "b", verdict.Drifted))
	}
	e.opts.Pace.Canary, e.opts.Pace.Soak, e.opts.Pace.Parallel = 2, 5*time.Second, 4
	return e, items
}

// Canaries go first, one a namespace, and the others follow when they have
// been watched.
func TestRolloutWithCanaries(t *testing.T) {
	e, items := canaryEngines(t)
	var u underWay
	soaked := false
	e.opts.Progress = func(event rollout.Event) {
		u.note(event)
		if event.Phase == rollout.Soaking {
			soaked = true
			if event.Done != 2 {
				t.Errorf("watched after %d workloads, want 2", event.Done)
			}
		}
	}
	done := e.run(t.Context(), t, e.plan(t, items...))
	for _, item := range done.Items {
		if item.Rollout.Result != report.RolledOut {
			t.Errorf("%s/%s is %s: %s", item.Namespace, item.Name, item.Rollout.Result, item.Rollout.Reason)
		}
	}
	if diff := cmp.Diff([]string{"a", "a", "b", "b"}, u.order); diff != "" || !soaked {
		t.Errorf("watched: %v; order (-want +got):\n%s", soaked, diff)
	}
}

// A canary that is ill, or whose containers are restarted, while it is watched
// halts everything.
func TestRolloutHaltsAtAnIllCanary(t *testing.T) {
	for name, test := range map[string]struct {
		status, want string
	}{
		"unavailable": {`{"status":{"conditions":[{"type":"Ready","status":"False"}]}}`, "it became unavailable: 1 of 2 Pods are available"},
		"restarted":   {`{"status":{"containerStatuses":[{"name":"app","image":"app:1","imageID":"","ready":true,"restartCount":2}]}}`, "its containers were restarted 2 times"},
	} {
		t.Run(name, func(t *testing.T) {
			e, items := canaryEngines(t)
			e.opts.Pace.Soak = time.Minute
			hurt := false
			e.opts.Progress = func(event rollout.Event) {
				if event.Phase != rollout.Soaking || hurt {
					return
				}
				hurt = true
				pod := podsOf(t, e.Cluster, e.namespace, "app=a")[0].Name
				if _, err := e.Kubectl(t.Context(), "", "-n", e.namespace, "patch", "pod", pod, "--subresource=status", "--type=strategic", "-p", test.status); err != nil {
					t.Error(err)
				}
			}
			done := e.run(t.Context(), t, e.plan(t, items...))
			want := map[string]report.Result{"a": report.Failed, "b": report.Interrupted}
			for _, item := range done.Items {
				if item.Namespace == e.namespace && item.Rollout.Result != want[item.Name] || item.Name == "b" && item.Rollout.Result != report.Interrupted {
					t.Errorf("%s/%s is %s: %s", item.Namespace, item.Name, item.Rollout.Result, item.Rollout.Reason)
				}
				if item.Rollout.Result == report.Failed && !strings.Contains(item.Rollout.Reason, test.want) {
					t.Errorf("reason %q, want %q", item.Rollout.Reason, test.want)
				}
			}
		})
	}
}

// A template that breaks the sidecar: the first workload's new Pods crash, the
// reason names the container, and no other workload is touched.
func TestRolloutOfABreakingChange(t *testing.T) {
	c, injector := fenced(t), testIstio(t)
	namespace := namespaceWith(t, c, injected)
	names := []string{"a", "b", "c"}
	deployWeb(t, c, namespace, 2, names...)
	if err := injector.Update(t.Context(), istio.Values("crash", "100m")...); err != nil {
		t.Fatal(err)
	}
	before := podUIDs(t, c, namespace, "app=b", "app=c")
	broken := uids(t, c, namespace, "app=a")
	for _, strategy := range []string{"restart", "evict"} {
		t.Run(strategy, func(t *testing.T) {
			r := rolloutCommand(t, c, 1, "-n", namespace, "--confirm", "--timeout", "10s", "--strategy", strategy, "deploy/a", "deploy/b", "deploy/c")
			first := itemOf(t, r, "Deployment", "a").Rollout
			if strategy == "restart" {
				for _, want := range []string{"container istio-proxy is waiting: CrashLoopBackOff", "exit code 1 (Error): unknown flag: --concurrency"} {
					if first.Result != report.Failed || !strings.Contains(first.Reason, want) {
						t.Errorf("a is %s: %s, want it Failed: %s", first.Result, first.Reason, want)
					}
				}
			} else if first.Result != report.Skipped || !strings.Contains(first.Reason, "unhealthy already") {
				t.Errorf("a is %s: %s, want it left alone as unhealthy", first.Result, first.Reason)
			}
			if strategy == "restart" {
				for _, name := range names[1:] {
					if rest := itemOf(t, r, "Deployment", name).Rollout; rest.Result != report.Interrupted || !strings.Contains(rest.Reason, "--max-failures 1") {
						t.Errorf("%s is %s: %s, want it not started", name, rest.Result, rest.Reason)
					}
				}
				if diff := cmp.Diff(before, podUIDs(t, c, namespace, "app=b", "app=c")); diff != "" {
					t.Errorf("other workloads' Pods (-before +after):\n%s", diff)
				}
				return
			}
			second := itemOf(t, r, "Deployment", "b").Rollout
			if second.Result != report.Failed || !strings.Contains(second.Reason, "container istio-proxy is waiting: CrashLoopBackOff") {
				t.Errorf("b is %s: %s, want it Failed with the container named", second.Result, second.Reason)
			}
			if kept := len(intersection(before["app=b"], uids(t, c, namespace, "app=b"))); kept != 1 {
				t.Errorf("%d of b's two old Pods are left, want one: the next is evicted only when its replacement is ready", kept)
			}
		})
	}
	// A restart surges: what ran goes on running.
	if kept := len(intersection(broken, uids(t, c, namespace, "app=a"))); kept == 0 {
		t.Error("none of a's old Pods is left")
	}
}

func intersection[K comparable](a, b map[K]bool) []K {
	var both []K
	for key := range a {
		if b[key] {
			both = append(both, key)
		}
	}
	return both
}

// An HPA that is at its ceiling is no obstacle.
func TestRolloutUnderAnAutoscalerAtItsCeiling(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	deployWeb(t, e.Cluster, e.namespace, 2, "web")
	apply(t, e.Cluster, e.namespace, `
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  minReplicas: 1
  maxReplicas: 2
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
`)
	done := e.run(t.Context(), t, e.plan(t, e.item("Deployment", "web", verdict.Drifted)))
	checkResults(t, done, map[string]report.Result{"Deployment/web": report.RolledOut})
}

// A full quota leaves no room for the surge Pod, nor for the question.
func TestRolloutWithoutRoomForTheSurgePod(t *testing.T) {
	c, injector := fenced(t), testIstio(t)
	namespace := namespaceWith(t, c, injected)
	deployWeb(t, c, namespace, 2, "web")
	if err := injector.Update(t.Context(), istio.Values("1.28.0", "150m")...); err != nil {
		t.Fatal(err)
	}
	add(`{"apiVersion":"v1","kind":"ResourceQuota","metadata":{"name":"full"},"spec":{"hard":{"pods":"2"}}}`, "exceeded quota")(t, c, namespace)
	before := versionsIn(t, c, namespace)
	r := rolloutCommand(t, c, 0, "-n", namespace, "--confirm")
	checkReasons(t, "run", r, map[string]string{"Deployment/web": "Unknown and never rolled out: pods \"web-"})
	if !strings.Contains(r.Items[0].Rollout.Reason, "exceeded quota: full") {
		t.Errorf("reason %q", r.Items[0].Rollout.Reason)
	}
	if diff := cmp.Diff(before, versionsIn(t, c, namespace)); diff != "" {
		t.Errorf("something has changed (-before +after):\n%s", diff)
	}
}

// A rollout leaves Events on the workload, for kubectl describe.
func TestRolloutEvents(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	deployWeb(t, e.Cluster, e.namespace, 1, "web")
	e.deployStuck(t, "stuck", 600)
	e.run(t.Context(), t, e.plan(t, e.item("Deployment", "web", verdict.Drifted)))
	e.opts.Pace.Timeout = 5 * time.Second
	e.run(t.Context(), t, e.plan(t, e.item("Deployment", "stuck", verdict.Drifted)))
	for name, want := range map[string][]string{
		"web":   {"Normal SidecarRolloutStarted Update sidecars istio-proxy", "Normal SidecarRolloutSucceeded All its Pods carry the present sidecars"},
		"stuck": {"Normal SidecarRolloutStarted Update sidecars istio-proxy", "Warning SidecarRolloutFailed Failed: not settled within 5s"},
	} {
		out, err := e.Kubectl(context.Background(), "", "-n", e.namespace, "get", "events", "--field-selector", "involvedObject.kind=Deployment,involvedObject.name="+name,
			"-o", `jsonpath={range .items[*]}{.type} {.reason} {.message}{"\n"}{end}`)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range want {
			if !strings.Contains(out, line) {
				t.Errorf("%s: no event %q among:\n%s", name, line, out)
			}
		}
		if described, err := e.Kubectl(t.Context(), "", "-n", e.namespace, "describe", "deployment", name); err != nil || !strings.Contains(described, "SidecarRolloutStarted") {
			t.Errorf("kubectl describe does not show it: %v\n%s", err, described)
		}
	}
}

// Whoever may not do what a rollout needs is told in the plan.
func TestRolloutWithoutPermission(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	deployWeb(t, e.Cluster, e.namespace, 2, "web")
	config, err := e.ServiceAccountConfig(t.Context(), installation, "sidecar-drift-auditor")
	if err != nil {
		t.Fatal(err)
	}
	e.config = config
	for strategy, want := range map[rollout.Strategy]string{
		rollout.Restart: "you may not patch deployments.apps in namespace " + e.namespace,
		rollout.Evict:   fmt.Sprintf("you may not patch deployments.apps in namespace %s: the rights of a rollout are in the ClusterRole sidecar-drift-rollout", e.namespace),
	} {
		e.opts.Strategy = strategy
		checkReasons(t, string(strategy), e.plan(t, e.item("Deployment", "web", verdict.Drifted)).Report(), map[string]string{"Deployment/web": want})
	}
}
