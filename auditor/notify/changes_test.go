package notify

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// What is told of drift begins with the changes that the workloads have, not with others'.
func TestDriftNamesChanges(t *testing.T) {
	web, api := item("shop", "web", verdict.Drifted), item("shop", "api", verdict.Drifted)
	web.Revisions[0].Changes = []verdict.Change{{ID: "3f0c29d1aa"}, {ID: "aa0c29d1ff"}}
	found := &report.Report{Changes: []report.ChangeSummary{
		{ID: "0000000000", Summary: "somebody else's", Risk: change.Loss},
		{ID: "3f0c29d1aa", Summary: "proxy image 1 → 2\x1b[31m", Risk: change.Version, Workloads: 46, By: "by helm, 2 s before"},
		{ID: "aa0c29d1ff", Summary: "proxy cpu 1 → 2", Risk: change.Tuning, Workloads: 3},
	}}
	m := Drift([]report.Item{web, api}, found, noon)
	if len(m.Changes) != 2 || m.Changes[0].Workloads != 46 || strings.Contains(m.Changes[0].Summary, "\x1b") {
		t.Errorf("changes %+v", m.Changes)
	}
	contains(t, plain(m), "\n* 3f0c29d1aa: proxy image 1 → 2", ", version (by helm, 2 s before)\n* aa0c29d1ff: proxy cpu 1 → 2, tuning\n- shop/Deployment/web")

	found.Changes = nil
	for i := range mostChanges + 3 {
		id := fmt.Sprintf("%010d", i)
		found.Changes = append(found.Changes, report.ChangeSummary{ID: id})
		web.Revisions[0].Changes = append(web.Revisions[0].Changes, verdict.Change{ID: id})
	}
	if m := Drift([]report.Item{web}, found, noon); len(m.Changes) != mostChanges {
		t.Errorf("%d changes", len(m.Changes))
	}
}
