package audit

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
	"github.com/sidecar-drift/sidecar-drift/auditor/versions"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// Finding is what became of one revision.
type Finding struct {
	Workload inventory.WorkloadRef
	Group    string // the workload's API group
	Revision report.Revision
	Pods     map[verdict.State]int
	oldest   time.Time          // when the first of its Pods was started; zero: none was
	newest   int64              // when the last one was created; as Pod.Created
	labels   map[string]string  // nil: none were asked for
	Gone     int                // Pods that ended while they were audited
	Refusal  *injection.Refusal // nil if there is a fresh Pod

	AskedAs injection.Identity // who the dry runs were made as
	// Unasked: nothing is known of a fresh Pod now, for a reason that may pass.
	Unasked bool
	// lastReason is the reason of a stale finding from before it was.
	lastReason string
	Submitted  []byte         // what was asked about last; nil: nothing could be
	Fresh      verdict.Digest // of the fresh Pod
	Named      bool           // the fresh Pod has a container of Selection.WithContainers
	Answer     jsontree.Node  // the fresh Pod; only for an observer
	// TakenOver is when another one was asked about whose answer this is; zero: it was
	// itself.
	TakenOver time.Time
	// Judged are the states by the Pods' digests; nil if all Pods have one state
	// without a comparison.
	Judged map[inventory.Alike]verdict.State
	// Differs is what Pods that drift differ by, all of it, by their digests; only for an
	// observer.
	Differs map[inventory.Alike][]verdict.Change
	// Specs are what Pods run with, by their digests; only where versions are wanted.
	Specs map[inventory.Alike][]versions.Spec

	foreseen *foreseen // nil: no candidate was asked
	// lost is a field that a Pod without a template was submitted with and has no more, empty
	// if there is none; nil where there is a template.
	lost func() string

	Varies    restless.Scope // of what is known to vary
	reordered []string       // where what differs does in order alone
	doubted   bool           // some of that is unstable, as nothing tells
	Again     bool           // it was asked again as something was known since
	Restless  bool           // fresh injections of it have differed among themselves
	Scope     newborn.Scope  // of what newborn Pods teach; only where it matters
	Answered  int64          // when the dry run was, by the API server's clock; as Pod.Created
}

// Also adds to the revision's reason.
func (f *Finding) Also(reason string) {
	switch {
	case reason == "":
	case f.Revision.Reason == "":
		f.Revision.Reason = reason
	default:
		f.Revision.Reason += "; " + reason
	}
}

// Unjudged gives all Pods one state without a comparison.
func (f *Finding) Unjudged(pods []inventory.Pod, state verdict.State, reason string) {
	f.Judged, f.Specs, f.Revision.Wanted = nil, nil, nil
	f.DropPods()
	f.Count(pods, state)
	f.Revision.Reason = verdict.Cut(reason, verdict.MaxReason)
	f.Revision.Stamps = stamps(pods)
	f.Revision.State = state
}

// begin takes back what a comparison has found.
func (f *Finding) begin() {
	f.DropPods()
	f.Specs = nil
	f.Judged, f.Differs = map[inventory.Alike]verdict.State{}, map[inventory.Alike][]verdict.Change{}
	f.Gone, f.reordered, f.Restless = 0, nil, false
	r := &f.Revision
	r.Changes, r.MoreChanges, r.Varies, r.Ignored, r.Autoscaled = nil, 0, nil, 0, nil
	r.Sidecars, r.Loses, r.Injected, r.AppImages = nil, nil, false, nil
	r.Undecided, r.Metadata, r.MoreMetadata, r.Wanted = nil, nil, 0, nil
}

// DropPods takes all Pods out of the finding.
func (f *Finding) DropPods() {
	f.Pods = map[verdict.State]int{}
	f.Revision.Pods, f.Revision.Members, f.Revision.Running, f.oldest, f.newest = 0, nil, nil, time.Time{}, 0
}

