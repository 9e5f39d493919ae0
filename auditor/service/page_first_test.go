package service

import (
	"strings"
	"testing"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

// While the first audit is under way the page shows what is known so far, says of what it is and
// of when, and nothing of an earlier leader's once the audit has ended.
func TestThePageWhileTheFirstAuditIsUnderWay(t *testing.T) {
	at := time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
	earlier := report.New(report.DriftReport, at, []report.Item{workload("web", verdict.Drifted), workload("db", verdict.Drifted)}, 0)
	trimmed := report.New(report.DriftReport, at, []report.Item{workload("web", verdict.Drifted)}, 0)
	trimmed.Summary.Workloads[verdict.InSync] = 7
	so := report.New(report.DriftReport, at.Add(time.Hour), []report.Item{workload("web", verdict.InSync)}, 0)
	all := reportOf(workload("web", verdict.InSync), workload("db", verdict.InSync))
	for name, test := range map[string]struct {
		before *report.Report
		want   map[verdict.State]int
		note   string
	}{
		"nothing was kept": {nil, map[verdict.State]int{verdict.InSync: 1}, "Not everything is shown: the first audit of this process is under way: 1 of 2 revisions of workloads are judged"},
		"a report was":     {earlier, map[verdict.State]int{verdict.InSync: 1, verdict.Drifted: 1}, "Of 1 workloads as of 2026-01-05T12:00:00Z: the first audit"},
		"a part of one":    {trimmed, map[verdict.State]int{verdict.InSync: 7, verdict.Drifted: 1}, "As of 2026-01-05T12:00:00Z: the first audit"},
	} {
		p := &page{masker: mask.Constant}
		if test.before != nil {
			p.restored(test.before)
			if note := p.last.Notes[0]; !strings.HasPrefix(note, "As of 2026-01-05T12:00:00Z, before this process began to audit") {
				t.Errorf("%s: at first the page notes %q", name, note)
			}
		}
		p.partly(so, 1, 2)
		for state, n := range test.want {
			if got := p.last.Summary.Workloads[state]; got != n {
				t.Errorf("%s: %d workloads are %s, want %d", name, got, state, n)
			}
		}
		if note := p.last.Notes[0]; !strings.HasPrefix(note, test.note) {
			t.Errorf("%s: it notes %q, want %q", name, note, test.note)
		}
		p.audited(all)
		p.partly(so, 2, 2) // which comes late
		p.restored(earlier)
		if p.last != all || len(p.history) != 1 {
			t.Errorf("%s: after the first audit it shows %+v", name, p.last)
		}
	}
}
