package service

import (
	"context"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
)

// plan takes down what a run has planned.
func (a attempts) plan(refs []inventory.WorkloadRef, now time.Time) {
	for _, ref := range refs {
		if kept(ref) {
			of := a.of[ref]
			of.Planned, of.Begun = now.UTC().Truncate(time.Second), false
			a.of[ref] = of
		}
	}
}

// begun keeps that a run is about to change a workload in a way that leaves no trace on it.
func (m *memory) begun(ctx context.Context, ref inventory.WorkloadRef) error {
	m.mu.Lock()
	if of, planned := m.attempts.of[ref]; planned && !of.Planned.IsZero() {
		of.Begun = true
		m.attempts.of[ref] = of
	}
	m.mu.Unlock()
	return m.save(ctx)
}

// unended are the workloads that a leader had planned who did not live to say what became of
// them.
func (m *memory) unended() []inventory.WorkloadRef {
	m.mu.Lock()
	defer m.mu.Unlock()
	var refs []inventory.WorkloadRef
	for ref, of := range m.attempts.of {
		if !of.Planned.IsZero() {
			refs = append(refs, ref)
		}
	}
	return refs
}

// endedBy takes down what became of those, by the traces that are left on them: what was
// changed, and not seen to end well, has failed, and may be the reason, until it is seen to
// have ended well. What was not costs none of the window's budget, and has its turn a little
// later, should it be the reason all the same.
func (m *memory) endedBy(traces map[inventory.WorkloadRef]rollout.Trace, now time.Time) (failed []inventory.WorkloadRef, untouched int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.window = m.window.in(m.window.Window)
	for ref, of := range m.attempts.of {
		if of.Planned.IsZero() {
			continue
		}
		trace, left := traces[ref]
		left = left && !trace.At.Before(of.Planned)
		switch {
		case left && trace.Result.Success():
			m.attempts.ended(ref, done, now)
		case left, of.Begun:
			m.attempts.ended(ref, failure, now)
			m.window.failed(ref.Namespace, report.CauseOther, nil) // in the window that it was planned in
			if of, has := m.attempts.of[ref]; has {
				of.Unseen = new(m.window.Window)
				m.attempts.of[ref] = of
			}
			failed = append(failed, ref)
		default:
			m.attempts.ended(ref, refusal, now)
			m.window.Workloads = max(m.window.Workloads-1, 0)
			untouched++
		}
	}
	return failed, untouched
}

// recall finds out what became of what an earlier leader had planned.
func (h *healer) recall(ctx context.Context) error {
	refs := h.memory.unended()
	if len(refs) == 0 {
		return nil
	}
	traces, err := h.steps.traces(ctx, refs)
	if err != nil {
		return err
	}
	failed, untouched := h.memory.endedBy(traces, time.Now())
	for _, ref := range failed {
		h.log.Info("An earlier leader had begun with a workload, and did not see the end of it", "namespace", ref.Namespace, "kind", ref.Kind, "name", ref.Name,
			"unread", traces[ref].Unread)
	}
	h.log.Info("An earlier leader did not end what it had planned", "planned", len(refs), "begun", len(failed), "untouched", untouched)
	return h.memory.save(ctx)
}
