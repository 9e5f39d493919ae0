package rollout

import (
	"slices"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// lesson is that a workload came back as it was: a dry run does not tell, at the places
// where it differs, of Pods that its controller creates.
type lesson struct {
	namespace, scope, workload string
	changes                    []verdict.Change
}

// scopeOf is what revisions must share for a lesson about one to hold for the other;
// empty if the item's differ in that, or it is not known.
func scopeOf(item report.Item) string {
	scope := ""
	for _, r := range item.Revisions {
		switch {
		case len(r.Changes) == 0:
		case r.Scope == "" || scope != "" && scope != r.Scope:
			return ""
		default:
			scope = r.Scope
		}
	}
	return scope
}

// learn takes down where a workload came back as it was.
func (r *run) learn(item report.Item, changes []verdict.Change) {
	scope := scopeOf(item)
	if scope == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.biased = append(r.biased, lesson{item.Namespace, scope, item.Kind + "/" + item.Name, changes})
}

// knowing is the item with what the run has learned of places that a dry run does not
// tell of: they are no part of what its rollout promises.
func (r *run) knowing(item report.Item) report.Item {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.biased {
		if l.namespace != item.Namespace || l.scope != scopeOf(item) {
			continue
		}
		item.Revisions = slices.Clone(item.Revisions)
		for i := range item.Revisions {
			of := &item.Revisions[i]
			of.Biased = slices.Clone(of.Biased)
			for _, c := range l.changes {
				of.Biased = append(of.Biased, c.Place())
			}
		}
	}
	return item
}

// inVain leaves alone what differs just where another workload of its namespace came
// back as it was, through the same webhooks. Other namespaces are others' business: there
// it counts as any failure does.
func (r *run) inVain(item report.Item) decision {
	scope := scopeOf(item)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.biased {
		if l.namespace == item.Namespace && l.scope == scope && within(r.opts.Select.differences(item), l.changes) {
			return skip("%s, which differs there, too, has come back as it was: a restart would be in vain (docs/rollout.md#not-converging)", l.workload)
		}
	}
	return proceed
}
