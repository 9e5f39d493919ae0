package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/internal/kind"
)

// explain turns the end of a wait into a result, with the Pod that is in the
// way named.
func (t *task) explain(ctx context.Context, b begun, err error) decision {
	if _, evicting := b.recreation.(*eviction); evicting && ctx.Err() != nil {
		return decision{report.Interrupted, "left while its Pods were being evicted: " + t.asked.GoesOn + " goes on with the rest"}
	}
	if _, inPlace := b.recreation.(*resizing); inPlace && ctx.Err() != nil {
		return decision{report.Interrupted, "left while its Pods were being resized: " + t.asked.GoesOn + " goes on with the rest"}
	}
	if ctx.Err() != nil {
		return left("while its Pods were being replaced, which its controller goes on with by itself")
	}
	if denied, ok := errors.AsType[*deniedError](err); ok {
		return skip("not started, as it was refused: %v", denied)
	}
	if errors.Is(err, errSlow) {
		t.cause = report.CauseTooLong
		return decision{report.Interrupted, fmt.Sprintf("left while it still went on, as a run waits no longer for one workload: %v", err)}
	}
	if errors.Is(err, errGone) {
		return failed("%v", err)
	}
	if object, getErr := t.cluster.get(ctx, refOf(t.item)); getErr == nil {
		if refusal := refusalOf(object); refusal != "" {
			t.cause = causeOfRefusal(refusal)
			return failed("%v: its new Pods are refused: %s", err, refusal)
		}
	}
	pods, listErr := t.cluster.pods(ctx, b.workload)
	if listErr != nil {
		return failed("%v; its Pods could not be listed: %v", err, listErr)
	}
	preempted, refusal := orElse(preemptedOf(pods), preemptedWhile(b.recreation)), t.refusedSilently(ctx, pods)
	switch t.cause = causeOfPods(pods, b.fresh, collect(t.item, func(r report.Revision) []string { return r.Sidecars })); {
	case t.cause != "":
	case refusal != "":
		t.cause = causeOfRefusal(refusal)
	case preempted != "":
		t.cause = report.CauseNoRoom
	default:
		if by, evicting := b.recreation.(*eviction); evicting && by.budgeted {
			t.cause = report.CauseBudget
		}
	}
	reasons := slices.DeleteFunc([]string{problemOf(pods, b.fresh, b.noneFresh()), preempted, refusal, t.lostSince(ctx)},
		func(reason string) bool { return reason == "" })
	if len(reasons) > 0 {
		return failed("%v: %s", err, strings.Join(reasons, "; "))
	}
	return failed("%v", err)
}

// preemptedWhile is preemptedOf at a time when more Pods were away than the rollout takes.
func preemptedWhile(r recreation) string {
	if by, ok := r.(*restart); ok {
		return by.preempted
	}
	return ""
}

// refusedSilently asks what refuses the Pods that a StatefulSet or a DaemonSet lacks: their
// controllers say that in Events alone, while a dry run is refused by the same.
func (t *task) refusedSilently(ctx context.Context, pods []corev1.Pod) string {
	if t.item.Kind != kind.StatefulSet && t.item.Kind != kind.DaemonSet {
		return ""
	}
	object, err := t.cluster.get(ctx, refOf(t.item))
	if err != nil {
		return ""
	}
	there := 0
	for i := range pods {
		if !goes(&pods[i]) {
			there++
		}
	}
	if wanted, _ := availability(object); there >= int(wanted) {
		return ""
	}
	item, err := t.audit(ctx, refOf(t.item), nil)
	if err != nil || item == nil {
		return ""
	}
	if revision, is := unjudged(*item); is && revision.Reason != "" {
		return "a new Pod of it is refused: " + quote(revision.Reason)
	}
	return ""
}

// lostSince names the nodes of a DaemonSet that are not ready now, and stop it.
func (t *task) lostSince(ctx context.Context) string {
	if t.item.Kind != kind.DaemonSet {
		return ""
	}
	object, err := t.cluster.get(ctx, refOf(t.item))
	if err != nil {
		return ""
	}
	l, err := newSurroundings(t.cluster, 0).lost(ctx, object)
	if err != nil || l.none() {
		return ""
	}
	return fmt.Sprintf("it has Pods on %s: repair the node, or delete it", l.where())
}
