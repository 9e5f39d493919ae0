package rollout

import (
	"context"
	"fmt"
	"slices"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// askItself audits a workload whose differences were believed because of others', and
// decides by that: only what its own injections agree in is a reason to re-create its
// Pods.
func (t *task) askItself(ctx context.Context) (decision, error) {
	if !slices.ContainsFunc(t.item.Revisions, func(r report.Revision) bool { return r.Told }) {
		return proceed, nil
	}
	found, err := t.audit(ctx, refOf(t.item), nil)
	switch {
	case err != nil:
		return decision{}, fmt.Errorf("audit it once more: %w", err)
	case found == nil:
		return skip("%v", errGone), nil
	}
	again := report.Report{Items: []report.Item{*found}}
	again.KnowBiased(&report.Report{Items: []report.Item{t.item}})
	planned := t.item.Rollout
	t.item = again.Items[0]
	t.item.Rollout = planned
	d := choose(t.item, t.opts)
	if d.result == "" {
		return skip("audited once more right before its start, it is %s", t.item.State), nil
	}
	return d, nil
}