// Count adds Pods of a state.
func (f *Finding) Count(pods []inventory.Pod, state verdict.State) {
	if len(pods) == 0 {
		return
	}
	f.Pods[state] += len(pods)
	f.Revision.Pods += len(pods)
	if f.Revision.Members == nil {
		f.Revision.Members = map[verdict.State][]report.PodRef{}
	}
	f.Revision.Members[state] = append(f.Revision.Members[state], refs(pods)...)
	for _, pod := range pods {
		f.oldest, f.newest = earlier(f.oldest, pod.Started), max(f.newest, pod.Created)
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
func (f *Finding) add(v verdict.Verdict, pods []inventory.Pod) {
	f.Count(pods, v.State)
	f.Revision.MoreChanges += v.More
	if slices.ContainsFunc(pods, func(p inventory.Pod) bool { return !p.Initialized }) {
		v.Changes = verdict.NotYet(v.Changes)
	}
	f.Revision.Changes = f.bound(union(f.Revision.Changes, v.Changes))
	f.Revision.Sidecars = verdict.BoundNames(unionOfNames(f.Revision.Sidecars, v.Sidecars))
	f.Revision.Injected = f.Revision.Injected || v.Injected
	f.Revision.AppImages, _ = verdict.Bound(union(f.Revision.AppImages, v.AppImages))
	f.Revision.Loses = verdict.BoundNames(unionOfNames(f.Revision.Loses, v.Loses))
	f.Revision.Varies = verdict.BoundNames(unionOfNames(f.Revision.Varies, v.Varies))
	f.Restless = f.Restless || len(v.Varies) > 0
	f.reordered = unionOfNames(f.reordered, v.Reordered)
	f.Revision.Ignored += v.Ignored
	f.Revision.Autoscaled = f.bound(union(f.Revision.Autoscaled, v.Autoscaled))
	f.Revision.Undecided = verdict.BoundNames(unionOfNames(f.Revision.Undecided, PlacesOf(v.Undecided)))
	metadata, more := verdict.BoundMetadata(union(f.Revision.Metadata, v.Metadata))
	f.Revision.Metadata, f.Revision.MoreMetadata = metadata, f.Revision.MoreMetadata+v.MoreMetadata+more
	if len(f.Revision.Autoscaled) > 0 && f.Revision.Reason == "" {
		f.Revision.Reason = autoscalers
	}
}

func (f *Finding) bound(changes []verdict.Change) []verdict.Change {
	kept, left := verdict.Bound(changes)
	f.Revision.MoreChanges += left
	return kept
}

// Stale is the finding, of the Pods that there are now, where they cannot be asked about
// again, for a reason: an injector that is away for a while takes no state back, nor the
// age of a drift. It is not known of Pods that are like none before, nor where nothing
// was known.
func (f Finding) Stale(o Options, pods []inventory.Pod, reason string, now time.Time) (_ Finding, known bool) {
	if f.Revision.State == verdict.Unknown {
		return f, false
	}
	since := f.Revision.StaleSince
	f, known = f.Recount(o.OfSidecars(pods, f.Named))
	if since == nil {
		f.lastReason = f.Revision.Reason
		since = &now
	}
	f.Revision.StaleSince = since
	f.Revision.Reason = f.lastReason
	f.Also("as it was last known, as it cannot be asked now: " + reason)
	f.Revision.Reason = verdict.Cut(f.Revision.Reason, verdict.MaxReason)
	return f, known
}

// Recount brings a finding up to date on Pods that came and went. It does not
// know how to judge Pods that are like none before.
func (f Finding) Recount(pods []inventory.Pod) (_ Finding, known bool) {
	if f.Judged == nil {
		f.Unjudged(pods, f.Revision.State, f.Revision.Reason)
		return f, true
	}
	f.DropPods()
	for _, alike := range inventory.Alikes(pods) {
		state, judged := f.Judged[alike[0].Alike]
		if !judged {
			return f, false
		}
		f.Count(alike, state)
	}
	f.Revision.Stamps = stamps(pods)
	f.running(pods)
	f.Revision.State = verdict.WorstOf(f.Pods)
	if f.Revision.State == verdict.InSync || f.Revision.State == verdict.NotInjected {
		f.Revision.Changes, f.Revision.MoreChanges, f.Revision.Loses = nil, 0, nil // they were of Pods that have gone
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
