package acceptance

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// A budget that allows one Pod at a time sets the pace, whatever was asked for.
func TestEvictionHonoursBudgets(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	deployWeb(t, e.Cluster, e.namespace, 4, "web")
	e.budget(t, "web", "minAvailable: 3", "app: web")
	e.opts.Strategy, e.opts.Pace.MaxUnavailable = rollout.Evict, 3
	var unavailable atomic.Int64
	watchAvailability(t, e, "web", 4, &unavailable)
	done := e.run(t.Context(), t, e.plan(t, e.drifted("Deployment", "web", podsOf(t, e.Cluster, e.namespace, "app=web")...)))
	checkResults(t, done, map[string]report.Result{"Deployment/web": report.RolledOut})
	if got := unavailable.Load(); got > 1 {
		t.Errorf("%d Pods were away at once, want at most 1", got)
	}
}

// deployBehind runs Deployments of two Pods each, all of which carry the label
// budget=NAME, too.
func (e *engine) deployBehind(t *testing.T, budget string, names ...string) {
	t.Helper()
	for _, name := range names {
		apply(t, e.Cluster, e.namespace, fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  replicas: 2
  selector: {matchLabels: {app: %[1]s}}
  template: {metadata: {labels: {app: %[1]s, budget: %[2]s}}, spec: {containers: [{name: app, image: "app:1"}]}}
`, name, budget))
	}
	for _, name := range names {
		rolledOut(t, e.Cluster, e.namespace, "deployment/"+name)
	}
}

// budget makes a PodDisruptionBudget and waits until its controller has looked.
func (e *engine) budget(t *testing.T, name, spec, labels string) {
	t.Helper()
	apply(t, e.Cluster, e.namespace, fmt.Sprintf(`
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: %s}
spec: {%s, selector: {matchLabels: {%s}}}
`, name, spec, labels))
	err := cluster.Poll(t.Context(), "the budget's controller", func(ctx context.Context) error {
		pdb, err := e.Client().PolicyV1().PodDisruptionBudgets(e.namespace).Get(ctx, name, metav1.GetOptions{})
		if err == nil && (pdb.Status.ObservedGeneration < pdb.Generation || pdb.Status.ExpectedPods == 0) {
			err = fmt.Errorf("budget %s: %+v", name, pdb.Status)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Budgets that never allow an eviction, and two for one Pod, which the API
// server refuses, are found in the plan, and where they come later, in the run.
func TestEvictionDeadlocks(t *testing.T) {
	for name, test := range map[string]struct {
		budgets []string
		want    string
	}{
		"never allows": {[]string{"maxUnavailable: 0"}, "PodDisruptionBudget web-0 can never allow an eviction: it wants 2 Pods healthy"},
		"all wanted":   {[]string{"minAvailable: 2"}, "PodDisruptionBudget web-0 can never allow an eviction"},
		"two":          {[]string{"minAvailable: 1", "minAvailable: 1"}, "more than one PodDisruptionBudget"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEngine(t)
			deployWeb(t, e.Cluster, e.namespace, 2, "web")
			e.opts.Strategy = rollout.Evict
			before := uids(t, e.Cluster, e.namespace, "app=web")
			item := e.drifted("Deployment", "web", podsOf(t, e.Cluster, e.namespace, "app=web")...)
			e.opts.Progress = func(event rollout.Event) {
				if event.Phase == rollout.Started { // and so after the last decision
					for i, spec := range test.budgets {
						e.budget(t, fmt.Sprintf("web-%d", i), spec, "app: web")
					}
				}
			}
			done := e.run(t.Context(), t, e.plan(t, item))
			checkResults(t, done, map[string]report.Result{"Deployment/web": report.Failed})
			if reason := done.Items[0].Rollout.Reason; !strings.Contains(reason, test.want) && !strings.Contains(reason, "more than one PodDisruptionBudget") {
				t.Errorf("run: reason %q, want %q", reason, test.want)
			}
			rolledOut(t, e.Cluster, e.namespace, "deployment/web")
			plan := e.plan(t, item)
			checkReasons(t, "plan", plan.Report(), map[string]string{"Deployment/web": test.want})
			if diff := cmp.Diff(before, uids(t, e.Cluster, e.namespace, "app=web")); diff != "" {
				t.Errorf("Pods were replaced (-before +after):\n%s", diff)
			}
		})
	}
}

// A budget that is used up for now is waited for, and named when it takes too
// long.
func TestEvictionWaitsForABudget(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	e.deployBehind(t, "both", "web", "neighbour")
	e.budget(t, "both", "minAvailable: 3", "budget: both")
	unready := podsOf(t, e.Cluster, e.namespace, "app=neighbour")[0].Name
	ready := func(status string) {
		t.Helper()
		if _, err := e.Kubectl(t.Context(), "", "-n", e.namespace, "patch", "pod", unready, "--subresource=status", "--type=strategic",
			"-p", fmt.Sprintf(`{"status":{"conditions":[{"type":"Ready","status":%q}]}}`, status)); err != nil {
			t.Fatal(err)
		}
	}
	ready("False")
	e.opts.Strategy = rollout.Evict
	e.opts.Pace.Timeout = 10 * time.Second
	item := e.drifted("Deployment", "web", podsOf(t, e.Cluster, e.namespace, "app=web")[0])
	failed := e.run(t.Context(), t, e.plan(t, item))
	checkResults(t, failed, map[string]report.Result{"Deployment/web": report.Failed})
	if reason := failed.Items[0].Rollout.Reason; !strings.Contains(reason, "no progress within 10s") || !strings.Contains(reason, "PodDisruptionBudget both") {
		t.Errorf("reason %q, want that no progress was made, and the budget", reason)
	}

	rolledOut(t, e.Cluster, e.namespace, "deployment/web")
	e.opts.Pace.Timeout = time.Minute
	waited := false
	e.opts.Progress = func(event rollout.Event) {
		if event.Phase == rollout.Waiting && strings.Contains(event.Message, "PodDisruptionBudget both") && !waited {
			waited = true
			ready("True")
		}
	}
	checkResults(t, e.run(t.Context(), t, e.plan(t, item)), map[string]report.Result{"Deployment/web": report.RolledOut})
	if !waited {
		t.Error("nothing was waited for")
	}
}
