package service

import (
	"cmp"
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
)

// lock is what keeps two rollouts apart.
type lock interface {
	Lost() <-chan struct{}
	Wanted() <-chan struct{}
	Look(context.Context)
	Doing([]inventory.WorkloadRef)
	Release(context.Context) error
}

// steps of an automatic rollout, as the package rollout has them.
type steps struct {
	lock  func(ctx context.Context, namespace string) (lock, error)
	plan  func(context.Context, *report.Report, rollout.Options) (*rollout.Plan, error)
	run   func(context.Context, *rollout.Plan, rollout.Options, rollout.AuditFunc) (*report.Report, error)
	audit func(context.Context, config.Configuration, ...inventory.WorkloadRef) (*report.Report, error)
	// verify audits one workload that was rolled out.
	verify func(context.Context, config.Configuration, inventory.WorkloadRef, []byte) (*report.Item, error)
	// traces reads what rollouts have left on workloads.
	traces func(context.Context, []inventory.WorkloadRef) (map[inventory.WorkloadRef]rollout.Trace, error)
	// rows tells whether a query returns any.
	rows func(context.Context, config.PrometheusQuery) (bool, error)
}

// healer rolls out what has drifted for long enough, while a window is open.
type healer struct {
	steps  steps
	memory *memory
	waves  *waves
	log    logr.Logger
	// ended is given the report of each rollout.
	ended func(*report.Report)
}

// heal rolls out what of a report is due, and reports on everything that it
// leaves alone in the log. When in doubt nothing is touched: a query without an
// answer, a budget that cannot be kept, a lock that somebody holds.
func (h *healer) heal(ctx context.Context, c config.Configuration, found *report.Report) {
	if !c.AutoRollout.Enabled {
		h.memory.noWaves()
		return
	}
	now := time.Now()
	members, err := h.waves.update(ctx, c, found, now)
	if err != nil {
		h.log.Error(err, "Nothing is rolled out, as it is not known how far the waves are")
		return
	}
	open, ok := c.AutoRollout.Schedule().Occurrence(now)
	if !ok {
		return
	}
	if err := h.recall(ctx); err != nil {
		h.log.Error(err, "Nothing is rolled out, as it is not known what an earlier leader has begun")
		return
	}
	window := h.memory.spentIn(open.ID())
	if window.Workloads >= c.AutoRollout.Budget || window.over(c.AutoRollout.MaxFailures) {
		return
	}
	due := h.due(c, found, window)
	if len(due) == 0 {
		return
	}
	log := h.log.WithValues("window", open.ID())
	if why := h.blocked(ctx, c); why != "" {
		log.Info("Nothing is rolled out", "due", len(due), "reason", why)
		return
	}
	for _, each := range h.waves.turns(c, members, due, open.End, now) {
		mine := c
		mine.AutoRollout.MaxUnavailablePercent = cmp.Or(each.wave.MaxUnavailablePercent, c.AutoRollout.MaxUnavailablePercent)
		mine.AutoRollout.MaxRisk = cmp.Or(each.wave.MaxRisk, c.AutoRollout.MaxRisk)
		planned, err := h.planned(ctx, mine, found, each.due, min(c.AutoRollout.Budget-window.Workloads, each.most))
		if err != nil {
			log.Error(err, "Nothing is rolled out", "due", len(due))
			return
		}
		if len(planned) == 0 {
			continue
		}
		if each.wave.Name != "" {
			log = log.WithValues("wave", each.wave.Name)
		}
		open.End = each.end
		h.alone(ctx, log, mine, len(planned), func(held lock) error {
			return h.rollOut(ctx, mine, open, held, found, members, planned)
		})
		return
	}
}

// alone rolls out while nobody else does.
func (h *healer) alone(ctx context.Context, log logr.Logger, c config.Configuration, planned int, rollOut func(lock) error) {
	held, err := h.steps.lock(ctx, c.AutoRollout.LockNamespace)
	_, busy := errors.AsType[*rollout.HeldError](err)
	_, wanted := errors.AsType[*rollout.WantedError](err)
	if busy || wanted {
		log.Info("Nothing is rolled out", "due", planned, "reason", err.Error())
		return
	}
	if err != nil {
		log.Error(err, "Nothing is rolled out", "due", planned)
		return
	}
	if err := rollOut(held); err != nil && ctx.Err() == nil {
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

// due returns the workloads that the policy lets be rolled out, and whose time it
// is: not those of a namespace where enough has failed in this window, nor those with a
// change that may be why others failed.
func (h *healer) due(c config.Configuration, found *report.Report, window spent) []inventory.WorkloadRef {
	now := time.Now()
	stopped := stops(c, window)
	var due []inventory.WorkloadRef
	for _, item := range found.Items {
		if item.State.Drift() && c.AutoRollout.Allows(item.Namespace, item.Kind) &&
			!window.leaves(item.Namespace, c.AutoRollout.MaxFailures) &&
			h.memory.due(refOf(item), c.AutoRollout.MinimumAge.Duration, now) && !stopped(item) {
			due = append(due, refOf(item))
		}
	}
	return due
}

// stops returns whether a workload is left alone for what others failed of in this window.
func stops(c config.Configuration, window spent) func(report.Item) bool {
	if len(window.recurs(c.AutoRollout.MaxFailures)) == 0 {
		return func(report.Item) bool { return false }
	}
	return func(item report.Item) bool { return window.stops(changesOf(item, c), c.AutoRollout.MaxFailures) != "" }
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

// planned returns as many workloads as the budget has left: those first that have not
// failed, and by turns of the namespaces, so that one with many leaves room for the
// others. It takes the last audit's word for what drifts, and holds no Lease: what a guard
// leaves alone costs no dry run, and waits for what is in the way.
func (h *healer) planned(ctx context.Context, c config.Configuration, found *report.Report, due []inventory.WorkloadRef, left int) ([]inventory.WorkloadRef, error) {
	only := *found
	meant := map[inventory.WorkloadRef]bool{}
	for _, ref := range due {
		meant[ref] = true
	}
	only.Items = slices.DeleteFunc(slices.Clone(found.Items), func(item report.Item) bool { return !meant[refOf(item)] })
	opts := c.RolloutOptions()
	opts.Log = h.log.V(1)
	plan, err := h.steps.plan(ctx, &only, opts)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	planned, others := split(plan)
	h.memory.leftOut(others, waiting, now)
	if len(planned) == 0 {
		return nil, h.memory.save(ctx)
	}
	planned = inOrder(planned, h.memory.rank(now))
	return planned[:min(len(planned), left)], nil
}

// split returns what a plan rolls out, and what it leaves out.
func split(plan *rollout.Plan) (planned, others []inventory.WorkloadRef) {
	for i, s := range plan.Steps {
		if ref := refOf(s.Item); i < plan.Planned() {
			planned = append(planned, ref)
		} else {
			others = append(others, ref)
		}
	}
	return planned, others
}

// inOrder sorts by rank; where that is the same, by turns of the namespaces.
func inOrder(refs []inventory.WorkloadRef, rank func(inventory.WorkloadRef) int) []inventory.WorkloadRef {
	type turn struct {
		rank      int
		namespace string
	}
	sorted := byTurns(refs, func(ref inventory.WorkloadRef) turn { return turn{rank(ref), ref.Namespace} })
	slices.SortStableFunc(sorted, func(a, b inventory.WorkloadRef) int { return cmp.Compare(rank(a), rank(b)) })
	return sorted
}
