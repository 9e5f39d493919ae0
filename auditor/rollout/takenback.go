package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// undoing follows a restart, and notices that somebody takes it back while it is under way:
// a controller that owns the template, a tool that keeps it as it is in Git, a person.
type undoing struct {
	cluster  *cluster
	opts     Options
	versions *versions
	meant    []report.PodRef // Pods that it is to replace
	// stands reports whether a version of the workload has what the restart set.
	stands func(*unstructured.Unstructured) bool
	fresh  func(*corev1.Pod) bool
	enough func(context.Context, *unstructured.Unstructured) bool
	note   string // what the restart noted in the workload's own metadata

	floor     int    // Pods that the restart leaves available
	observed  int    // how often fewer were, and its Pods were looked at
	preempted string // which of its Pods had to go for others meanwhile

	begun time.Time
	at    time.Time // when it was taken back; zero: it was not
	by    string    // who may have; empty: nobody knows
	final string    // why nothing is to go on by another way; empty if it may
}

// finish waits until the workload has settled, whatever has become of the restart.
func (u *undoing) finish(ctx context.Context, begun *unstructured.Unstructured, waiting func(string)) error {
	u.begun = u.opts.now()
	if w, err := workloadKinds[begun.GetKind()].read(begun.Object); err == nil {
		u.floor = w.available
	}
	err := u.cluster.settle(ctx, begun, u.versions, u.opts.Pace, func(seen *unstructured.Unstructured) bool {
		u.watchOut(ctx, seen)
		return u.observe(ctx, seen)
	},
		func(seen *unstructured.Unstructured) bool { return u.enough(ctx, seen) }, waiting)
	if u.at.IsZero() || errors.Is(err, errGone) || ctx.Err() != nil {
		return err
	}
	return u.undone(ctx, begun, err)
}

// observe reports whether the restart has just been taken back, after which all that was done
// is to be done again.
func (u *undoing) observe(ctx context.Context, seen *unstructured.Unstructured) bool {
	if !u.at.IsZero() || u.stands(seen) {
		return false
	}
	by, person := lastManager(seen, u.opts.Mark.FieldManager, u.begun)
	u.at, u.by = u.opts.now(), by
	if person || seen.GetAnnotations()[LastRolloutAnnotation] != u.note { // which "kubectl rollout undo" puts back, too
		u.final = "a person may have meant that"
		return true
	}
	if pods, err := u.cluster.pods(ctx, seen); err == nil {
		if trouble := downOf(pods, u.fresh); trouble != "" {
			u.final = "its new Pods did not start: " + trouble
		}
	}
	return true
}

// mostObserved is how often a restart looks at Pods that are gone for another reason than its own.
const mostObserved = 3

// watchOut looks at the Pods while more are away than the restart takes: those that were
// preempted do not stay for long.
func (u *undoing) watchOut(ctx context.Context, seen *unstructured.Unstructured) {
	if _, available := availability(seen); int(available) >= u.floor || u.observed == mostObserved || u.preempted != "" {
		return
	}
	u.observed++
	if pods, err := u.cluster.pods(ctx, seen); err == nil {
		u.preempted = preemptedOf(pods)
	}
}

// lastManager names the field manager, other than ours, that last wrote into the Pod
// template; that which removes fields alone leaves no trace there, and the owner or an
// earlier manager is named then. A person is one who has done so since by kubectl.
func lastManager(object *unstructured.Unstructured, ours string, since time.Time) (name string, person bool) {
	last := metav1.ManagedFieldsEntry{}
	for _, entry := range object.GetManagedFields() {
		later := last.Time == nil || entry.Time != nil && !entry.Time.Before(last.Time)
		if entry.Manager != ours && entry.Subresource == "" && entry.FieldsV1 != nil && later &&
			strings.Contains(entry.FieldsV1.GetRawString(), `"f:template"`) {
			last = entry
		}
	}
	manager := "the field manager " + sentence(last.Manager, longestQuote)
	switch owner := controllerOf(object); {
	case strings.HasPrefix(last.Manager, "kubectl") && last.Time != nil && !last.Time.Time.Before(since):
		return manager, true
	case owner != "":
		return "its owner " + owner, false
	case last.Manager != "":
		return manager, false
	}
	return "", false
}

// revertedError: a restart was taken back before all Pods were replaced.
type revertedError struct {
	reason string
	left   []report.PodRef // Pods that it has not replaced
	final  string          // see undoing
}

func (e *revertedError) Error() string { return e.reason }

// undone says what it means that the restart was taken back: nothing, where no Pod is left
// that was to be replaced. A Pod that is about to go may still be there at a first look.
func (u *undoing) undone(ctx context.Context, begun *unstructured.Unstructured, settled error) error {
	var left []report.PodRef
	for attempt := range verifyAttempts {
		if attempt > 0 && !pause(ctx, verifyPause) {
			return ctx.Err()
		}
		pods, err := u.cluster.pods(ctx, begun)
		if err != nil {
			return errors.Join(settled, fmt.Errorf("its Pods could not be listed: %w", err))
		}
		there := map[string]bool{}
		for _, pod := range pods {
			there[string(pod.UID)] = pod.DeletionTimestamp == nil
		}
		left = slices.DeleteFunc(slices.Clone(u.meant), func(p report.PodRef) bool { return !there[p.UID] })
		if len(left) == 0 {
			return settled
		}
	}
	by := "by whom is not recorded"
	if u.by != "" {
		by = "perhaps by " + u.by
	}
	reverted := &revertedError{
		reason: fmt.Sprintf("its restart was taken back (%s) with %d of its %d Pods not yet replaced", by, len(left), len(u.meant)),
		left:   left, final: u.final,
	}
	if settled != nil {
		reverted.final = orElse(reverted.final, settled.Error())
	}
	return reverted
}

// nothingLeft is decided where an update of the workload's own has replaced the Pods.
var nothingLeft = skip("the Pods that were audited have been replaced since: nothing is left to do")

// evictInstead goes on by eviction with what a restart was taken back of, where the strategy
// may be chosen. It returns what became of that, or why it was not begun with.
func (t *task) evictInstead(ctx context.Context, b begun, reverted *revertedError) (begun, decision, error) {
	asked, opts := t.asked, t.opts
	end := func(format string, args ...any) decision {
		t.asked, t.opts = asked, opts
		return decision{report.Reverted, reverted.reason + fmt.Sprintf(format, args...)}
	}
	switch {
	case asked.Strategy != Auto:
		return b, end(": --strategy evict or auto leaves the template alone"), nil
	case reverted.final != "":
		return b, end("; its Pods were not evicted, as %s", reverted.final), nil
	}
	if t.drained() {
		return b, end("; its Pods were not evicted, as %s", t.drainedBy()), nil
	}
	t.asked.Strategy = Evict
	return t.goOn(ctx, b, instead{
		event: "Evict what a restart was taken back of", reason: reverted.reason,
		end:  func(why string) decision { return end("; its Pods were not evicted%s", why) },
		stay: func() { t.asked, t.opts = asked, opts },
		by: func(f facts) (recreation, error) {
			return t.evicting(f, among(f.targets, reverted.left), t.pace(b.at)), nil
		},
	})
}

// pace is the run's, with what is left of the longest duration since the workload was begun
// with.
func (t *task) pace(since time.Time) Pace {
	p := t.opts.Pace
	if p.MaxDuration > 0 {
		p.MaxDuration = max(p.MaxDuration-t.opts.Now().Sub(since), time.Second)
	}
	return p
}
