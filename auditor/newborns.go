package auditor

import (
	"context"
	"fmt"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/newborn"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// scopeOf returns what the revision's newborn Pods may teach about; the zero Scope where
// nothing is known of webhooks and policies.
func (a *audit) scopeOf(ctx context.Context, r inventory.Revision, submitted []byte) newborn.Scope {
	steps, _ := a.askers.steps(ctx, a.client, r.Workload.Namespace, submitted)
	if steps == nil || r.Template == nil {
		return newborn.Scope{}
	}
	return newborn.Scope{Namespace: r.Workload.Namespace, Owner: r.Owner.Kind + "." + r.Owner.Group(), Chain: newborn.ChainOf(steps)}
}

// newborn returns the Pods that the finding does not know yet.
func (k known) newborn(pods []inventory.Pod) []inventory.Pod {
	there := make(map[string]bool, len(k.about))
	for _, pod := range k.about {
		there[pod.UID] = true
	}
	var unknown []inventory.Pod
	for _, pod := range pods {
		if !there[pod.UID] {
			unknown = append(unknown, pod)
		}
	}
	return unknown
}

// newlyDrifting reports whether a Pod was created since that drifts as others do: then
// either injection has changed back, or the dry run is another question than the Pod's
// controller asks. Asking again tells.
func (k known) newlyDrifting(pods []inventory.Pod) bool {
	for _, pod := range k.newborn(pods) {
		if k.judged[pod.Alike].Drift() && pod.Created >= k.answered {
			return true
		}
	}
	return false
}

// contradict takes a lesson back where a newborn is as the dry run says, in a revision
// of which others are not.
func (a *Auditor) contradict(last known, pods []inventory.Pod) {
	if !last.revision.State.Drift() {
		return
	}
	for _, pod := range last.newborn(pods) {
		if last.judged[pod.Alike] == verdict.InSync && pod.Created >= last.since {
			a.lessons.Forget(last.scope)
		}
	}
}

// learn takes from a revision that was asked about again what its newborn Pods teach: a
// Pod that was created while the answer was the same, before and after, and that differs
// from it.
func (a *Auditor) learn(r inventory.Revision, f *finding, pods []inventory.Pod) {
	last, asked := a.findings[r.Key]
	if f.judged == nil || f.unasked || f.scope == (newborn.Scope{}) {
		return
	}
	f.since = f.answered
	if !asked || last.judged == nil || last.answered == 0 {
		return
	}
	if last.fresh != f.fresh || last.scope != f.scope {
		a.lessons.Forget(f.scope)
		return
	}
	f.since = last.since
	for _, pod := range last.newborn(pods) {
		if pod.Created < f.since+int64(newborn.Settled/time.Second) || len(f.differs[pod.Alike]) == 0 {
			continue
		}
		lesson := newborn.Lesson{Pod: pod.Name, Born: time.Unix(pod.Created, 0), Since: time.Unix(f.since, 0)}
		for _, c := range f.differs[pod.Alike] {
			if c.From == nil {
				lesson.Lacking = append(lesson.Lacking, c.Place())
			} else {
				lesson.Places = append(lesson.Places, c.Place())
			}
		}
		a.opts.Log.Info("A newborn Pod differs from a dry run that has not changed", "namespace", r.Workload.Namespace, "pod", pod.Name)
		a.lessons.Learn(f.scope, lesson)
	}
}

// withLessons is a finding as newborn Pods have it: what differs at biased places only
// is Unknown, and what differs elsewhere is judged by that.
func (a *Auditor) withLessons(f finding) finding {
	if !f.revision.State.Drift() || f.revision.MoreChanges > 0 {
		return f
	}
	judged, biased, lesson := a.lessons.Split(f.scope, f.revision.Changes)
	if len(biased) == 0 {
		if namespace := a.lessons.Elsewhere(f.scope, f.revision.Changes); namespace != "" {
			f.also(fmt.Sprintf("in namespace %s, Pods that controllers created differ from a dry run at the same places, though it has not changed: "+
				"docs/states.md#newborn-pods says what that means", namespace))
		}
		return f
	}
	f.revision.Changes, f.revision.BiasedChanges, f.revision.Biased = judged, biased, lesson.Places
	if len(judged) > 0 {
		f.also("not judged: " + lesson.Reason())
		return f
	}
	f.revision.Changes, f.revision.Loses = nil, nil
	f.revision.Reason = verdict.Cut(lesson.Reason(), verdict.MaxReason)
	f.unknown()
	return f
}

// unknown makes the Pods that drift Unknown, in a copy.
func (f *finding) unknown() {
	states, members := map[verdict.State]int{}, map[verdict.State][]report.PodRef{}
	for state, n := range f.pods {
		now := state
		if state.Drift() {
			now = verdict.Unknown
		}
		states[now] += n
		members[now] = append(members[now], f.revision.Members[state]...)
	}
	f.pods, f.revision.Members = states, members
	f.revision.State = worst(states)
}
