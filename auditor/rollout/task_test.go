package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// A workload whose differences were believed because of others', or that was chosen by what
// it differs in, is audited itself before its Pods are re-created, and decided by that.
func TestAskItself(t *testing.T) {
	drifted := audited("Deployment", verdict.Drifted, imageChange)
	told := with(audited("Deployment", verdict.Drifted, imageChange), func(r *report.Revision) { r.Told = true })
	port := verdict.Change{Part: "container/istio-proxy", Path: "ports[15021]", To: json.RawMessage(`{"containerPort":15021}`)}
	nonce := verdict.Change{Part: "container/istio-proxy", Path: "env[NONCE].value", Unstable: true}
	upgraded := audited("Deployment", verdict.Drifted, imageChange, port)
	grouped := func(item report.Item) report.Item {
		known := report.New(report.DriftReport, time.Unix(0, 0), []report.Item{item}, 0)
		known.Group()
		return known.Items[0]
	}
	idOf := func(c verdict.Change) string {
		return grouped(audited("Deployment", verdict.Drifted, c)).Revisions[0].Changes[0].ID
	}
	upTo := func(risk change.Risk) Options { return Options{Select: Filter{MaxRisk: risk}} }
	only := func(item report.Item) Options {
		id, err := change.ParseID(grouped(item).Revisions[0].Changes[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		return Options{Select: Filter{Changes: change.Name(id)}}
	}
	for name, test := range map[string]struct {
		planned report.Item
		opts    Options
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
		"chosen by its risk, and as planned": {planned: drifted, opts: upTo(change.Version), found: &drifted, asked: true, want: report.Planned},
		"any risk will do":                   {planned: drifted, opts: upTo(change.Loss), want: report.Planned},
		"chosen by its risk, and injection changed since": {planned: drifted, opts: upTo(change.Version), found: &upgraded, asked: true,
			want: report.Skipped, reason: "right before its start: what would change is behaviour (ports: istio-proxy:ports[15021]), and --max-risk is version"},
		"chosen by its change, and as planned": {planned: drifted, opts: only(drifted), found: &drifted, asked: true, want: report.Planned},
		"chosen by its change, and injection changed since": {planned: grouped(drifted), opts: only(drifted), found: &upgraded, asked: true,
			want: report.Skipped, reason: "right before its start: also differs in change " + idOf(port) + " (container/istio-proxy:ports[15021]), which --change does not name"},
		"chosen by its change, and another one came in its place": {planned: grouped(drifted), opts: only(drifted), found: new(audited("Deployment", verdict.Drifted, port)), asked: true,
			want: report.Skipped, reason: "right before its start: differs in change " + idOf(port)},
		"chosen by its change, and some varies now": {planned: grouped(drifted), opts: only(drifted), found: new(audited("Deployment", verdict.Drifted, imageChange, nonce)), asked: true,
			want: report.Skipped, reason: "right before its start: also differs in container/istio-proxy:env[NONCE].value, which varies"},
		"cannot be audited": {planned: told, err: errors.New("away"), asked: true},
	} {
		t.Run(name, func(t *testing.T) {
			asked := false
			task := task{item: test.planned, opts: test.opts, audit: func(context.Context, inventory.WorkloadRef, []byte) (*report.Item, error) {
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
