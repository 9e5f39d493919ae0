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

// How long a workload is left alone after a rollout that failed, after one that was
// refused, and while a guard leaves it alone, which costs no dry run: twice as long each
// time.
const (
	longestWait                            = 10 * time.Minute
	firstFailurePause, longestFailurePause = time.Hour, 7 * 24 * time.Hour
	firstRefusalPause, longestRefusalPause = 30 * time.Second, 6 * time.Hour
	// troubledFor is how long a namespace comes after others for a failure.
	troubledFor = 7 * 24 * time.Hour
	// mostDoublings keeps a number of attempts from growing without end.
	mostDoublings = 20
)

// attempt is what came of a workload's last rollouts, none of which did any good.
type attempt struct {
	Failures int       // that failed or did not converge, one after the other
	Refusals int       // times that it was refused
	Waits    int       // times that a guard left it alone since then; not kept
	Next     time.Time // not before

	// Planned is when a run planned it whose end is not known; zero: none did. Begun: that run
	// was about to change it in a way that leaves no trace on the workload.
	Planned time.Time
	Begun   bool
	// Unseen is the window whose failures count it, though nobody has seen it fail: the leader
	// that had begun with it was killed. It may still end well.
	Unseen *string
}

// attempts are those of workloads that still drift, and when a rollout last failed
// in a namespace: a name that fails can be given up for another one.
type attempts struct {
	of       map[inventory.WorkloadRef]attempt
	troubled map[string]time.Time
}

func newAttempts() attempts {
	return attempts{of: map[inventory.WorkloadRef]attempt{}, troubled: map[string]time.Time{}}
}

func (a attempts) clone() attempts {
	return attempts{of: maps.Clone(a.of), troubled: maps.Clone(a.troubled)}
}

// outcome is what an attempt's end means for the next one.
type outcome int

const (
	unchanged outcome = iota // it was never the workload's turn
	done
	waiting // for what is in the way of it
	refusal
	failure
)

// outcomeOf a workload that was planned.
func outcomeOf(r report.Rollout) outcome {
	switch r.Result {
	case report.RolledOut, report.Resized:
		return done
	case report.Failed:
		return failure
	case report.NotConverging, report.Reverted:
		if r.StartedAt != nil {
			return failure
		}
		return refusal
	case report.Interrupted: // having begun: it took longer than is waited for
		if r.StartedAt != nil {
			return failure
		}
		return unchanged
	case report.Skipped:
		return refusal
	}
	return unchanged
}

// ended takes down how an attempt ended.
func (a attempts) ended(ref inventory.WorkloadRef, o outcome, now time.Time) {
	last := a.of[ref]
	if !kept(ref) {
		return
	}
	last.Planned, last.Begun = time.Time{}, false
	switch o {
	case unchanged:
		if last == (attempt{}) {
			delete(a.of, ref)
			return
		}
	case done:
		delete(a.of, ref)
		return
	case waiting:
		last.Waits = min(last.Waits+1, mostDoublings)
		last.Next = now.Add(doubled(firstRefusalPause, last.Waits, longestWait))
	case refusal:
		last.Refusals, last.Waits = min(last.Refusals+1, mostDoublings), 0
		last.Next = now.Add(doubled(firstRefusalPause, last.Refusals, longestRefusalPause))
	case failure:
		last.Unseen = nil // this one is seen
		last.Failures = min(last.Failures+1, mostDoublings)
		last.Next = now.Add(doubled(firstFailurePause, last.Failures, longestFailurePause))
		a.troubled[ref.Namespace] = now
	}
	a.of[ref] = last
}

// doubled is the pause after the nth time.
func doubled(first time.Duration, n int, longest time.Duration) time.Duration {
	return min(first<<max(n-1, 0), longest)
}

// due reports whether it is the workload's time again.
func (a attempts) due(ref inventory.WorkloadRef, now time.Time) bool {
	return !now.Before(a.of[ref].Next)
}

