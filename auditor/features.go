package auditor

import (
	"context"
	"crypto/sha256"

	"github.com/sidecar-drift/sidecar-drift/auditor/cover"
	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// featuresOf returns what a revision has by what was submitted for it and what came of
// that; none if nothing could be.
func (q *questions) featuresOf(ctx context.Context, r inventory.Revision, f finding) []cover.Feature {
	pod, err := jsontree.Parse(f.submitted)
	if f.submitted == nil || err != nil {
		return nil
	}
	steps, namespace := q.askers.steps(ctx, q.client, r.Workload.Namespace, f.submitted)
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

// answerOf is what a finding says to the cover.
func answerOf(f finding, features []cover.Feature) cover.Answer[inventory.WorkloadRef] {
	asked := sha256.Sum256(f.submitted)
	a := cover.Answer[inventory.WorkloadRef]{
		Workload: f.workload, Features: features,
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
