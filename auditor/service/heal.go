package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-logr/logr"

	"github.com/sidecar-drift/sidecar-drift/auditor/config"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/auditor/window"
)

// lock is what keeps two rollouts apart.
type lock interface {
	Lost() <-chan struct{}
	Release(context.Context) error
}

// steps of an automatic rollout, as the package rollout has them.
type steps struct {
	lock  func(ctx context.Context, namespace string) (lock, error)
	plan  func(context.Context, *report.Report, rollout.Options) (*report.Report, error)
	run   func(context.Context, *report.Report, rollout.Options, rollout.AuditFunc) (*report.Report, error)
	audit func(context.Context, config.Configuration, ...inventory.WorkloadRef) (*report.Report, error)
	// verify audits one workload that was rolled out.
	verify func(context.Context, config.Configuration, inventory.WorkloadRef) (*report.Item, error)
	// rows tells whether a query returns any.
	rows func(context.Context, config.PrometheusQuery) (bool, error)
}

// healer rolls out what has drifted for long enough, while a window is open.
type healer struct {
	steps  steps
	memory *memory
	log    logr.Logger
	// ended is given the report of each rollout.
	ended func(*report.Report)
}

// heal rolls out what of a report is due, and reports on everything that it
// leaves alone in the log. When in doubt nothing is touched: a query without an
// answer, a budget that cannot be kept, a lock that somebody holds.
func (h *healer) heal(ctx context.Context, c config.Configuration, found *report.Report) {
	open, ok := c.AutoRollout.Schedule().Occurrence(time.Now())
	if !c.AutoRollout.Enabled || !ok {
		return
	}
	left := c.AutoRollout.Budget - h.memory.spentIn(open.ID())
	due := h.due(c, found)
	if len(due) == 0 || left <= 0 {
		return
	}
	log := h.log.WithValues("window", open.ID())
	if why := h.blocked(ctx, c); why != "" {
		log.Info("Nothing is rolled out", "due", len(due), "reason", why)
		return
	}
	held, err := h.steps.lock(ctx, c.AutoRollout.LockNamespace)
	if other, busy := errors.AsType[*rollout.HeldError](err); busy {
		log.Info("Nothing is rolled out", "due", len(due), "reason", other.Error())
		return
	}
	if err != nil {
		log.Error(err, "Nothing is rolled out", "due", len(due))
		return
	}
	if err := h.rollOut(ctx, c, open, held, found, due, left); err != nil && ctx.Err() == nil {
		log.Error(err, "The rollout failed")
	}
	release, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if err := held.Release(release); err != nil {
		log.Error(err, "The rollout's Lease is left to end by itself")
	}
}

// releaseTimeout bounds how long an API server that is away delays the end.
const releaseTimeout = 5 * time.Second

// due returns the workloads that the policy lets be rolled out.
func (h *healer) due(c config.Configuration, found *report.Report) []inventory.WorkloadRef {
	var due []inventory.WorkloadRef
	for _, item := range found.Items {
		if item.State.Drift() && c.AutoRollout.Allows(item.Namespace, item.Kind) &&
			h.memory.age(item, time.Now()) >= c.AutoRollout.MinimumAge.Duration {
			due = append(due, refOf(item))
		}
	}
	return due
}

// blocked says why nothing may be rolled out now; empty if it may.
func (h *healer) blocked(ctx context.Context, c config.Configuration) string {
	for _, q := range c.AutoRollout.Queries() {
		switch rows, err := h.steps.rows(ctx, q); {
		case err != nil:
			return fmt.Sprintf("the query %q has no answer: %v", q.Query, err)
		case rows:
			return fmt.Sprintf("the query %q returns rows", q.Query)
		}
	}
	return ""
}

// rollOut audits the workloads again, now that nobody else rolls out, plans, and
// carries out as much of the plan as the budget allows. What it may come to is
// taken down first, and what it came to afterwards: who is killed must not be given
// it twice.
func (h *healer) rollOut(ctx context.Context, c config.Configuration, open window.Occurrence, held lock, last *report.Report, due []inventory.WorkloadRef, left int) error {
	again, err := h.steps.audit(ctx, c, due...)
	if err != nil {
		return err
	}
	// The summary is of everything: what may be unavailable is a share of it.
	only := *updated(last, again, due)
	only.Items = again.Items
	opts := c.RolloutOptions()
	opts.Log = h.log
	plan, err := h.steps.plan(ctx, &only, opts)
	if err != nil {
		return err
	}
	planned := 0
	plan.Items = slices.DeleteFunc(plan.Items, func(item report.Item) bool {
		if item.Rollout.Result != report.Planned {
			return false
		}
		planned++
		return planned > left
	})
	if planned = min(planned, left); planned == 0 {
		return nil
	}
	already := c.AutoRollout.Budget - left
	if err := h.memory.spend(ctx, open.ID(), already+planned); err != nil {
		return fmt.Errorf("nothing is rolled out, as the window's budget cannot be kept: %w", err)
	}
	drain, stop := context.WithDeadline(context.WithoutCancel(ctx), open.End)
	defer stop()
	go func() {
		select {
		case <-held.Lost():
			stop()
		case <-drain.Done():
		}
	}()
	opts.Pace.Drain = drain.Done()
	done, err := h.steps.run(ctx, plan, opts, func(ctx context.Context, w inventory.WorkloadRef) (*report.Item, error) {
		return h.steps.verify(ctx, c, w)
	})
	if err != nil {
		return err
	}
	h.ended(done)
	used := already
	for _, item := range done.Items {
		if item.Rollout.StartedAt != nil {
			used++
		}
		h.log.Info("Rolled out", "namespace", item.Namespace, "kind", item.Kind, "name", item.Name,
			"result", item.Rollout.Result, "reason", item.Rollout.Reason)
		if item.Rollout.Result == report.Failed || item.Rollout.Result == report.NotConverging && item.Rollout.StartedAt != nil {
			used = c.AutoRollout.Budget // somebody should look at it before anything else is touched
		}
	}
	return h.memory.spend(ctx, open.ID(), min(used, c.AutoRollout.Budget))
}
