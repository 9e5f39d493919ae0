package service

import "maps"

// spent is what an occurrence of a window was used for.
type spent struct {
	Window string `json:"window"`
	// Workloads that were rolled out.
	Workloads int `json:"workloads"`
	// Failures by namespace.
	Failures map[string]int `json:"failures,omitempty"`
}

// in is what was spent in the occurrence: nothing if that is another one.
func (s spent) in(occurrence string) spent {
	if s.Window != occurrence {
		return spent{Window: occurrence, Failures: map[string]int{}}
	}
	failures := maps.Clone(s.Failures)
	if failures == nil {
		failures = map[string]int{}
	}
	return spent{Window: occurrence, Workloads: max(s.Workloads, 0), Failures: failures}
}

// stops reports whether a namespace is left alone for the rest of the window.
func (s spent) stops(namespace string, maxFailures int) bool {
	return s.Failures[namespace] >= maxFailures
}

// failed counts a failure.
func (s spent) failed(namespace string) { s.Failures[namespace]++ }

// mostTroubled is in how many namespaces a rollout may fail in one window at all.
const mostTroubled = 500

// over reports whether nothing more is rolled out in the window: after twice
// maxFailures, of which one namespace counts for no more than half, so that
// nobody who has but one ends it for all.
func (s spent) over(maxFailures int) bool {
	counted := 0
	for _, failures := range s.Failures {
		counted += min(max(failures, 0), maxFailures)
	}
	return counted >= 2*maxFailures || len(s.Failures) >= mostTroubled
}
