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
	// Namespaces in which they were, and how many in each.
	Namespaces map[string]int `json:"namespaces"`
	// Changes are the IDs of those that all that failed had in common: the suspects. None
	// where they had nothing in common.
	Changes []string `json:"changes,omitempty"`
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
		next.Causes[cause] = failures{Namespaces: maps.Clone(f.Namespaces), Changes: slices.Clone(f.Changes)}
	}
	return next
}

// failed counts a failure of a workload that had these changes.
func (s spent) failed(namespace string, cause report.Cause, changes []wave.Change) {
	f, known := s.Causes[cause]
	ids := idsOf(changes)
	switch {
	case !known:
		f.Changes = ids[:min(len(ids), mostSuspects)]
	default:
		f.Changes = slices.DeleteFunc(f.Changes, func(id string) bool { return !slices.Contains(ids, id) })
	}
	if f.Namespaces == nil {
		f.Namespaces = map[string]int{}
	}
	f.Namespaces[namespace]++
	s.Causes[cause] = f
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
		sum += max(f.Namespaces[namespace], 0)
	}
	return sum >= maxFailures
}

// recurs are the causes of twice maxFailures, of which one namespace counts for no more
// than half, so that nobody who has but one keeps others waiting.
func (s spent) recurs(maxFailures int) []report.Cause {
	var causes []report.Cause
	for cause, f := range s.Causes {
		counted := 0
		for _, n := range f.Namespaces {
			counted += min(max(n, 0), maxFailures)
		}
		if counted >= 2*maxFailures {
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
		suspects := s.Causes[cause].Changes
		if len(suspects) == 0 || slices.ContainsFunc(changes, func(c wave.Change) bool { return slices.Contains(suspects, c.ID) }) {
			return cause
		}
	}
	return ""
}

// over reports whether nothing more is rolled out in the window: a cause recurs, and what
// failed by it has no change in common, so that the cluster may be the reason; or it fails
// in too many namespaces.
func (s spent) over(maxFailures int) bool {
	troubled := 0
	for _, f := range s.Causes {
		troubled += len(f.Namespaces)
	}
	return troubled >= mostTroubled || s.stops(nil, maxFailures) != ""
}
