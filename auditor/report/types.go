// Package report holds what an audit or a rollout found, as values, and their
// renderings. It talks to no cluster.
package report

import (
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/auditor/versions"
)

// APIVersion is the version of the report's schema.
const APIVersion = "sidecar-drift.io/v1alpha1"

// Kinds of report.
const (
	DriftReport   = "DriftReport"
	RolloutReport = "RolloutReport"
)

// Report is the outcome of one audit, or of one rollout run. Lists and maps
// are never null in its JSON; Items are sorted by Sort.
type Report struct {
	APIVersion  string    `json:"apiVersion"`
	Kind        string    `json:"kind"`
	GeneratedAt time.Time `json:"generatedAt"`
	// Cluster is the one that was audited; nil where there are several: see Clusters.
	Cluster *ClusterIdentity `json:"cluster,omitempty"`
	// DryRunAs says as whom dry runs were made: "controller", as the Pods'
	// controllers where those are known, or "self".
	DryRunAs string  `json:"dryRunAs,omitempty"`
	Summary  Summary `json:"summary"`
	// Clusters are those that were audited side by side; none where there was no
	// choice of clusters.
	Clusters []Cluster `json:"clusters,omitempty"`
	// Preview is what was added to the Pods that were asked about; nil if
	// nothing was.
	Preview *Preview `json:"preview,omitempty"`
	// Outages are the injectors that do not answer.
	Outages []Outage `json:"outages,omitempty"`
	// Notes say what a reader must know about the whole.
	Notes []string `json:"notes,omitempty"`
	// Probes is how many dry runs were made to tell what differs from what varies: besides
	// one for each revision, in the audit, or the round, that found this last.
	Probes int `json:"probes,omitempty"`
	// IgnoredPaths are those that were left out on request (--ignore-path).
	IgnoredPaths []string `json:"ignoredPaths,omitempty"`
	// Waves say how far changes are, where the daemon rolls them out in waves.
	Waves []Progress `json:"waves,omitempty"`
	// Detection is how soon the daemon sees a change, as measured; nil in a single audit's
	// report, and until the daemon's first audit has ended.
	Detection *Detection `json:"detection,omitempty"`
	// Changes are what workloads differ in, each once, those that most have first; nil where
	// they were not looked for: see [Report.Group].
	Changes []ChangeSummary `json:"changes,omitzero"`
	grouped []change.Change // as Changes
	Items   []Item          `json:"items"`
}

// Detection is how soon a change of injection is seen, as measured until the report was made.
type Detection struct {
	// Features numbers what several workloads share that injection may go by, or gives: the
	// cover asks about each.
	Features int `json:"features"`
	// SharedSeconds is the longest that nobody was asked about one of these features, and the
	// daemon's interval at least: so soon is a change seen that reaches what several workloads
	// share.
	SharedSeconds int `json:"sharedSeconds"`
	// OldestAnswerSeconds is the age of the oldest answer about a workload: so soon is any
	// change seen.
	OldestAnswerSeconds int `json:"oldestAnswerSeconds"`
}

// Outage is a mutating webhook that does not answer.
type Outage struct {
	// Webhook is CONFIGURATION/WEBHOOK.
	Webhook string `json:"webhook"`
	Reason  string `json:"reason"`
}

// Preview is what is not yet: labels and annotations of Pods, or candidates for webhooks.
type Preview struct {
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	// Webhooks are those that candidates answered for. All else is of these.
	Webhooks []CandidateWebhook `json:"webhooks,omitempty"`
	// Workloads is how many were looked at, and Previewed of how many of these it is known
	// what the candidate makes.
	Workloads int `json:"workloads,omitempty"`
	Previewed int `json:"previewed,omitempty"`
	// States and Changes are of what the candidate changes, whatever live Pods are like: by the
	// number of workloads.
	States  map[verdict.State]int `json:"states,omitempty"`
	Changes []ChangeSummary       `json:"changes,omitempty"`
}

// Summary counts workloads and Pods by state.
type Summary struct {
	Workloads map[verdict.State]int `json:"workloads"`
	Pods      map[verdict.State]int `json:"pods"`
	// DriftPercent is 100 × (Drifted+Missing+Orphaned) /
	// (InSync+Drifted+Missing+Orphaned+Modified) over Pods; null without any.
	DriftPercent *float64 `json:"driftPercent"`
	// NotJudged numbers the Pods that are finished, being deleted or static.
	NotJudged int `json:"notJudged"`
}

// Item is one workload.
type Item struct {
	Cluster   string                `json:"cluster,omitempty"`
	Namespace string                `json:"namespace"`
	Kind      string                `json:"kind"`
	Name      string                `json:"name"`
	State     verdict.State         `json:"state"`
	Pods      map[verdict.State]int `json:"pods"`
	// Labels are those that were asked for, of the Pod template or, where that has no such
	// label, of the namespace.
	Labels map[string]string `json:"labels,omitempty"`
	// OldestPod is when the kubelet started the oldest of its Pods; nil if it
	// has started none.
	OldestPod *time.Time `json:"oldestPod,omitempty"`
	Revisions []Revision `json:"revisions"`
	Rollout   Rollout    `json:"rollout"`
}

