package rollout

import (
	"context"
	"time"

	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// Adviser says of audited workloads whether a rollout would take them, by the same
// decisions as a plan.
type Adviser struct {
	// Age is for how long an answer holds of a workload that differs as it did; 0: no
	// answer holds for the next report.
	Age   time.Duration
	known map[inventory.WorkloadRef]advice
}

// advice is an answer about what a workload then differed by.
type advice struct {
	digest  string
	at      time.Time
	rollout report.Rollout
}

// Advise sets the Rollout of every item of an audit's report, but for Result. What this
// identity may do does not matter: the question is whether anybody's rollout would. A
// workload that the audit does not leave out is looked at in the cluster; where it cannot
// be, it is not eligible, with the reason that it was not checked. An error is that ctx
// is done.
func (a *Adviser) Advise(ctx context.Context, cfg *rest.Config, audited *report.Report, opts Options) error {
	opts = opts.withDefaults()
	before := a.known
	a.known = map[inventory.WorkloadRef]advice{}
	var open []Step
	var at []int // in the report, of the open steps
	for i := range audited.Items {
		item := &audited.Items[i]
		d := decided(*item, audited.Preview != nil && len(audited.Preview.Webhooks) == 0, opts)
		if d != proceed {
			item.Rollout = report.Rollout{Reason: d.text()}
			continue
		}
		if known, ok := before[refOf(*item)]; ok && a.holds(known, *item, opts.Now()) {
			item.Rollout, a.known[refOf(*item)] = known.rollout, known
			continue
		}
		open, at = append(open, Step{Item: *item, Result: report.Planned}), append(at, i)
	}
	if len(open) == 0 {
		return nil
	}
	a.decideByCluster(ctx, cfg, audited.Summary, open, opts)
	for n, s := range open {
		r := report.Rollout{Reason: s.Reason}
		if s.Result == report.Planned {
			r.Eligible, r.Strategy = true, string(s.Strategy)
		}
		audited.Items[at[n]].Rollout = r
		if digest, err := digestOf(s.Item); err == nil && a.Age > 0 && !s.Unchecked {
			a.known[refOf(s.Item)] = advice{digest, opts.Now(), r}
		}
	}
	return ctx.Err()
}

// decided is what the audit alone decides, about a preview of other Pods, too. Of the same Pods
// with another injector, a rollout would do what the preview says, once the injector is there.
func decided(item report.Item, preview bool, opts Options) decision {
	if preview {
		return skip("a preview: roll the change itself out")
	}
	return choose(item, opts)
}

func (a *Adviser) holds(known advice, item report.Item, now time.Time) bool {
	digest, err := digestOf(item)
	return err == nil && digest == known.digest && now.Sub(known.at) < a.Age
}

// decideByCluster decides about the steps by what there is in the cluster.
func (a *Adviser) decideByCluster(ctx context.Context, cfg *rest.Config, audited report.Summary, steps []Step, opts Options) {
	c, err := connect(cfg)
	if err == nil {
		err = newPlanner(c, steps, audited, opts).decideAll(ctx, steps)
	}
	if err == nil {
		return
	}
	for i := range steps {
		if s := &steps[i]; s.Result == report.Planned && s.Strategy == "" {
			s.unknown(err)
		}
	}
}

// unknown leaves a step out whose workload could not be looked at.
func (s *Step) unknown(err error) {
	s.decided(skip("not checked: %v", err))
	s.Unchecked = true
}
