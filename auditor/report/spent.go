package report

import (
	"slices"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// Spent reports whether the workload drifts by nothing but what is spent: nothing that runs
// gains by its re-creation.
func (item Item) Spent() bool {
	spent := false
	for _, r := range item.Revisions {
		changes := verdict.Stable(r.Changes)
		if r.MoreChanges > 0 || len(verdict.Unspent(changes)) > 0 {
			return false
		}
		spent = spent || len(changes) > 0
	}
	return spent && !slices.ContainsFunc(item.Revisions, func(r Revision) bool { return len(r.Loses) > 0 })
}
