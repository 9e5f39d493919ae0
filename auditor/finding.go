package auditor

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/newborn"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/restless"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// finding is what became of one revision.
type finding struct {
	workload inventory.WorkloadRef
	group    string // the workload's API group
	revision report.Revision
	pods     map[verdict.State]int
	oldest   time.Time // when the first of its Pods was started; zero: none was
	gone     int
	refusal  *injection.Refusal // nil if there is a fresh Pod

	as injection.Identity
	// unasked: nothing is known of a fresh Pod now, for a reason that may pass.
	unasked bool
	// lastReason is the reason of a stale finding from before it was.
	lastReason string
	submitted  []byte // what was asked about last; nil: nothing could be
	fresh      verdict.Digest
	named      bool          // the fresh Pod has a container of Selection.SidecarNames
	answer     jsontree.Node // the fresh Pod; only for an observer
	// takenOver is when another one was asked about whose answer this is; zero: it was
	// itself.
	takenOver time.Time
	// judged are the states by the Pods' digests; nil if all Pods have one state
	// without a comparison.
	judged map[inventory.Alike]verdict.State
	// differs is what Pods that drift differ by, all of it, by their digests; only for an
	// observer.
	differs map[inventory.Alike][]verdict.Change

	varies    restless.Scope // of what is known to vary
	reordered []string       // where what differs does in order alone
	doubted   bool           // some of that is unstable, as nothing tells
	again     bool           // it was asked again as something was known since
	restless  bool           // fresh injections of it have differed among themselves
	scope     newborn.Scope  // of what newborn Pods teach; only where it matters
	answered  int64          // when the dry run was, by the API server's clock; as Pod.Created
}

// also adds to the revision's reason.
func (f *finding) also(reason string) {
	switch {
	case reason == "":
	case f.revision.Reason == "":
		f.revision.Reason = reason
	default:
		f.revision.Reason += "; " + reason
	}
}

// unjudged gives all Pods one state without a comparison.
func (f *finding) unjudged(pods []inventory.Pod, state verdict.State, reason string) {
	f.judged = nil
	f.none()
	f.count(pods, state)
	f.revision.Reason = verdict.Cut(reason, verdict.MaxReason)
	f.revision.Stamps = stamps(pods)
	f.revision.State = state
}

// begin takes back what a comparison has found.
func (f *finding) begin() {
	f.none()
	f.judged, f.differs = map[inventory.Alike]verdict.State{}, map[inventory.Alike][]verdict.Change{}
	f.gone, f.reordered, f.restless = 0, nil, false
	r := &f.revision
	r.Changes, r.MoreChanges, r.Varies, r.Ignored, r.Autoscaled = nil, 0, nil, 0, nil
	r.Sidecars, r.Loses, r.Injected, r.AppImages = nil, nil, false, nil
	r.Undecided, r.Metadata, r.MoreMetadata = nil, nil, 0
}

// none takes all Pods out of the finding.
func (f *finding) none() {
	f.pods = map[verdict.State]int{}
	f.revision.Pods, f.revision.Members, f.oldest = 0, nil, time.Time{}
}

func (f *finding) count(pods []inventory.Pod, state verdict.State) {
	if len(pods) == 0 {
		return
	}
	f.pods[state] += len(pods)
	f.revision.Pods += len(pods)
	if f.revision.Members == nil {
		f.revision.Members = map[verdict.State][]report.PodRef{}
	}
	f.revision.Members[state] = append(f.revision.Members[state], refs(pods)...)
	for _, pod := range pods {
		f.oldest = earlier(f.oldest, pod.Started)
	}
}

