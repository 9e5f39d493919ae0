package watch

import (
	"context"
	"crypto/sha256"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/cover"
	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// featuresOf returns what a revision has by what was submitted for it and what came of
// that; none if nothing could be.
func (q *questions) featuresOf(ctx context.Context, r inventory.Revision, f audit.Finding) []cover.Feature {
	pod, err := jsontree.Parse(f.Submitted)
	if f.Submitted == nil || err != nil {
		return nil
	}
	steps, namespace := q.admission.Steps(ctx, q.client, r.Workload.Namespace, f.Submitted)
	subject := cover.Subject{
		NamespaceLabels: namespace.Labels, NamespaceAnnotations: namespace.Annotations,
		Kind: r.Workload.Kind, Pod: pod, Answer: f.Answer, Names: []string{r.Workload.Name, r.Owner.Name, r.Workload.Namespace},
	}
	for _, step := range steps {
		if step.Match != injection.MatchesNot {
			subject.Steps = append(subject.Steps, step.Kind+" "+step.Name)
		}
	}
	return cover.FeaturesOf(subject)
}

// answerOf is what a finding says to the cover.
func answerOf(f audit.Finding, features []cover.Feature) cover.Answer[inventory.WorkloadRef] {
	asked := sha256.Sum256(f.Submitted)
	a := cover.Answer[inventory.WorkloadRef]{
		Workload: f.Workload, Features: features,
		Asked: cover.Sum(asked[:16]), Outcome: cover.Sum(f.Fresh),
		Restless: f.Restless,
	}
	switch {
	case f.Submitted == nil:
		a.Lost = true
	case f.Refusal != nil && f.Refusal.State == verdict.Blocked:
		// The text names the Pod, which is another one each time.
		copy(a.Outcome[:], verdict.Blocked)
	case f.Refusal != nil || f.Judged == nil && !a.Restless:
		a.Lost = true
	}
	return a
}
