package rollout

import (
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// workloadsAtATime is how many a planner reads at a time.
const workloadsAtATime = 8

// planner decides about workloads by what it reads of them.
type planner struct {
	cluster      *cluster
	opts         Options
	limit        int // of Pods that are unavailable at once
	namespaces   *namespaces
	objects      *objects
	surroundings *surroundings
	access       *access // nil: what this identity may do does not matter
}

func newPlanner(c *cluster, steps []Step, audited report.Summary, opts Options) *planner {
	return &planner{
		cluster: c, opts: opts, limit: unavailableLimit(audited, opts.Pace.MaxUnavailablePercent),
		namespaces: newNamespaces(c, time.Hour), objects: newObjects(c, steps), surroundings: newSurroundings(c, time.Hour),
	}
}

// decideAll decides about what the audit alone does not leave out.
func (p *planner) decideAll(ctx context.Context, steps []Step) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(workloadsAtATime)
	for i := range steps {
		if steps[i].Result == report.Planned {
			group.Go(func() error { return p.decide(groupCtx, &steps[i]) })
		}
	}
	return group.Wait()
}

// decide decides about a step. What cannot be found out about it leaves it out;
// an error ends the plan.
func (p *planner) decide(ctx context.Context, s *Step) error {
	d, err := p.decideByCluster(ctx, s)
	switch {
	case err == nil && d == proceed:
		return nil
	case err == nil:
		s.decided(d)
	case ends(ctx, err):
		return err
	default:
		s.unknown(err)
	}
	return nil
}

// decideByCluster decides by what there is in the cluster, and notes what a run paces itself by.
func (p *planner) decideByCluster(ctx context.Context, s *Step) (decision, error) {
	ref := refOf(s.Item)
	opts := p.opts
	if opts.Strategy != Auto {
		if denied, err := p.denied(ctx, ref, opts.Strategy); err != nil || denied != "" {
			return skip("%s", denied), err
		}
	}
	object, err := p.objects.get(ctx, ref)
	if apierrors.IsNotFound(err) {
		return skip("has been deleted since the audit"), nil
	}
	if err != nil {
		return decision{}, err
	}
	ns, err := p.namespaces.get(ctx, ref.Namespace)
	if err != nil {
		return decision{}, err
	}
	f, err := factsOf(object, ns, s.Item, opts)
	if err != nil {
		return decision{}, err
	}
	if f.lost, err = p.surroundings.lost(ctx, object); err != nil {
		return decision{}, err
	}
	if f.resize, err = p.resizing(ctx, object, s.Item, f); err != nil {
		return decision{}, err
	}
	if opts.mayRestart() {
		if f.beside, err = p.surroundings.beside(ctx, object, f, nil); err != nil {
			return decision{}, err
		}
	}
	var notes []string
	if opts.Strategy == Auto {
		var why string
		if opts, why = opts.resolved(f); why != "" {
			notes = append(notes, why)
		}
		if denied, err := p.denied(ctx, ref, opts.Strategy); err != nil || denied != "" {
			return skip("%s", denied), err
		}
	}
	s.Strategy, s.Reason = opts.Strategy, sentence(strings.Join(append(notes, notesOf(f, s.Item, opts)...), "; "), longestReason)
	s.Budgets, s.Disrupts, s.Lost = f.budgetNames(), f.mayDisrupt(p.opts, opts), f.lost.nodes
	if placed := placedBy(object); placed != nil {
		s.claims = exclusiveOf(placed).claims
	}
	d := check(f, opts)
	if disrupts := f.disrupts(opts); d == proceed && p.limit >= 0 && disrupts > p.limit {
		return skip("may make %d of its Pods unavailable at once, and --max-unavailable-percent %d allows %d in all",
			disrupts, p.opts.Pace.MaxUnavailablePercent, p.limit), nil
	}
	return d, nil
}

// denied says what this identity may not do, where that matters.
func (p *planner) denied(ctx context.Context, ref inventory.WorkloadRef, strategy Strategy) (string, error) {
	if p.access == nil {
		return "", nil
	}
	return p.access.denied(ctx, ref, strategy)
}

// mayDisrupt is how many Pods may be unavailable at once by what was asked for. Auto may go
// on by another strategy than it has chosen: with what a restart was taken back of by
// eviction, with what could not be resized by either.
func (f facts) mayDisrupt(asked, chosen Options) int {
	most := f.disrupts(chosen)
	if asked.Strategy != Auto {
		return most
	}
	next := []Strategy{Evict}
	if chosen.Strategy == Resize && f.restarts() && !f.onDelete {
		next = append(next, Restart)
	}
	for _, strategy := range next {
		chosen.Strategy = strategy
		most = max(most, f.disrupts(chosen))
	}
	return most
}

// notesOf are what there is to know of a workload that is rolled out.
func notesOf(f facts, item report.Item, opts Options) []string {
	var notes []string
	if least := f.least(opts); least > time.Hour {
		notes = append(notes, fmt.Sprintf("takes %s at least, by its minReadySeconds", least))
	}
	switch {
	case f.lost.only:
		notes = append(notes, fmt.Sprintf("%d of its Pods are on %s", len(f.lost.pods), f.lost.where()))
	case f.unhealthy:
		notes = append(notes, "is unhealthy: "+f.unsettled)
	}
	if opts.Strategy == Restart {
		if f.beside.deadlock != "" {
			notes = append(notes, "will hang until one of its Pods goes: "+f.beside.deadlock)
		}
		notes = append(notes, f.beside.doubts...)
	}
	if images := item.ImageChanges(); images != "" {
		notes = append(notes, "brings up another image of the app, too: "+images)
	}
	return notes
}

func refOf(item report.Item) inventory.WorkloadRef {
	return inventory.WorkloadRef{Kind: item.Kind, Namespace: item.Namespace, Name: item.Name}
}
