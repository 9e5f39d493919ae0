package service

import (
	"cmp"
	"maps"
	"slices"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/wave"
)

// spent is what an occurrence of a window was used for.
type spent struct {
	Window string `json:"window"`
	// Workloads that were rolled out.
	Workloads int `json:"workloads"`
	// Causes of failures.
	Causes map[report.Cause]failures `json:"causes,omitempty"`
}

// failures are those of one cause.
type failures struct {
	// Changes are the IDs of those that all that failed in Namespaces had in common: the
	// suspects.
	Changes []string `json:"changes,omitempty"`
	// Namespaces in which they were, and how many in each.
	Namespaces map[string]int `json:"namespaces"`
	// Others are those that had none of the suspects.
	Others map[string]int `json:"others,omitempty"`
}

const (
	// mostTroubled is in how many namespaces a rollout may fail in one window at all, those
	// of each cause counted.
	mostTroubled = 500
	// mostSuspects bounds what is kept. What is left out makes more wait, not less.
	mostSuspects = 50
)

// in is what was spent in the occurrence: nothing if that is another one.
func (s spent) in(occurrence string) spent {
	next := spent{Window: occurrence, Causes: map[report.Cause]failures{}}
	if s.Window != occurrence {
		return next
	}
	next.Workloads = max(s.Workloads, 0)
	for cause, f := range s.Causes {
		next.Causes[cause] = failures{Changes: slices.Clone(f.Changes), Namespaces: maps.Clone(f.Namespaces), Others: maps.Clone(f.Others)}
	}
	return next
}

// failed counts a failure of a workload that had these changes.
func (s spent) failed(namespace string, cause report.Cause, changes []wave.Change) {
	f, known := s.Causes[cause]
	ids := idsOf(changes)
	if !known {
		f.Changes = ids[:min(len(ids), mostSuspects)]
	}
	common := slices.DeleteFunc(slices.Clone(f.Changes), func(id string) bool { return !slices.Contains(ids, id) })
	in := &f.Namespaces
	if len(common) > 0 {
		f.Changes = common
	} else if known {
		in = &f.Others
	}
	if *in == nil {
		*in = map[string]int{}
	}
	(*in)[namespace]++
	s.Causes[cause] = f
}

// forgive takes a failure back that had nothing in common with others.
func (s spent) forgive(namespace string, cause report.Cause) {
	f, known := s.Causes[cause]
	if !known {
		return
	}
	for _, in := range []map[string]int{f.Others, f.Namespaces} {
		if in[namespace] > 0 {
			in[namespace]--
			break
		}
	}
	maps.DeleteFunc(f.Others, func(_ string, n int) bool { return n <= 0 })
	maps.DeleteFunc(f.Namespaces, func(_ string, n int) bool { return n <= 0 })
	if len(f.Namespaces) == 0 && len(f.Others) == 0 {
		delete(s.Causes, cause)
	}
}

func idsOf(changes []wave.Change) []string {
	ids := make([]string, len(changes))
	for i, c := range changes {
		ids[i] = c.ID
	}
	return ids
}

// leaves reports whether a namespace is left alone for the rest of the window.
func (s spent) leaves(namespace string, maxFailures int) bool {
	sum := 0
	for _, f := range s.Causes {
		sum += max(f.Namespaces[namespace], 0) + max(f.Others[namespace], 0)
	}
	return sum >= maxFailures
}

// often reports whether failures are twice maxFailures, of which one namespace counts for
// no more than half, so that nobody who has but one keeps others waiting.
func often(maxFailures int, counts ...map[string]int) bool {
	sums := map[string]int{}
	for _, count := range counts {
		for namespace, n := range count {
			sums[namespace] += max(n, 0)
		}
	}
	counted := 0
	for _, n := range sums {
		counted += min(n, maxFailures)
	}
	return counted >= 2*maxFailures
}

// suspected reports whether what failed by a cause is what has one of the suspects.
func (f failures) suspected(maxFailures int) bool {
	return len(f.Changes) > 0 && often(maxFailures, f.Namespaces)
}

// strange reports whether a cause recurs in what has nothing in common, so that the
// cluster may be the reason. What suspects account for is not counted.
func (f failures) strange(maxFailures int) bool {
	if f.suspected(maxFailures) {
		return often(maxFailures, f.Others)
	}
	return often(maxFailures, f.Namespaces, f.Others)
}

// recurs are the causes that do, in order. A budget is its workload's own, and points at
// nobody else's.
func (s spent) recurs(maxFailures int) []report.Cause {
	var causes []report.Cause
	for cause, f := range s.Causes {
		if cause != report.CauseBudget && (f.suspected(maxFailures) || f.strange(maxFailures)) {
			causes = append(causes, cause)
		}
	}
	slices.SortFunc(causes, cmp.Compare[report.Cause])
	return causes
}

// stops returns the cause for which a workload with these changes is left alone for the
// rest of the window; empty if there is none.
func (s spent) stops(changes []wave.Change, maxFailures int) report.Cause {
	for _, cause := range s.recurs(maxFailures) {
		f := s.Causes[cause]
		if f.strange(maxFailures) || slices.ContainsFunc(changes, func(c wave.Change) bool { return slices.Contains(f.Changes, c.ID) }) {
			return cause
		}
	}
	return ""
}

// over reports whether nothing more is rolled out in the window: a cause recurs in what has
// nothing in common, or something fails in too many namespaces.
func (s spent) over(maxFailures int) bool {
	troubled := 0
	for _, f := range s.Causes {
		troubled += len(f.Namespaces) + len(f.Others)
	}
	return troubled >= mostTroubled || s.stops(nil, maxFailures) != ""
}
