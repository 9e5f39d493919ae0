package audit

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
func (a *Audit) markDown(ctx context.Context, f *Finding, r inventory.Revision) {
	switch f.Revision.State {
	case verdict.Drifted, verdict.Missing, verdict.Orphaned, verdict.Modified, verdict.Mutated, verdict.Unstable:
	default:
		return
	}
	steps, _ := a.Admission.Steps(ctx, a.client, r.Workload.Namespace, f.Submitted)
	name, why := a.health.FirstDown(ctx, steps)
	if why == "" {
		return
	}
	f.Revision.Changes, f.Revision.MoreChanges, f.Revision.Autoscaled, f.Revision.Loses = nil, 0, nil, nil
	f.Unasked = true
	f.Unjudged(a.opts.OfSidecars(r.Pods, f.Named), verdict.Unknown,
		fmt.Sprintf("%s does not answer, as %s: what it would inject is not known", name, why))
}

// Outages are the injectors that do not answer now, whatever they are asked about.
func (a *Audit) Outages(ctx context.Context) []report.Outage {
	chain := a.Admission.all(ctx, a.client)
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

// SayOutages puts them into the report.
func SayOutages(found *report.Report, outages []report.Outage) {
	found.Outages = outages
	for _, o := range outages {
		found.Notes = append(found.Notes, fmt.Sprintf("%s does not answer, as %s: what differs where it is asked is Unknown, and not rolled out", o.Webhook, o.Reason))
	}
}
