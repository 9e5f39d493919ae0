package service

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
)

// What is riskier than its wave lets through waits there, whatever the policy lets through
// elsewhere, and keeps its change from the waves behind.
func TestTheRiskOfAWave(t *testing.T) {
	for name, test := range map[string]struct {
		wave int
		want []string
	}{
		"the last wave":  {2, []string{"Tue 12h dev/a", "Tue 14h staging/a"}},
		"the first wave": {0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := wavy(newCluster(), "dev/a", "staging/a", "prod/a")
				w.conf.Interval.Duration = 20 * time.Minute
				w.conf.AutoRollout.Waves[test.wave].MaxRisk = change.Cosmetic
				plan := w.healer.steps.plan
				w.healer.steps.plan = func(ctx context.Context, found *report.Report, opts rollout.Options) (*rollout.Plan, error) {
					allowed := *found
					allowed.Items = slices.DeleteFunc(slices.Clone(found.Items), func(item report.Item) bool {
						risk, _ := item.Risk()
						return opts.Select.MaxRisk != "" && risk.Exceeds(opts.Select.MaxRisk)
					})
					return plan(ctx, &allowed, opts)
				}
				sleepUntil(t, "2026-01-13 12:00")
				w.start(t)
				sleepUntil(t, "2026-01-15 18:00")
				synctest.Wait()
				if diff := cmp.Diff(test.want, hours(w.rolledOut()), cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("rolled out (-want +got):\n%s", diff)
				}
			})
		})
	}
}
