package service

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"

	"github.com/sidecar-drift/sidecar-drift/auditor/config"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// What newborns taught the daemon holds for its rollouts, too, which audit anew.
func TestHealerKnowsWhatIsBiased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		image := verdict.Change{Part: "container/proxy", Path: "image", From: json.RawMessage(`"1"`), To: json.RawMessage(`"2"`)}
		mode := verdict.Change{Part: "container/proxy", Path: "env[MODE].value", From: json.RawMessage(`"real"`), To: json.RawMessage(`"dry"`)}
		p := newPatient(newCluster(), 1)
		p.answer = func() (*report.Report, error) { // as Auditor.withLessons has it
			item := drifting("Deployment", "shop", "w0")
			item.Revisions = []report.Revision{{State: verdict.Drifted, Changes: []verdict.Change{image}, Biased: []string{mode.Place()}, BiasedChanges: []verdict.Change{mode}}}
			return reportOf(item), nil
		}
		p.healer.steps.audit = func(context.Context, config.Configuration, ...inventory.WorkloadRef) (*report.Report, error) {
			item := drifting("Deployment", "shop", "w0") // as audit.Run has it
			item.Revisions = []report.Revision{{State: verdict.Drifted, Changes: []verdict.Change{mode, image}}}
			return reportOf(item), nil
		}
		plan := p.healer.steps.plan
		planned := 0
		p.healer.steps.plan = func(ctx context.Context, found *report.Report, o rollout.Options) (*rollout.Plan, error) {
			planned++
			if r := found.Items[0].Revisions[0]; len(r.Biased) == 0 || len(r.Changes) > 1 {
				t.Errorf("planned with changes %d and biased %q", len(r.Changes), r.Biased)
			}
			return plan(ctx, found, o)
		}
		sleepUntil(t, "2026-01-13 12:00")
		p.start(t)
		sleepUntil(t, "2026-01-14 12:00")
		synctest.Wait()
		if planned == 0 {
			t.Error("nothing was planned")
		}
	})
}
