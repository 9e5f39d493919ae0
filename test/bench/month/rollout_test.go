package month

import (
	"context"
	"fmt"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// night audits, rolls out what drifted, audits again, and returns the slots whose
// Pods were re-created.
func (w *world) night(t *testing.T) []slot {
	t.Helper()
	found := w.audit(t)
	w.agree(t, found)
	if t.Failed() {
		return nil
	}
	whole, some := *found, *found
	whole.Items, some.Items = nil, nil
	for _, item := range found.Items {
		switch {
		case !item.State.Drift():
		case item.Pods[verdict.InSync] > 0:
			some.Items = append(some.Items, item)
		default:
			whole.Items = append(whole.Items, item)
		}
	}
	w.rollOut(t, &whole, rollout.Restart)
	w.rollOut(t, &some, rollout.Evict)
	gone, err := w.settled(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(gone) > 0 {
		left := w.audit(t)
		w.agree(t, left)
		if left.Summary.Drift() != 0 {
			t.Errorf("after the rollout %v", left.Summary.Pods)
		}
	}
	return gone
}

// audit audits all workloads, again while one is Unknown: what could not be asked,
// as on a machine that is too busy for an answer in time, can be asked later.
func (w *world) audit(t *testing.T) (found *report.Report) {
	t.Helper()
	var names []string
	for _, namespace := range namespaces {
		names = append(names, namespace.value)
	}
	err := cluster.Poll(t.Context(), "an audit of all workloads", func(ctx context.Context) (err error) {
		found, err = audit.Run(ctx, w.config, audit.Options{
			Selection: inventory.Selection{IncludeNamespaces: names}, Concurrency: 4,
		})
		if err == nil && found.Summary.Pods[verdict.Unknown] > 0 {
			err = fmt.Errorf("Pods are Unknown: %v", found.Summary.Pods)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// rollOut rolls out each workload of the report.
func (w *world) rollOut(t *testing.T, found *report.Report, strategy rollout.Strategy) {
	t.Helper()
	if len(found.Items) == 0 {
		return
	}
	opts := rollout.Options{
		Strategy: strategy,
		Select:   rollout.Filter{IncludeStatefulSet: true, IncludeDaemonSet: true},
		Guards:   rollout.Guards{AllowDowntime: true},
		Pace:     rollout.Pace{Parallel: 16},
	}
	plan, err := rollout.MakePlan(t.Context(), w.config, found, opts)
	if err != nil {
		t.Fatal(err)
	}
	done, err := rollout.Run(t.Context(), w.config, plan, opts, func(ctx context.Context, of inventory.WorkloadRef, seen []byte) (*report.Item, error) {
		return audit.Workload(ctx, w.config, audit.Options{}, of, seen)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range done.Items {
		if item.Rollout.Result != report.RolledOut {
			t.Errorf("%s %s/%s is %s: %s", item.Kind, item.Namespace, item.Name, item.Rollout.Result, item.Rollout.Reason)
		}
	}
}
