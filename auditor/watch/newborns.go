package watch

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/newborn"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

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
func (k known) newlyDrifting(born []inventory.Pod) bool {
	for _, pod := range born {
		if k.Judged[pod.Alike].Drift() && pod.Created >= k.Answered {
			return true
		}
	}
	return false
}

// contradict takes a lesson back where a newborn is as the dry run says, in a revision
// of which others are not.
func (a *Auditor) contradict(last known, born []inventory.Pod) {
	if !last.Revision.State.Drift() {
		return
	}
	for _, pod := range born {
		if pod.Created >= last.past.since && (last.Judged[pod.Alike] == verdict.InSync || pod.Digest == last.Fresh) {
			a.lessons.Forget(last.Scope)
		}
	}
}

// formerAnswers are how many are remembered of a revision.
const formerAnswers = 4

// learn takes from a revision that was asked about again what its newborn Pods teach: a
// Pod that was created while the answer was the same, before and after, and that differs
// from it. It returns what is to be remembered.
func (a *Auditor) learn(r inventory.Revision, f *audit.Finding, pods []inventory.Pod) past {
	last, asked := a.findings[r.Key]
	// What came while nothing could be asked proves nothing, so that this has no since.
	now := past{last: last.past.last, former: last.past.former}
	if f.Judged == nil || f.Unasked || f.Scope == (newborn.Scope{}) || f.Answered == 0 {
		return now // and what is known of the answer before waits for the next one
	}
	now.last, now.since = f.Fresh, f.Answered
	switch {
	case !asked || last.Scope != f.Scope || last.past.last == (verdict.Digest{}):
		return now
	case last.past.last != f.Fresh:
		now.former = append(slices.Clone(last.past.former), last.past.last)
		now.former = now.former[max(0, len(now.former)-formerAnswers):]
		a.lessons.ForgetWhere(f.Scope, func(place string) bool {
			before, now := answerAt(last.Revision, place), answerAt(f.Revision, place)
			return !bytes.Equal(before, now)
		})
		return now
	case last.Judged == nil || last.past.since == 0:
		return now
	}
	now.since = last.past.since
	for _, pod := range last.newborn(pods) {
		a.teach(r, f, pods, pod, now)
	}
	return now
}

// answerAt is what a dry run answers at a place where Pods of the revision differ; nil
// where they do not, or it has nothing there.
func answerAt(r report.Revision, place string) []byte {
	for _, c := range r.Changes {
		if c.Place() == place {
			return c.To
		}
	}
	return nil
}

// teach takes from one newborn what it teaches.
func (a *Auditor) teach(r inventory.Revision, f *audit.Finding, pods []inventory.Pod, pod inventory.Pod, past past) {
	switch {
	case pod.Created < past.since+settled:
		return
	case f.Judged[pod.Alike] == verdict.InSync && len(f.Differs) > 0:
		a.lessons.Forget(f.Scope)
		return
	case len(f.Differs[pod.Alike]) == 0, slices.Contains(past.former, pod.Digest):
		return // the latter is a replica's of an injector that is being upgraded
	}
	lesson := newborn.Lesson{
		Pod: pod.Name, Born: time.Unix(pod.Created, 0), Since: time.Unix(past.since, 0), Places: audit.PlacesOf(f.Differs[pod.Alike]),
		Alone: !slices.ContainsFunc(pods, func(older inventory.Pod) bool {
			return older.Alike == pod.Alike && older.Created > 0 && older.Created <= pod.Created-settled
		}),
	}
	a.opts.Log.Info("A newborn Pod differs from a dry run that has not changed", "namespace", r.Workload.Namespace, "pod", pod.Name, "alone", lesson.Alone)
	a.lessons.Learn(f.Scope, lesson)
}

// settled is newborn.Settled in seconds.
const settled = int64(newborn.Settled / time.Second)

// withLessons is a finding as newborn Pods have it: what differs at biased places only
// is Unknown, and what differs elsewhere is judged by that.
func (a *Auditor) withLessons(f audit.Finding) audit.Finding {
	if a.lessons.Empty() || !f.Revision.State.Drift() || f.Revision.MoreChanges > 0 {
		return f
	}
	judged, biased, lesson := a.lessons.Split(f.Scope, f.Revision.Changes)
	if len(biased) == 0 {
		if namespace := a.lessons.Elsewhere(f.Scope, f.Revision.Changes); namespace != "" {
			f.Also(fmt.Sprintf("in namespace %s, Pods that controllers created differ from a dry run at the same places, though it has not changed: "+
				"docs/states.md#newborn-pods says what that means", namespace))
		}
		return f
	}
	f.Revision.Changes, f.Revision.BiasedChanges, f.Revision.Biased = judged, biased, lesson.Places
	if len(verdict.Stable(judged)) > 0 {
		f.Also("not judged: " + lesson.Reason())
		f.Revision.Reason = verdict.Cut(f.Revision.Reason, verdict.MaxReason)
		return f
	}
	f.Revision.Changes, f.Revision.Loses = nil, nil
	f.Revision.Reason = verdict.Cut(lesson.Reason(), verdict.MaxReason)
	f.Restate(func(state verdict.State) verdict.State {
		if state.Drift() {
			return verdict.Unknown
		}
		return state
	})
	return f
}
