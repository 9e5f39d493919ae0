package service

import (
	"fmt"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// restored shows a report of an earlier leader's, of when it is, until there is one of this
// one's own.
func (p *page) restored(earlier *report.Report) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.complete {
		return
	}
	p.earlier = earlier
	p.last = noted(earlier, fmt.Sprintf("As of %s, before this process began to audit: its first audit is under way", moment(earlier)))
}

// partly shows what the first audit has found so far, of so many revisions; and of other
// workloads what an earlier leader had found.
func (p *page) partly(found *report.Report, judged, of int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	far := fmt.Sprintf("the first audit of this process is under way: %d of %d revisions of workloads are judged", judged, of)
	switch {
	case p.complete:
	case p.earlier == nil:
		p.last = noted(found, "Not everything is shown: "+far)
	case !whole(p.earlier):
		p.last = noted(p.earlier, fmt.Sprintf("As of %s: %s", moment(p.earlier), far))
	default:
		anew := map[inventory.WorkloadRef]bool{}
		for _, item := range found.Items {
			anew[refOf(item)] = true
		}
		merged := p.earlier.Replace(found, func(item report.Item) bool { return anew[refOf(item)] })
		merged.DryRunAs, merged.Outages = p.earlier.DryRunAs, p.earlier.Outages
		p.last = noted(merged, fmt.Sprintf("Of %d workloads as of %s: %s", len(merged.Items)-len(found.Items), moment(p.earlier), far))
	}
}

// whole reports whether a report holds all workloads that it sums up.
func whole(r *report.Report) bool {
	sum := 0
	for _, n := range r.Summary.Workloads {
		sum += n
	}
	return sum == len(r.Items)
}

// noted is the report with a note before others.
func noted(r *report.Report, note string) *report.Report {
	shown := *r
	shown.Notes = append([]string{note}, r.Notes...)
	return &shown
}

func moment(r *report.Report) string { return r.GeneratedAt.UTC().Format(time.RFC3339) }
