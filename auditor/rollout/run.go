package rollout

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// startsTogether is how long what was read of a namespace holds for the next
// workload that starts in it.
const startsTogether = time.Second

// surroundingsHold is for how long a run believes what it has read of nodes.
const surroundingsHold = time.Minute

// Run carries out a plan: its Planned items, in their order, Pace.Parallel at
// a time, the canaries first. It returns the plan's report with what became of
// each; what had not started when the run was stopped (by failures, Pace.Drain
// or ctx) is Interrupted. Running again goes on, since only what still drifts
// is planned.
//
// An error means that nothing has been started; whatever goes wrong with a
// workload is its own Result and Reason (ends.go).
func Run(ctx context.Context, cfg *rest.Config, plan *Plan, opts Options, audit AuditFunc) (*report.Report, error) {
	opts = opts.withDefaults()
	c, err := connect(cfg)
	if err != nil {
		return nil, err
	}
	c.log, c.holder = opts.Log, identity(false)
	out := plan.Report()
	out.GeneratedAt = opts.now()
	r := run{
		opts: opts, cluster: c, audit: audit, plan: plan,
		namespaces:   newNamespaces(c, startsTogether),
		injectors:    newInjectors(c.objects.CoreV1().RESTClient(), cfg),
		surroundings: newSurroundings(c, surroundingsHold),
		items:        out.Items,
		more:         map[int]int{},
		limit:        unavailableLimit(plan.Audited.Summary, opts.Pace.MaxUnavailablePercent),
	}
	r.changed = sync.NewCond(&r.mu)
	defer context.AfterFunc(ctx, r.wake)()
	queue := make([]int, plan.Planned())
	for i := range queue {
		queue[i] = i
	}
	r.total = len(queue)
	if len(opts.WaveBy) > 0 {
		r.rollOutInWaves(ctx, queue)
		r.interruptRest(ctx)
		return out, nil
	}
	if first := canaries(plan.Steps[:r.total], opts.Pace.Canary); first > 0 {
		r.queue = queue[:first]
		r.carryOut(ctx)
		r.soak(ctx, queue[:first])
		queue = append(r.queue, queue[first:]...)
	}
	r.queue = queue
	r.carryOut(ctx)
	r.interruptRest(ctx)
	return out, nil
}

// run hands out work and gathers what became of it.
type run struct {
	opts         Options
	cluster      *cluster
	namespaces   *namespaces
	injectors    *injectors
	surroundings *surroundings
	audit        AuditFunc
	plan         *Plan
	total        int
	limit        int // of Pods that are unavailable at once; less than 0: none

	mu       sync.Mutex
	changed  *sync.Cond    // something has finished, or the run is stopped
	items    []report.Item // what has become of the plan's steps
	queue    []int         // indices of items that have not started
	active   []int         // indices of items under way
	more     map[int]int   // Pods that items may make unavailable at once, where that is more than was planned
	biased   []lesson      // what came back as it was
	failures int
	done     int
	halted   string // why the canaries let nothing else start

	telling sync.Mutex // keeps Progress from being called concurrently
}

// carryOut works the queue off, as far as the run is not stopped.
func (r *run) carryOut(ctx context.Context) {
	var workers sync.WaitGroup
	for range min(r.opts.Pace.Parallel, len(r.queue)) {
		workers.Go(func() {
			for i, ok := r.next(ctx); ok; i, ok = r.next(ctx) {
				if d := r.inVain(r.items[i]); d != proceed {
					outcome := r.items[i].Rollout
					outcome.Eligible, outcome.Result, outcome.Reason = false, d.result, d.reason
					r.finish(i, outcome, nil)
					continue
				}
				t := task{
					cluster: r.cluster, namespaces: r.namespaces, injectors: r.injectors, surroundings: r.surroundings, asked: r.opts, audit: r.audit,
					item: r.knowing(r.items[i]), planned: r.plan.Made, tell: r.tell,
					biased: func(changes []verdict.Change) { r.learn(r.items[i], changes) },
					room:   func(disrupts int) string { return r.room(i, disrupts) },
				}
				outcome := t.run(ctx)
				r.finish(i, outcome, t.now)
			}
		})
	}
	// Workers that wait for others must notice that the run is stopped.
	over := make(chan struct{})
	var waker sync.WaitGroup
	waker.Go(func() {
		select {
		case <-r.opts.Pace.Drain:
			r.wake()
		case <-r.opts.Pace.Yield:
			r.wake()
		case <-over:
		}
	})
	workers.Wait()
	close(over)
	waker.Wait()
}

