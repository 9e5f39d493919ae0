package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/config"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/auditor/wave"
	"github.com/sidecar-drift/sidecar-drift/auditor/window"
)

// Why a run ends that was to roll out.
var (
	errWanted = errors.New("somebody waits for it")
	errLost   = errors.New("another run has taken the rollout's Lease")
	errClosed = errors.New("the window has ended")
)

// whileOurs is done when nothing new may start, too: when somebody waits for the Lease, or has
// taken it. The cause says which.
func whileOurs(ctx context.Context, held lock) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-held.Wanted():
			stop(errWanted)
		case <-held.Lost():
			stop(errLost)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { stop(context.Canceled) }
}

// rollOut audits the workloads again, now that nobody else rolls out, plans, and
// carries the plan out. What it may come to is taken down first, and what it came to
// afterwards: who is killed must not be given it twice. Somebody who waits for the Lease has
// it before the audit and the plan have ended.
func (h *healer) rollOut(ctx context.Context, c config.Configuration, open window.Occurrence, held lock, last *report.Report, members map[inventory.WorkloadRef]wave.Member, turn []inventory.WorkloadRef) error {
	looking, looked := whileOurs(ctx, held)
	defer looked()
	window, release := h.memory.spend(open.ID())
	defer release()
	opts := c.RolloutOptions()
	opts.Log, opts.GoesOn = h.log, "the auditor"
	plan, err := h.planAnew(looking, c, opts, window, last, members, turn)
	if why := context.Cause(looking); why != nil && ctx.Err() == nil {
		h.log.Info("Nothing is rolled out", "window", open.ID(), "due", len(turn), "reason", why.Error())
		return nil
	}
	if err != nil {
		return err
	}
	planned, others := split(plan)
	h.memory.leftOut(others, refusal, time.Now())
	if len(planned) == 0 {
		return h.memory.save(ctx)
	}
	h.waves.begin(c, members, plan)
	former, err := h.memory.begin(ctx, window, planned, time.Now())
	if err != nil {
		return fmt.Errorf("nothing is rolled out, as the window's budget cannot be kept: %w", err)
	}
	done, err := h.run(ctx, c, open, held, plan, opts)
	// What it came to is kept though this process ends: the next leader need not find it out.
	keep, kept := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer kept()
	if err != nil {
		return errors.Join(err, h.memory.end(keep, window, former, nil, time.Now()))
	}
	h.ended(done)
	outcomes := h.account(ctx, c, done, plan, &window)
	h.waves.end(done, outcomes)
	h.sayWhatIsStopped(c, open, window, plan)
	return h.memory.end(keep, window, former, outcomes, time.Now())
}

// planAnew audits the workloads whose turn it is, and plans for them as they are now.
func (h *healer) planAnew(ctx context.Context, c config.Configuration, opts rollout.Options, window spent, last *report.Report, members map[inventory.WorkloadRef]wave.Member, turn []inventory.WorkloadRef) (*rollout.Plan, error) {
	again, err := h.steps.audit(ctx, c, turn...)
	if err != nil {
		return nil, err
	}
	again.KnowBiased(last)
	h.waves.still(c, members, again, time.Now())
	again.Items = slices.DeleteFunc(again.Items, stops(c, window))
	// The summary is of everything: what may be unavailable is a share of it.
	only := *updated(last, again, turn)
	only.Items = again.Items
	plan, err := h.steps.plan(ctx, &only, opts)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(plan.Steps[:plan.Planned()], func(a, b rollout.Step) int {
		return cmp.Compare(slices.Index(turn, refOf(a.Item)), slices.Index(turn, refOf(b.Item)))
	})
	return plan, nil
}

