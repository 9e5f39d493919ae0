package rollout

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// planReads is how many workloads Plan reads at a time.
const planReads = 8

// Plan says what a rollout would do about an audit's report, and changes
// nothing. Items of the answer, a RolloutReport, are first the workloads to
// roll out (Planned), in their order, then those that are left out (Skipped or
// NotConverging), each with a reason. Workloads that nothing is to be done
// about are only in the Summary, which is the audit's.
//
// An error means that the cluster could not be asked (ends).
func Plan(ctx context.Context, cfg *rest.Config, rep *report.Report, opts Options) (*report.Report, error) {
	opts = opts.withDefaults()
	c, err := connect(cfg)
	if err != nil {
		return nil, err
	}
	items, decisions := chosen(rep.Items, opts)
	p := planner{
		cluster: c, opts: opts, limit: unavailableLimit(rep.Summary, opts.Pace.MaxUnavailablePercent),
		namespaces: newNamespaces(c, time.Hour), access: newAccess(c), objects: newObjects(c, items),
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(planReads)
	for i := range items {
		if decisions[i] != proceed {
			continue
		}
		group.Go(func() error {
			var err error
			decisions[i], err = p.decide(groupCtx, &items[i])
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("plan the rollout: %w", err)
	}
	for i, d := range decisions {
		r := &items[i].Rollout
		if d == proceed {
			d.reason = r.Reason // what there is to know of it
		}
		r.Eligible, r.Reason, r.Result = d.result == report.Planned, d.text(), d.result
		opts.Log.Info("Planned rollout", "kind", items[i].Kind, "namespace", items[i].Namespace, "workload", items[i].Name,
			"state", items[i].State, "result", d.result, "reason", r.Reason)
	}
	slices.SortStableFunc(items, opts.Pace.inOrder)
	canariesFirst(items, opts.Pace.Canary)
	return &report.Report{
		APIVersion:  report.APIVersion,
		Kind:        report.RolloutReport,
		GeneratedAt: opts.now(),
		Summary:     rep.Summary,
		Probes:      rep.Probes,

		IgnoredPaths: rep.IgnoredPaths,
		Items:        items,
	}, nil
}

// chosen are the items that there is something to say about, with what the
// audit alone decides.
func chosen(all []report.Item, opts Options) ([]report.Item, []decision) {
	items, decisions := []report.Item{}, []decision{}
	for _, item := range all {
		if d := choose(item, opts); d != nothingToDo {
			item.Rollout = report.Rollout{Strategy: string(opts.Strategy)}
			items, decisions = append(items, item), append(decisions, d)
		}
	}
	return items, decisions
}

// inOrder puts what is rolled out first, in the order of the pace; what is left
// out by namespace, kind, name.
func (p Pace) inOrder(a, b report.Item) int {
	leftOut := func(i report.Item) int {
		if i.Rollout.Result == report.Planned {
			return 0
		}
		return 1
	}
	byOrder := 0
	if leftOut(a) == 0 && leftOut(b) == 0 {
		switch p.Order {
		case ByPods:
			byOrder = cmp.Compare(total(a), total(b))
		case ByAge:
			byOrder = started(a).Compare(started(b))
		}
	}
	return cmp.Or(
		cmp.Compare(leftOut(a), leftOut(b)),
		byOrder,
		cmp.Compare(a.Namespace, b.Namespace),
		cmp.Compare(a.Kind, b.Kind),
		cmp.Compare(a.Name, b.Name),
	)
}

func total(item report.Item) int {
	sum := 0
	for _, n := range item.Pods {
		sum += n
	}
	return sum
}

// started is when the workload's oldest Pod was started; now, more or less, for
// one that has none yet.
func started(item report.Item) time.Time {
	if item.OldestPod == nil {
		return time.Now()
	}
	return *item.OldestPod
}

// canariesFirst moves the canaries to the front: the first n of the plan, at
// most one a namespace.
func canariesFirst(items []report.Item, n int) {
	namespaces := map[string]bool{}
	for i := range items {
		if len(namespaces) == n || items[i].Rollout.Result != report.Planned {
			return
		}
		at := slices.IndexFunc(items[i:], func(item report.Item) bool {
			return item.Rollout.Result == report.Planned && !namespaces[item.Namespace]
		})
		if at < 0 {
			return
		}
		canary := items[i+at]
		copy(items[i+1:i+at+1], items[i:i+at])
		items[i] = canary
		namespaces[canary.Namespace] = true
	}
}

// canaries is how many of the planned items, canaries first, are canaries.
func canaries(planned []report.Item, n int) int {
	namespaces := map[string]bool{}
	for i, item := range planned {
		if i == n || namespaces[item.Namespace] {
			return i
		}
		namespaces[item.Namespace] = true
	}
	return len(planned)
}

// unavailableLimit is how many Pods a run may make unavailable at once; less
// than 0 means any number.
func unavailableLimit(s report.Summary, percent int) int {
	if percent <= 0 {
		return -1
	}
	injected := 0
	for state, pods := range s.Pods {
		if state.Counted() {
			injected += pods
		}
	}
	return injected * percent / 100
}

// planner reads what the guards judge.
type planner struct {
	cluster    *cluster
	opts       Options
	limit      int // of Pods that are unavailable at once
	namespaces *namespaces
	access     *access
	objects    *objects
}

// decide decides about an item. What cannot be found out about it leaves it out;
// an error ends the plan.
func (p *planner) decide(ctx context.Context, item *report.Item) (decision, error) {
	d, err := p.look(ctx, item)
	if err == nil || ends(ctx, err) {
		return d, err
	}
	return skip("could not be looked at: %v", err), nil
}

// look decides by what there is in the cluster, and notes in the item what a run
// paces itself by.
func (p *planner) look(ctx context.Context, item *report.Item) (decision, error) {
	ref := refOf(*item)
	opts := p.opts
	if opts.Strategy != Auto {
		if denied, err := p.access.denied(ctx, ref, opts.Strategy); err != nil || denied != "" {
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
	ns, err := p.namespaces.get(ctx, item.Namespace)
	if err != nil {
		return decision{}, err
	}
	f, err := factsOf(object, ns, *item, p.opts)
	if err != nil {
		return decision{}, err
	}
	if f.resize, err = p.resizing(ctx, object, *item, f); err != nil {
		return decision{}, err
	}
	var notes []string
	if opts.Strategy == Auto {
		var why string
		if opts, why = opts.resolved(f); why != "" {
			notes = append(notes, why)
		}
		if denied, err := p.access.denied(ctx, ref, opts.Strategy); err != nil || denied != "" {
			return skip("%s", denied), err
		}
	}
	item.Rollout.Strategy = string(opts.Strategy)
	if least := f.least(opts); least > time.Hour {
		notes = append(notes, fmt.Sprintf("takes %s at least, by its minReadySeconds", least))
	}
	if f.unhealthy {
		notes = append(notes, "is unhealthy: "+f.unsettled)
	}
	if images := item.ImageChanges(); images != "" {
		notes = append(notes, "brings up another image of the app, too: "+images)
	}
	item.Rollout.Reason = strings.Join(notes, "; ")
	item.Rollout.Budgets, item.Rollout.Disrupts = f.budgetNames(), f.disrupts(opts)
	if p.opts.Strategy == Auto { // which may go on by another one
		evicting := opts
		evicting.Strategy = Evict
		item.Rollout.Disrupts = max(item.Rollout.Disrupts, f.disrupts(evicting))
	}
	d := check(f, opts)
	if disrupts := f.disrupts(opts); d == proceed && p.limit >= 0 && disrupts > p.limit {
		return skip("may make %d of its Pods unavailable at once, and --max-unavailable-percent %d allows %d in all",
			disrupts, p.opts.Pace.MaxUnavailablePercent, p.limit), nil
	}
	return d, nil
}

func refOf(item report.Item) inventory.WorkloadRef {
	return inventory.WorkloadRef{Kind: item.Kind, Namespace: item.Namespace, Name: item.Name}
}
