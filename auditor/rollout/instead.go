package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// instead is how a run goes on with a workload that it has begun with in another way.
type instead struct {
	event, reason string // for the log
	// end is what becomes of the workload where it does not go on, as the text says.
	end func(why string) decision
	// stay has the way hold by which it was begun with.
	stay func()
	// by is the other way, for the workload as it is.
	by func(facts) (recreation, error)
}

// goOn decides once more, and replaces the Pods in the other way. It returns what became of
// that, or why it was not begun with.
func (t *task) goOn(ctx context.Context, b begun, i instead) (begun, decision, error) {
	object, f, d, err := t.decide(ctx)
	switch {
	case err != nil:
		return b, i.end(fmt.Sprintf(": %v", err)), nil
	case d == nothingLeft:
		i.stay()
		return b, proceed, nil // which the audit verifies
	case d != proceed:
		return b, i.end(": " + d.reason), nil
	}
	if full := t.room(f.disrupts(t.opts)); full != "" {
		return b, i.end(", as " + full), nil
	}
	next, err := i.by(f)
	if err != nil {
		return b, i.end(fmt.Sprintf(": %v", err)), nil
	}
	workload, err := next.begin(ctx, object)
	if err != nil {
		t.mayNot = t.mayNot || apierrors.IsForbidden(err)
		return b, i.end(fmt.Sprintf(": %v", err)), nil
	}
	t.opts.Log.Info(i.event, "kind", t.item.Kind, "namespace", t.item.Namespace, "workload", t.item.Name,
		"strategy", t.opts.Strategy, "reason", i.reason)
	b.recreation, b.workload = next, workload
	err = b.finish(ctx, b.workload, t.waiting())
	if denied, ok := errors.AsType[*deniedError](err); ok {
		t.mayNot = true
		return b, i.end(fmt.Sprintf(": %v", denied)), nil
	}
	return b, proceed, err
}

// drained reports whether nothing new may be begun with.
func (t *task) drained() bool {
	select {
	case <-t.opts.Pace.Drain:
		return true
	default:
		return false
	}
}

// drainedBy says why nothing new may be begun with, and who goes on.
func (t *task) drainedBy() string {
	return t.asked.Pace.Interrupted() + ": " + t.asked.GoesOn + " goes on with it"
}

// among are those of the targets that are left.
func among(targets, left []report.PodRef) []report.PodRef {
	uids := uids(left)
	return slices.DeleteFunc(targets, func(p report.PodRef) bool { return !uids[p.UID] })
}