// run carries the plan out. Nothing new starts when the window ends, when somebody waits
// for the Lease, nor when another run has taken it.
func (h *healer) run(ctx context.Context, c config.Configuration, open window.Occurrence, held lock, plan *rollout.Plan, opts rollout.Options) (*report.Report, error) {
	drain, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(context.Canceled)
	drain, closed := context.WithDeadlineCause(drain, open.End, errClosed)
	defer closed()
	go func() {
		wanted := held.Wanted()
		for {
			select {
			case <-held.Lost():
				stop(errLost)
			case <-wanted:
				h.log.Info("Nothing new is rolled out, as somebody waits for it", "window", open.ID())
				wanted = nil
				continue
			case <-drain.Done():
			}
			return
		}
	}()
	opts.Pace.Drain, opts.Pace.Yield = drain.Done(), held.Wanted()
	opts.Pace.Before = held.Look
	opts.Pace.Interrupted = func() string {
		if why := context.Cause(drain); why != nil {
			return why.Error()
		}
		return "the auditor has ended"
	}
	var doing []inventory.WorkloadRef
	opts.Progress = func(e rollout.Event) {
		switch e.Phase {
		case rollout.Started:
			doing = append(doing, e.Workload)
			h.begun(ctx, e)
		case rollout.Finished:
			doing = slices.DeleteFunc(doing, func(other inventory.WorkloadRef) bool { return other == e.Workload })
		}
		held.Doing(doing)
	}
	return h.steps.run(ctx, plan, opts, func(ctx context.Context, w inventory.WorkloadRef, seen []byte) (*report.Item, error) {
		return h.steps.verify(ctx, c, w, seen)
	})
}

// begun keeps that a workload is about to be changed, where nothing on it will tell.
func (h *healer) begun(ctx context.Context, e rollout.Event) {
	if e.Strategy == rollout.Restart {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, releaseTimeout) // the run waits for it
	defer cancel()
	if err := h.memory.begun(ctx, e.Workload); err != nil {
		h.log.Error(err, "Should this process be killed, nobody knows that it had begun with a workload", "workload", e.Workload.String())
	}
}

// sayWhatIsStopped has those read who look for why nothing more is rolled out.
func (h *healer) sayWhatIsStopped(c config.Configuration, open window.Occurrence, spent spent, plan *rollout.Plan) {
	most, log := c.AutoRollout.MaxFailures, h.log.WithValues("window", open.ID())
	said := map[string]bool{}
	for _, s := range plan.Steps[:plan.Planned()] {
		if ns := s.Item.Namespace; !said[ns] && spent.leaves(ns, most) {
			said[ns] = true
			log.Info("Nothing more is rolled out in a namespace in this window, as it failed there", "namespace", ns)
		}
	}
	for _, cause := range spent.recurs(most) {
		log.Info("No more of a change is rolled out in this window, as it failed for the same cause in several namespaces",
			"cause", cause, "namespaces", len(spent.Causes[cause].Namespaces), "commonChanges", len(spent.Causes[cause].Changes))
	}
	if spent.over(most) {
		log.Info("Nothing more is rolled out in this window, as what failed has no change in common, or failed in too many namespaces")
	}
}

// account takes down in the window what the run came to, and returns what became
// of each workload that was planned.
func (h *healer) account(ctx context.Context, c config.Configuration, done *report.Report, plan *rollout.Plan, window *spent) map[inventory.WorkloadRef]outcome {
	outcomes := map[inventory.WorkloadRef]outcome{}
	planned := map[inventory.WorkloadRef]report.Item{} // as they were before
	for _, s := range plan.Steps[:plan.Planned()] {
		planned[refOf(s.Item)] = s.Item
	}
	for _, item := range done.Items {
		ref := refOf(item)
		before, ok := planned[ref]
		if !ok {
			continue
		}
		h.log.Info("Rolled out", "namespace", item.Namespace, "kind", item.Kind, "name", item.Name,
			"result", item.Rollout.Result, "reason", item.Rollout.Reason)
		if item.Rollout.StartedAt != nil {
			window.Workloads++
		}
		o := outcomeOf(item.Rollout)
		if item.Rollout.Result == report.Interrupted && ctx.Err() != nil {
			o = unchanged // not for what it is, but since this process ends
		}
		if o == failure {
			window.failed(item.Namespace, cmp.Or(item.Rollout.Cause, report.CauseOther), changesOf(before, c))
		}
		outcomes[ref] = o
	}
	return outcomes
}
