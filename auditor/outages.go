package auditor

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// markDown makes a verdict Unknown that may be about an injector that does not answer
// now: one that fails open leaves a Pod without what it injects. What does not differ
// needs none.
func (a *audit) markDown(ctx context.Context, f *finding, r inventory.Revision) {
	switch f.revision.State {
	case verdict.Drifted, verdict.Missing, verdict.Orphaned, verdict.Modified, verdict.Mutated, verdict.Unstable:
	default:
		return
	}
	steps, _ := a.askers.steps(ctx, a.client, r.Workload.Namespace, f.submitted)
	name, why := a.health.FirstDown(ctx, steps)
	if why == "" {
		return
	}
	f.revision.Changes, f.revision.MoreChanges, f.revision.Autoscaled, f.revision.Loses = nil, 0, nil, nil
	f.unasked = true
	f.unjudged(a.opts.ofSidecars(r.Pods, f.named), verdict.Unknown,
		fmt.Sprintf("%s does not answer, as %s: what it would inject is not known", name, why))
}

// outages are the injectors that do not answer now, whatever they are asked about.
func (a *audit) outages(ctx context.Context) []report.Outage {
	chain := a.askers.all(ctx, a.client)
	if chain == nil {
		return nil
	}
	var outages []report.Outage
	for _, step := range chain.ForPods() {
		if !step.Injects() {
			continue
		}
		if down := a.health.Down(ctx, step); down != "" {
			outages = append(outages, report.Outage{Webhook: step.Name, Reason: down})
		}
	}
	slices.SortFunc(outages, func(a, b report.Outage) int { return cmp.Compare(a.Webhook, b.Webhook) })
	return outages
}

// sayOutages puts them into the report.
func sayOutages(found *report.Report, outages []report.Outage) {
	found.Outages = outages
	for _, o := range outages {
		found.Notes = append(found.Notes, fmt.Sprintf("%s does not answer, as %s: what differs where it is asked is Unknown, and not rolled out", o.Webhook, o.Reason))
	}
}
