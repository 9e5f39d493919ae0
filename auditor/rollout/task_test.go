package rollout

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// A workload whose differences were believed because of others' is audited itself before
// its Pods are re-created, and decided by that.
func TestAskItself(t *testing.T) {
	drifted := audited("Deployment", verdict.Drifted, imageChange)
	told := with(audited("Deployment", verdict.Drifted, imageChange), func(r *report.Revision) { r.Told = true })
	for name, test := range map[string]struct {
		planned report.Item
		found   *report.Item
		err     error
		want    report.Result
		reason  string
		asked   bool
	}{
		"was asked about in the audit": {planned: drifted, want: report.Planned},
		"drifts":                       {planned: told, found: &drifted, want: report.Planned, asked: true},
		"varies": {planned: told, found: new(audited("Deployment", verdict.Unstable)), asked: true,
			want: report.Skipped, reason: "Unstable and never rolled out"},
		"is in sync": {planned: told, found: new(audited("Deployment", verdict.InSync)), asked: true,
			want: report.Skipped, reason: "right before its start, it is InSync"},
		"has gone": {planned: told, asked: true, want: report.Skipped, reason: errGone.Error()},
		"loses what others kept": {planned: told, asked: true,
			found: new(with(audited("Deployment", verdict.Drifted, imageChange), func(r *report.Revision) { r.Loses = []string{"istio-proxy"} })),
			want:  report.Skipped, reason: "would lose the sidecar istio-proxy"},
		"cannot be audited": {planned: told, err: errors.New("away"), asked: true},
	} {
		t.Run(name, func(t *testing.T) {
			asked := false
			task := task{item: test.planned, audit: func(context.Context, inventory.WorkloadRef, []byte) (*report.Item, error) {
				asked = true
				return test.found, test.err
			}}
			task.item.Rollout.Strategy = "evict"
			d, err := task.askItself(t.Context())
			if !errors.Is(err, test.err) || err == nil && (d.result != test.want || !strings.Contains(d.reason, test.reason)) {
				t.Errorf("%s %q, %v", d.result, d.reason, err)
			}
			if asked != test.asked || task.item.Rollout.Strategy != "evict" {
				t.Errorf("asked: %t; planned: %+v", asked, task.item.Rollout)
			}
		})
	}
}
