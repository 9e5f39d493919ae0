package rollout

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// Run carries out a plan: its Planned items, in their order, Pace.Parallel at
// a time. It returns the plan's report with what became of each; what had not
// started when the run was stopped (by failures, Pace.Drain or ctx) is
// Interrupted. Running again goes on, since only what still drifts is planned.
//
// An error means that nothing has been started; whatever goes wrong with a
// workload is its own Result and Reason.
func Run(ctx context.Context, cfg *rest.Config, plan *report.Report, opts Options, audit AuditFunc) (*report.Report, error) {
	opts = opts.withDefaults()
	c, err := connect(cfg)
	if err != nil {
		return nil, err
	}
	out := *plan
	out.GeneratedAt = opts.now()
	out.Items = slices.Clone(plan.Items)
	r := run{opts: opts, items: out.Items}
	for i, item := range out.Items {
		if item.Rollout.Result == report.Planned {
			r.queue = append(r.queue, i)
		}
	}
	r.total = len(r.queue)

	var workers sync.WaitGroup
	for range min(opts.Pace.Parallel, r.total) {
		workers.Go(func() {
			for item := r.next(ctx); item != nil; item = r.next(ctx) {
				w := restart{cluster: c, opts: opts, audit: audit, item: *item, planned: plan.GeneratedAt, tell: r.tell}
				r.finish(item, w.run(ctx))
			}
		})
	}
	workers.Wait()
	r.interruptRest(ctx)
	return &out, nil
}

// run hands out work and gathers what became of it.
type run struct {
	opts  Options
	total int

	mu       sync.Mutex
	items    []report.Item
	queue    []int // indices of items that have not started
	failures int
	done     int

	telling sync.Mutex // keeps Progress from being called concurrently
}

// next takes the next item off the queue; nil when nothing more may start.
func (r *run) next(ctx context.Context) *report.Item {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.queue) == 0 || r.stopped(ctx) != "" {
		return nil
	}
	i := r.queue[0]
	r.queue = r.queue[1:]
	return &r.items[i]
}

// stopped says why nothing new may start; empty while it may. Hold mu.
func (r *run) stopped(ctx context.Context) string {
	select {
	case <-r.opts.Pace.Drain:
		return "the run was interrupted"
	case <-ctx.Done():
		return "the run was interrupted"
	default:
	}
	if r.failures >= r.opts.Pace.MaxFailures {
		return fmt.Sprintf("%d failed or did not converge (--max-failures %d)", r.failures, r.opts.Pace.MaxFailures)
	}
	return ""
}

func (r *run) finish(item *report.Item, outcome report.Rollout) {
	r.mu.Lock()
	item.Rollout = outcome
	r.done++
	if outcome.Result == report.Failed || outcome.Result == report.NotConverging {
		r.failures++
	}
	r.mu.Unlock()

	ref := refOf(*item)
	r.opts.Log.Info("Finished rollout", "kind", ref.Kind, "namespace", ref.Namespace, "workload", ref.Name,
		"result", outcome.Result, "reason", outcome.Reason)
	r.tell(Event{Workload: ref, Phase: Finished, Message: outcome.Reason, Result: outcome.Result})
}

func (r *run) interruptRest(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, i := range r.queue {
		r.items[i].Rollout.Result = report.Interrupted
		r.items[i].Rollout.Reason = "not started, as " + r.stopped(ctx) + ": the same command goes on with it"
	}
}

func (r *run) tell(event Event) {
	r.telling.Lock()
	defer r.telling.Unlock()
	r.mu.Lock()
	event.Done, event.Total = r.done, r.total
	r.mu.Unlock()
	r.opts.Progress(event)
}
