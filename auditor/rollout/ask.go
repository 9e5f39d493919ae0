package rollout

import (
	"context"
	"fmt"
	"slices"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// asksAgain reports whether the workload is audited once more right before its start: where
// its differences were believed because of others', as only what its own injections agree in
// is a reason to re-create its Pods, and where it was chosen by what it differs in, as
// injection may have changed since.
func (t *task) asksAgain() bool {
	return t.opts.Select.byChange() || slices.ContainsFunc(t.item.Revisions, func(r report.Revision) bool { return r.Told })
}

// byChange reports whether workloads are chosen by what they differ in.
func (s Filter) byChange() bool {
	return s.Changes.Any() || s.MaxRisk != "" && change.Loss.Exceeds(s.MaxRisk)
}

// askItself audits the workload once more where that is needed, and decides by that.
func (t *task) askItself(ctx context.Context) (decision, error) {
	if !t.asksAgain() {
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
	if t.opts.Select.Changes.Any() {
		nameChanges(&again, t.item)
	}
	planned := t.item.Rollout
	t.item = again.Items[0]
	t.item.Rollout = planned
	d := choose(t.item, t.opts)
	switch {
	case d.result == "":
		return skip("audited once more right before its start, it is %s", t.item.State), nil
	case d != proceed && d.reason == t.opts.Select.exceeds(t.item):
		return skip("audited once more right before its start: %s", d.reason), nil
	}
	return d, nil
}

// nameChanges gives differences of a single item the IDs that they had in the plan, and those
// that are new their own.
func nameChanges(again *report.Report, planned report.Item) {
	again.Group()
	item := &again.Items[0]
	added := report.Report{Items: []report.Item{*item}}
	added.Items[0].Revisions = slices.Clone(item.Revisions)
	for i, r := range item.Revisions {
		var rest []verdict.Change
		for j, c := range r.Changes {
			if id, ok := idIn(planned, c); ok {
				r.Changes[j].ID = id
			} else {
				rest = append(rest, c)
			}
		}
		added.Items[0].Revisions[i].Changes = rest
	}
	added.Group()
	for i, r := range item.Revisions {
		rest := added.Items[0].Revisions[i].Changes
		for j, c := range r.Changes {
			if _, ok := idIn(planned, c); !ok {
				r.Changes[j].ID, rest = rest[0].ID, rest[1:]
			}
		}
	}
}

// idIn is the ID of a difference in another audit of the workload.
func idIn(item report.Item, c verdict.Change) (string, bool) {
	for _, r := range item.Revisions {
		for _, other := range r.Changes {
			if !other.Unstable && other.Place() == c.Place() && string(other.From) == string(c.From) && string(other.To) == string(c.To) {
				return other.ID, true
			}
		}
	}
	return "", false
}

// otherInjection reports whether fresh Pods of a workload are other ones now than they were.
func otherInjection(was report.Item, is *report.Item) bool {
	if is == nil {
		return true
	}
	known := collect(was, func(r report.Revision) []string { return []string{r.Fresh} })
	return slices.ContainsFunc(is.Revisions, func(r report.Revision) bool { return !slices.Contains(known, r.Fresh) })
}
