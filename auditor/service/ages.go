package service

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// ages are since when workloads have drifted.
type ages map[inventory.WorkloadRef]time.Time

// Limits of an object's names in Kubernetes. What is longer, a Pod only says of
// its owner: it is not kept.
const (
	longestName  = 253
	longestLabel = 63
)

// kept reports whether something is remembered about such a workload.
func kept(ref inventory.WorkloadRef) bool {
	within := func(text string, longest int) bool { return text != "" && len(text) <= longest }
	return within(ref.Kind, longestLabel) && within(ref.Namespace, longestLabel) && within(ref.Name, longestName)
}

// update is the ages after what was found now: of what has begun to drift, and
// no more of what has ceased to.
func (a ages) update(found *report.Report, now time.Time) ages {
	return a.of(found, now, verdict.State.Drift)
}

// of is the same for another choice of states.
func (a ages) of(found *report.Report, now time.Time, counts func(verdict.State) bool) ages {
	since := ages{}
	for _, item := range found.Items {
		ref := refOf(item)
		if !counts(item.State) || !kept(ref) {
			continue
		}
		if known, ok := a[ref]; ok {
			since[ref] = known
		} else {
			since[ref] = now.UTC().Truncate(time.Second)
		}
	}
	return since
}

// oldest returns when the oldest drift of each namespace that has one began.
func (a ages) oldest() map[string]time.Time {
	oldest := map[string]time.Time{}
	for ref, since := range a {
		if first, ok := oldest[ref.Namespace]; !ok || since.Before(first) {
			oldest[ref.Namespace] = since
		}
	}
	return oldest
}

// age is how a ConfigMap has one.
type age struct {
	Kind      string `json:"k"`
	Namespace string `json:"ns"`
	Name      string `json:"n"`
	Since     int64  `json:"t"` // Unix time in seconds
}

// entries lists them by turns of the namespaces, each one's oldest first: where
// not all can be kept, no namespace's are lost for another's.
func (a ages) entries() []age {
	refs := slices.SortedFunc(maps.Keys(a), func(x, y inventory.WorkloadRef) int {
		return cmp.Or(a[x].Compare(a[y]), compareRefs(x, y))
	})
	refs = byTurns(refs, func(ref inventory.WorkloadRef) string { return ref.Namespace })
	entries := make([]age, len(refs))
	for i, ref := range refs {
		entries[i] = age{ref.Kind, ref.Namespace, ref.Name, a[ref].Unix()}
	}
	return entries
}

// agesOf reads them; what cannot have been written here is left out, and what has
// begun after now begins now.
func agesOf(entries []age, now time.Time) ages {
	since := ages{}
	for _, e := range entries {
		ref := inventory.WorkloadRef{Kind: e.Kind, Namespace: e.Namespace, Name: e.Name}
		if kept(ref) {
			since[ref] = time.Unix(min(e.Since, now.Unix()), 0).UTC()
		}
	}
	return since
}

func compareRefs(a, b inventory.WorkloadRef) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
}

// byTurns is the list with the first of each group first, then the second of
// each, and so on; within a turn, and within a group, they stay in their order.
func byTurns[T any, G comparable](list []T, group func(T) G) []T {
	type turn struct {
		n    int
		item T
	}
	seen := map[G]int{}
	turns := make([]turn, len(list))
	for i, item := range list {
		g := group(item)
		turns[i] = turn{seen[g], item}
		seen[g]++
	}
	slices.SortStableFunc(turns, func(a, b turn) int { return cmp.Compare(a.n, b.n) })
	sorted := make([]T, len(list))
	for i, t := range turns {
		sorted[i] = t.item
	}
	return sorted
}
