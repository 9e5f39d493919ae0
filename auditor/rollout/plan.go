package rollout

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

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
// roll out (Planned), in that order, then those that are left out (Skipped or
// NotConverging), each with a reason. Workloads that nothing is to be done
// about are only in the Summary, which is the audit's.
//
// An error means that the cluster could not be asked.
func Plan(ctx context.Context, cfg *rest.Config, rep *report.Report, opts Options) (*report.Report, error) {
	opts = opts.withDefaults()
	c, err := connect(cfg)
	if err != nil {
		return nil, err
	}
	items, decisions := chosen(rep.Items, opts)
	p := planner{cluster: c, lifted: opts.Guards, namespaces: namespaces{cluster: c}}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(planReads)
	for i := range items {
		if decisions[i] != proceed {
			continue
		}
		group.Go(func() error {
			var err error
			decisions[i], err = p.decide(groupCtx, items[i])
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("plan the rollout: %w", err)
	}
	for i, d := range decisions {
		items[i].Rollout = report.Rollout{Eligible: d == proceed, Reason: d.reason, Strategy: StrategyRestart, Result: d.result}
		opts.Log.Info("Planned rollout", "kind", items[i].Kind, "namespace", items[i].Namespace, "workload", items[i].Name,
			"state", items[i].State, "result", d.result, "reason", d.reason)
	}
	slices.SortStableFunc(items, inOrder)
	return &report.Report{
		APIVersion:  report.APIVersion,
		Kind:        report.RolloutReport,
		GeneratedAt: opts.now(),
		Summary:     rep.Summary,
		Items:       items,
	}, nil
}

// chosen are the items that there is something to say about, with what the
// audit alone decides.
func chosen(all []report.Item, opts Options) ([]report.Item, []decision) {
	items, decisions := []report.Item{}, []decision{}
	for _, item := range all {
		if d := choose(item, opts); d != nothingToDo {
			items, decisions = append(items, item), append(decisions, d)
		}
	}
	return items, decisions
}

// inOrder puts what is rolled out first; each part by namespace, kind, name.
func inOrder(a, b report.Item) int {
	leftOut := func(i report.Item) int {
		if i.Rollout.Result == report.Planned {
			return 0
		}
		return 1
	}
	return cmp.Or(
		cmp.Compare(leftOut(a), leftOut(b)),
		cmp.Compare(a.Namespace, b.Namespace),
		cmp.Compare(a.Kind, b.Kind),
		cmp.Compare(a.Name, b.Name),
	)
}

// planner reads what the guards judge.
type planner struct {
	cluster    *cluster
	lifted     Guards
	namespaces namespaces
}

func (p *planner) decide(ctx context.Context, item report.Item) (decision, error) {
	ref := refOf(item)
	object, err := p.cluster.get(ctx, ref)
	if apierrors.IsNotFound(err) {
		return skip("has been deleted since the audit"), nil
	}
	if err != nil {
		return decision{}, fmt.Errorf("%s: %w", ref, err)
	}
	ns, err := p.namespaces.get(ctx, item.Namespace)
	if err != nil {
		return decision{}, err
	}
	digest, err := digestOf(item)
	if err != nil {
		return decision{}, err
	}
	f, err := factsOf(object, ns, digest)
	if err != nil {
		return decision{}, fmt.Errorf("%s: %w", ref, err)
	}
	return check(f, p.lifted), nil
}

// namespaces reads each namespace once.
type namespaces struct {
	cluster *cluster
	byName  sync.Map // name → func() (namespace, error)
}

func (n *namespaces) get(ctx context.Context, name string) (namespace, error) {
	read, _ := n.byName.LoadOrStore(name, sync.OnceValues(func() (namespace, error) {
		return n.cluster.namespace(ctx, name)
	}))
	return read.(func() (namespace, error))()
}

func refOf(item report.Item) inventory.WorkloadRef {
	return inventory.WorkloadRef{Kind: item.Kind, Namespace: item.Namespace, Name: item.Name}
}