// Revision is one revision of a workload (a ReplicaSet, a
// ControllerRevision, …) that has live Pods.
type Revision struct {
	Name  string        `json:"name"`
	State verdict.State `json:"state"`
	Pods  int           `json:"pods"`
	// StaleSince is since when the revision could not be asked about: all else is as it
	// was last known. Nil where it was asked.
	StaleSince *time.Time `json:"staleSince,omitempty"`
	// Approximate: the fresh Pod could not be shaped exactly as its owner
	// would shape it.
	Approximate bool `json:"approximate"`
	// AskedAs is the user that the dry run was made as; empty for the identity of
	// the audit.
	AskedAs string `json:"askedAs,omitempty"`
	// Stamps are those that the live Pods carry; Pods without one count
	// under the empty stamp.
	Stamps  []StampCount     `json:"stamps"`
	Fresh   string           `json:"fresh"`
	Changes []verdict.Change `json:"changes"`
	// MoreChanges is how many there are besides Changes and Autoscaled, which a
	// report does not hold.
	MoreChanges int    `json:"moreChanges,omitempty"`
	Reason      string `json:"reason"`
	// Varies names the places where fresh injections of the revision differ among
	// themselves, as far as that was found out. Lists that only come in another order each
	// time are no change.
	Varies []string `json:"varies,omitempty"`
	// Told: the differences were not asked about again, as they were for other workloads.
	// A rollout asks before it begins.
	Told bool `json:"-"`
	// Sidecars names the injected containers, live or fresh, sorted.
	Sidecars []string `json:"sidecars"`
	// Injected: something is injected, yet no container: variables, mounts, volumes.
	Injected bool `json:"injected,omitempty"`
	// AppImages are the images of the app that a re-creation would replace. A rollout
	// needs them.
	AppImages []verdict.Change `json:"-"`
	// Loses names the injected containers that a live Pod has and the fresh
	// one lacks.
	Loses []string `json:"loses"`
	// Autoscaled are changes of resources that an autoscaler sets: they are no
	// part of the state.
	Autoscaled []verdict.Change `json:"autoscaled,omitempty"`
	// Undecided are places of the Pod's placement at which live Pods and the fresh one
	// differ, and of which nothing tells whether admission sets them or somebody else: a
	// ServiceAccount, a namespace, a class. They are no part of the state.
	Undecided []string `json:"undecided,omitempty"`
	// Metadata are labels and annotations that admission adds differently and that never
	// count: 20 at most, of long values a digest. MoreMetadata is how many there are besides.
	// Of Pods that were not read for another reason nothing is known.
	Metadata     []verdict.Change `json:"metadata,omitempty"`
	MoreMetadata int              `json:"moreMetadata,omitempty"`
	// Biased are places that are not judged, as Pods that controllers created differ
	// from a dry run there though injection did not change.
	Biased []string `json:"biased,omitempty"`
	// BiasedChanges are what differs at those, and Scope what other revisions must
	// share for them to be biased, too. A rollout needs both.
	BiasedChanges []verdict.Change `json:"-"`
	Scope         string           `json:"-"`
	// Ignored is how many changes were left out on request.
	Ignored int `json:"ignored,omitempty"`
	// Mutators name the webhooks, CONFIGURATION/WEBHOOK, and policies that the creation of
	// its Pods passes, or may pass, and that change Pods, but for our own; only where
	// something differs.
	Mutators []string `json:"-"`
	// Running are the specs of sidecars that its Pods run with, and Wanted those that they
	// would be given now; only where versions are wanted.
	Running []versions.Running `json:"-"`
	Wanted  []versions.Spec    `json:"-"`
	// Candidate is what the candidate of a preview changes; nil where there is none, or it was
	// not asked.
	Candidate *Candidate `json:"candidate,omitempty"`
	// Members are the Pods by state. A rollout needs them; they are left out
	// of the JSON, as Pods come and go.
	Members map[verdict.State][]PodRef `json:"-"`
}

// PodRef is one Pod: another one may come to have its name, but not its UID.
type PodRef struct{ Name, UID string }

// StampCount numbers the Pods that carry one stamp.
type StampCount struct {
	Stamp string `json:"stamp"`
	Pods  int    `json:"pods"`
}

// Result says what became of a workload in a rollout run.
type Result string

const (
	// Planned means that it would be rolled out with --confirm.
	Planned Result = "Planned"
	// RolledOut means that its Pods were replaced and are in sync.
	RolledOut Result = "RolledOut"
	// Resized means that running containers were given the CPU and memory that they are to
	// have: it does not drift any more, but for what is spent. Nothing was restarted.
	Resized Result = "Resized"
	// Failed means that the rollout did not finish.
	Failed Result = "Failed"
	// Skipped means that a guard or the selection leaves it alone.
	Skipped Result = "Skipped"
	// NotConverging means that it was rolled out and still drifts.
	NotConverging Result = "NotConverging"
	// Reverted means that its template was put back before all its Pods were replaced.
	Reverted Result = "Reverted"
	// Interrupted means that the run ended before this one had finished.
	Interrupted Result = "Interrupted"
)

// Failure reports whether a rollout was begun with, or not again, and did not do what it is
// for: a run halts after some.
func (r Result) Failure() bool { return r == Failed || r == NotConverging || r == Reverted }

// Success reports whether a rollout did what it is for.
func (r Result) Success() bool { return r == RolledOut || r == Resized }

// Rollout says whether a workload would be rolled out and, after a rollout
// run, what happened. Result is empty in a DriftReport.
type Rollout struct {
	Eligible   bool       `json:"eligible"`
	Reason     string     `json:"reason"`
	Strategy   string     `json:"strategy,omitempty"`
	Result     Result     `json:"result,omitempty"`
	StartedAt  *time.Time `json:"startedAt,omitempty"`
	FinishedAt *time.Time `json:"finishedAt,omitempty"`
	// Cause is of which kind a failure is; empty where there is none.
	Cause Cause `json:"cause,omitempty"`
	// Wave that it goes in; empty where there are none.
	Wave string `json:"wave,omitempty"`
}