func (r *run) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changed.Broadcast()
}

// next takes the first item off the queue that may start beside what is under
// way, and waits for one to do so; it returns false when nothing more may start.
func (r *run) next(ctx context.Context) (int, bool) {
	r.opts.Pace.Before(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.queue) > 0 && r.stopped(ctx) == "" {
		if at := slices.IndexFunc(r.queue, r.fits); at >= 0 {
			i := r.queue[at]
			r.queue = slices.Delete(slices.Clone(r.queue), at, at+1)
			r.active = append(r.active, i)
			return i, true
		}
		r.changed.Wait()
	}
	return 0, false
}

// fits reports whether an item may start: it shares no PodDisruptionBudget and no claim with
// what is under way, and not too many Pods would be unavailable. Hold mu.
func (r *run) fits(i int) bool {
	a := r.plan.Steps[i]
	disrupted := r.disrupts(i)
	for _, other := range r.active {
		if a.apart(r.plan.Steps[other]) {
			return false
		}
		disrupted += r.disrupts(other)
	}
	return r.limit < 0 || len(r.active) == 0 || disrupted <= r.limit
}

// room has an item under way make so many Pods unavailable at once, if that is no more than was
// planned or there is room for them beside the others; else it says why not.
func (r *run) room(i, disrupts int) (full string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.limit < 0 || disrupts <= min(r.limit, r.disrupts(i)) {
		return ""
	}
	others := 0
	for _, other := range r.active {
		if other != i {
			others += r.disrupts(other)
		}
	}
	if others+disrupts > r.limit {
		return fmt.Sprintf("%d of its Pods may be unavailable at once then, beside %d of others: --max-unavailable-percent allows %d in all", disrupts, others, r.limit)
	}
	r.more[i] = disrupts
	return ""
}

// disrupts is how many Pods an item may make unavailable at once. Hold mu.
func (r *run) disrupts(i int) int { return max(r.plan.Steps[i].Disrupts, r.more[i]) }

// stopped says why nothing new may start; empty while it may. Hold mu.
func (r *run) stopped(ctx context.Context) string {
	select {
	case <-r.opts.Pace.Drain:
		return r.opts.Pace.Interrupted()
	case <-r.opts.Pace.Yield:
		return "it left the rollout's Lease to somebody who waits for it"
	case <-ctx.Done():
		return r.opts.Pace.Interrupted()
	default:
	}
	if r.halted != "" {
		return r.halted
	}
	if r.failures >= r.opts.Pace.MaxFailures {
		return fmt.Sprintf("%d failed, did not converge or were taken back (--max-failures %d)", r.failures, r.opts.Pace.MaxFailures)
	}
	return ""
}

// finish takes down what became of an item, and how it was found afterwards, if it was.
func (r *run) finish(i int, outcome report.Rollout, now *report.Item) {
	outcome.Reason = sentence(outcome.Reason, longestReason)
	r.mu.Lock()
	if found := &r.items[i]; now != nil {
		found.State, found.Pods, found.Revisions, found.OldestPod = now.State, now.Pods, now.Revisions, now.OldestPod
	}
	r.items[i].Rollout = outcome
	item := r.items[i]
	r.active = slices.DeleteFunc(r.active, func(other int) bool { return other == i })
	r.done++
	if outcome.Result.Failure() {
		r.failures++
	}
	r.changed.Broadcast()
	r.mu.Unlock()

	ref := refOf(item)
	r.opts.Log.Info("Finished rollout", "kind", ref.Kind, "namespace", ref.Namespace, "workload", ref.Name,
		"result", outcome.Result, "reason", outcome.Reason)
	r.tell(Event{Workload: ref, Phase: Finished, Message: outcome.Reason, Result: outcome.Result})
}

func (r *run) interruptRest(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, i := range r.queue {
		r.items[i].Rollout.Result = report.Interrupted
		r.items[i].Rollout.Reason = "not started, as " + r.stopped(ctx) + ": " + r.opts.GoesOn + " goes on with it"
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
