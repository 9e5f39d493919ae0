package report

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// New makes a report of kind [DriftReport] or [RolloutReport]: the items
// sorted, the summary counted, every list and map non-null. notJudged numbers
// the Pods that were left out because they are finished, being deleted or
// static. The items are copied, and what a stranger may have written into them is
// bounded.
func New(kind string, now time.Time, items []Item, notJudged int) *Report {
	items = append([]Item{}, items...)
	for i := range items {
		items[i] = bounded(withoutNulls(items[i]))
	}
	slices.SortStableFunc(items, worstFirst)
	boundGuesses(items)
	return &Report{
		APIVersion:  APIVersion,
		Kind:        kind,
		GeneratedAt: now.UTC().Truncate(time.Second),
		Summary:     summarise(items, notJudged),
		Items:       items,
	}
}

// Select returns the report with only the items in one of the given states.
// The summary still speaks of everything that was audited.
func (r *Report) Select(states ...verdict.State) *Report {
	selected := *r
	selected.Items = []Item{}
	for _, item := range r.Items {
		if slices.Contains(states, item.State) {
			selected.Items = append(selected.Items, item)
		}
	}
	return &selected
}

func worstFirst(a, b Item) int {
	return cmp.Or(
		cmp.Compare(a.State.Severity(), b.State.Severity()),
		cmp.Compare(a.Namespace, b.Namespace),
		cmp.Compare(a.Kind, b.Kind),
		cmp.Compare(a.Name, b.Name),
		cmp.Compare(a.Cluster, b.Cluster),
	)
}

func summarise(items []Item, notJudged int) Summary {
	s := Summary{
		Workloads: map[verdict.State]int{},
		Pods:      map[verdict.State]int{},
		NotJudged: notJudged,
	}
	for _, item := range items {
		s.Workloads[item.State]++
		for state, pods := range item.Pods {
			s.Pods[state] += pods
		}
	}
	drifted, counted := 0, 0
	for state, pods := range s.Pods {
		if state.Drift() {
			drifted += pods
		}
		if state.Counted() {
			counted += pods
		}
	}
	if counted > 0 {
		s.DriftPercent = new(100 * float64(drifted) / float64(counted))
	}
	return s
}

// Drift is DriftPercent; 0 where there is none.
func (s Summary) Drift() float64 {
	if s.DriftPercent == nil {
		return 0
	}
	return *s.DriftPercent
}

// Stale numbers the workloads of which something could not be asked about last.
func (r *Report) Stale() int {
	n := 0
	for _, item := range r.Items {
		if slices.ContainsFunc(item.Revisions, func(revision Revision) bool { return revision.StaleSince != nil }) {
			n++
		}
	}
	return n
}

// Judged is the number of Pods that something is known of: all but Unknown ones.
func (s Summary) Judged() int { return total(s.Pods) - s.Pods[verdict.Unknown] }

// withoutNulls copies what it changes: the caller's item stays as it is.
func withoutNulls(item Item) Item {
	if item.Pods == nil {
		item.Pods = map[verdict.State]int{}
	}
	item.Revisions = append([]Revision{}, item.Revisions...)
	for i := range item.Revisions {
		r := &item.Revisions[i]
		r.Stamps = orEmpty(r.Stamps)
		r.Changes = orEmpty(r.Changes)
		r.Sidecars = orEmpty(r.Sidecars)
		r.Loses = orEmpty(r.Loses)
		if r.Candidate != nil {
			c := *r.Candidate
			c.Changes, c.Reason = orEmpty(c.Changes), verdict.Cut(c.Reason, verdict.MaxReason)
			r.Candidate = &c
		}
	}
	return item
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// total is the number of Pods in all states.
func total(pods map[verdict.State]int) int {
	sum := 0
	for n := range maps.Values(pods) {
		sum += n
	}
	return sum
}