// rank is 0 for what is rolled out first; more for what has failed, or whose
// namespace's workloads have.
func (a attempts) rank(ref inventory.WorkloadRef, now time.Time) int {
	rank := a.of[ref].Failures * 2
	if at, ok := a.troubled[ref.Namespace]; ok && now.Sub(at) < troubledFor {
		rank++
	}
	return rank
}

// forget leaves only what still drifts, what counts as failed though nobody saw that and may
// end well yet, and namespaces whose trouble is recent. Others are states of workloads that do
// not drift. It returns the windows that count what has ended well.
func (a attempts) forget(drifting ages, others map[inventory.WorkloadRef]verdict.State, now time.Time) (well map[inventory.WorkloadRef]string) {
	well = map[inventory.WorkloadRef]string{}
	maps.DeleteFunc(a.of, func(ref inventory.WorkloadRef, of attempt) bool {
		_, drifts := drifting[ref]
		state, there := others[ref]
		switch {
		case drifts:
			return false
		case of.Unseen != nil && state == verdict.InSync:
			well[ref] = *of.Unseen
		case of.Unseen != nil && there:
			return false
		}
		return true
	})
	maps.DeleteFunc(a.troubled, func(_ string, at time.Time) bool { return now.Sub(at) >= troubledFor })
	return well
}

// keptAttempt is how a ConfigMap has one; without a kind and a name, a
// namespace's trouble.
type keptAttempt struct {
	Kind      string `json:"k,omitempty"`
	Namespace string `json:"ns"`
	Name      string `json:"n,omitempty"`
	Failures  int    `json:"f,omitempty"`
	Refusals  int    `json:"r,omitempty"`
	At        int64  `json:"t"`           // Unix time in seconds
	Planned   int64  `json:"p,omitempty"` // likewise
	Begun     bool   `json:"b,omitempty"`
	// Unseen is the window that counts it.
	Unseen *string `json:"u,omitempty"`
}

// entries lists them by turns of the namespaces, what a run has planned first, then what failed
// most.
func (a attempts) entries() []keptAttempt {
	var entries []keptAttempt
	for ref, of := range a.of {
		e := keptAttempt{Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name, Failures: of.Failures, Refusals: of.Refusals, Begun: of.Begun, Unseen: of.Unseen}
		if !of.Next.IsZero() {
			e.At = of.Next.Unix()
		}
		if !of.Planned.IsZero() {
			e.Planned = of.Planned.Unix()
		}
		entries = append(entries, e)
	}
	for namespace, at := range a.troubled {
		entries = append(entries, keptAttempt{Namespace: namespace, Failures: mostDoublings + 1, At: at.Unix()})
	}
	slices.SortFunc(entries, func(a, b keptAttempt) int {
		return cmp.Or(cmp.Compare(b.Planned, a.Planned), cmp.Compare(b.Failures, a.Failures), cmp.Compare(b.Refusals, a.Refusals),
			cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return byTurns(entries, func(e keptAttempt) string { return e.Namespace })
}

// attemptsOf reads them, and believes no number that cannot have come about here.
func attemptsOf(entries []keptAttempt, now time.Time) attempts {
	a := newAttempts()
	for _, e := range entries {
		at := time.Unix(min(e.At, now.Add(longestFailurePause).Unix()), 0).UTC()
		ref := inventory.WorkloadRef{Kind: e.Kind, Namespace: e.Namespace, Name: e.Name}
		switch {
		case kept(ref):
			of := attempt{Failures: clamp(e.Failures), Refusals: clamp(e.Refusals), Next: at, Unseen: e.Unseen}
			if e.Planned > 0 {
				of.Planned, of.Begun = time.Unix(min(e.Planned, now.Unix()), 0).UTC(), e.Begun
			}
			a.of[ref] = of
		case e.Kind == "" && e.Name == "" && e.Namespace != "" && len(e.Namespace) <= longestLabel && !at.After(now):
			a.troubled[e.Namespace] = at
		}
	}
	return a
}

func clamp(n int) int { return min(max(n, 0), mostDoublings) }