// earlier is the earlier of two times, of which the zero one counts as none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// add counts Pods that are alike and collects what distinguishes them, as much as may
// be kept of one revision.
func (f *finding) add(v verdict.Verdict, pods []inventory.Pod) {
	f.count(pods, v.State)
	f.revision.MoreChanges += v.More
	if slices.ContainsFunc(pods, func(p inventory.Pod) bool { return !p.Initialized }) {
		v.Changes = verdict.NotYet(v.Changes)
	}
	f.revision.Changes = f.bound(union(f.revision.Changes, v.Changes))
	f.revision.Sidecars = verdict.BoundNames(unionOfNames(f.revision.Sidecars, v.Sidecars))
	f.revision.Injected = f.revision.Injected || v.Injected
	f.revision.AppImages, _ = verdict.Bound(union(f.revision.AppImages, v.AppImages))
	f.revision.Loses = verdict.BoundNames(unionOfNames(f.revision.Loses, v.Loses))
	f.revision.Varies = verdict.BoundNames(unionOfNames(f.revision.Varies, v.Varies))
	f.restless = f.restless || len(v.Varies) > 0
	f.reordered = unionOfNames(f.reordered, v.Reordered)
	f.revision.Ignored += v.Ignored
	f.revision.Autoscaled = f.bound(union(f.revision.Autoscaled, v.Autoscaled))
	f.revision.Undecided = verdict.BoundNames(unionOfNames(f.revision.Undecided, pathsOf(v.Undecided)))
	metadata, more := verdict.BoundMetadata(union(f.revision.Metadata, v.Metadata))
	f.revision.Metadata, f.revision.MoreMetadata = metadata, f.revision.MoreMetadata+v.MoreMetadata+more
	if len(f.revision.Autoscaled) > 0 && f.revision.Reason == "" {
		f.revision.Reason = autoscalers
	}
}

func (f *finding) bound(changes []verdict.Change) []verdict.Change {
	kept, left := verdict.Bound(changes)
	f.revision.MoreChanges += left
	return kept
}

// stale is the finding, of the Pods that there are now, where they cannot be asked about
// again, for a reason: an injector that is away for a while takes no state back, nor the
// age of a drift. It is not known of Pods that are like none before, nor where nothing
// was known.
func (f finding) stale(o Options, pods []inventory.Pod, reason string, now time.Time) (_ finding, known bool) {
	if f.revision.State == verdict.Unknown {
		return f, false
	}
	since := f.revision.StaleSince
	f, known = f.recount(o.ofSidecars(pods, f.named))
	if since == nil {
		f.lastReason = f.revision.Reason
		since = &now
	}
	f.revision.StaleSince = since
	f.revision.Reason = f.lastReason
	f.also("as it was last known, as it cannot be asked now: " + reason)
	f.revision.Reason = verdict.Cut(f.revision.Reason, verdict.MaxReason)
	return f, known
}

// recount brings a finding up to date on Pods that came and went. It does not
// know how to judge Pods that are like none before.
func (f finding) recount(pods []inventory.Pod) (_ finding, known bool) {
	if f.judged == nil {
		f.unjudged(pods, f.revision.State, f.revision.Reason)
		return f, true
	}
	f.none()
	for _, alike := range inventory.Alikes(pods) {
		state, judged := f.judged[alike[0].Alike]
		if !judged {
			return f, false
		}
		f.count(alike, state)
	}
	f.revision.Stamps = stamps(pods)
	f.revision.State = verdict.WorstOf(f.pods)
	if f.revision.State == verdict.InSync || f.revision.State == verdict.NotInjected {
		f.revision.Changes, f.revision.MoreChanges, f.revision.Loses = nil, 0, nil // they were of Pods that have gone
	}
	return f, true
}

// union of changes, each once, sorted. Pods of one revision that differ may
// have one path twice, from different values. What is spent in some of them only is not.
func union(a, b []verdict.Change) []verdict.Change {
	all := slices.Concat(a, b)
	for i, c := range all {
		all[i].Spent = c.Spent && !slices.ContainsFunc(all, func(other verdict.Change) bool { return verdict.CompareChanges(c, other) == 0 && !other.Spent })
	}
	slices.SortStableFunc(all, verdict.CompareChanges)
	return slices.CompactFunc(all, func(a, b verdict.Change) bool {
		return a.Part == b.Part && a.Path == b.Path && same(a.From, b.From) && same(a.To, b.To) && a.Unstable == b.Unstable
	})
}

func same(a, b json.RawMessage) bool { return string(a) == string(b) }

func unionOfNames(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}
