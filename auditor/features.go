package auditor

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/cover"
	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// featuresOf returns what a revision has by what was submitted for it and what came of
// that; none if nothing could be.
func (a *audit) featuresOf(ctx context.Context, r inventory.Revision, f finding) []cover.Feature {
	pod, err := jsontree.Parse(f.submitted)
	if f.submitted == nil || err != nil {
		return nil
	}
	steps, namespace := a.askers.steps(ctx, a.client, r.Workload.Namespace, f.submitted)
	subject := cover.Subject{
		NamespaceLabels: namespace.Labels, NamespaceAnnotations: namespace.Annotations,
		Pod: pod, Answer: f.answer, Names: []string{r.Workload.Name, r.Owner.Name, r.Workload.Namespace},
	}
	for _, step := range steps {
		if step.Match != injection.MatchesNot {
			subject.Steps = append(subject.Steps, step.Kind+" "+step.Name)
		}
	}
	return cover.FeaturesOf(subject)
}

// said is what a finding says to the cover.
func (f finding) said() cover.Answer[inventory.WorkloadRef] {
	asked := sha256.Sum256(f.submitted)
	a := cover.Answer[inventory.WorkloadRef]{
		Workload: f.workload, Features: f.features,
		Asked: cover.Sum(asked[:16]), Outcome: cover.Sum(f.fresh),
		Restless: f.restless,
	}
	switch {
	case f.submitted == nil:
		a.Lost = true
	case f.refusal != nil && f.refusal.State == verdict.Blocked:
		// The text names the Pod, which is another one each time.
		copy(a.Outcome[:], verdict.Blocked)
	case f.refusal != nil || f.judged == nil && !a.Restless:
		a.Lost = true
	}
	return a
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
	for _, alike := range alikes(pods) {
		state, judged := f.judged[alike[0].Alike]
		if !judged {
			return f, false
		}
		f.count(alike, state)
	}
	f.revision.Stamps = stamps(pods)
	f.revision.State = worst(f.pods)
	if f.revision.State == verdict.InSync || f.revision.State == verdict.NotInjected {
		f.revision.Changes, f.revision.MoreChanges, f.revision.Loses = nil, 0, nil // they were of Pods that have gone
	}
	return f, true
}
