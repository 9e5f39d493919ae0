package rollout

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/kind"
)

// task rolls out one workload: it decides once more, has the Pods re-created,
// waits, audits again and remembers the result.
type task struct {
	cluster      *cluster
	namespaces   *namespaces
	injectors    *injectors
	surroundings *surroundings
	asked        Options // what the run was asked for
	opts         Options // for this workload, once it was looked at
	// room has so many Pods of the workload be unavailable at once, or says why they may not be.
	room      func(disrupts int) (full string)
	audit     AuditFunc
	item      report.Item
	planned   time.Time // when the plan was made
	tell      func(Event)
	biased    func([]verdict.Change) // told where the workload came back as it was
	mayNot    bool                   // this identity may not do what was chosen
	leftOut   bool                   // something is left that a later run must not begin with
	takenBack bool                   // its restart was
	cause     report.Cause           // of its failure, where that is more than its result
	versions  versions               // of the workload, while it may be restarted
	now       *report.Item           // as it was audited after its Pods were re-created; nil: it was not
}

// recreation is how the Pods of one workload are replaced.
type recreation interface {
	// begin is given the very version of the workload that was decided on, and
	// returns the one to follow. What happened in between makes it fail with
	// a conflict.
	begin(ctx context.Context, workload *unstructured.Unstructured) (*unstructured.Unstructured, error)
	// finish returns when every Pod that should be has been replaced and the
	// workload has settled. It tells what it waits for.
	finish(ctx context.Context, begun *unstructured.Unstructured, waiting func(message string)) error
	// fresh reports whether a Pod is a new one.
	fresh(pod *corev1.Pod) bool
	// noneFresh says what it means if there is no new Pod; empty if nothing.
	noneFresh() string
	// untouched are the UIDs of Pods that stay as they are.
	untouched() map[string]bool
}

func (t *task) recreation(f facts, note string) recreation {
	switch {
	case t.opts.Strategy == Resize:
		r := &resizing{cluster: t.cluster, pace: t.opts.Pace, targets: f.reachable(), wanted: f.resize.pods, hurried: t.asked.Strategy == Auto, away: t.surroundings.away}
		if f.inPlace {
			r.lost = f.lost
		}
		return r
	case t.opts.Strategy == Evict:
		return t.evicting(f, f.targets, t.opts.Pace)
	case f.kind == kind.Rollout:
		return &argoRestart{cluster: t.cluster, opts: t.opts, versions: &t.versions, note: note, targets: f.targets}
	}
	r := &restart{cluster: t.cluster, opts: t.opts, versions: &t.versions, reason: t.reason(), note: note, held: f.below(), targets: f.targets, enough: t.surroundings.enough}
	if f.inPlace {
		r.lost = f.lost
	}
	return r
}

func (t *task) evicting(f facts, targets []report.PodRef, pace Pace) *eviction {
	e := &eviction{cluster: t.cluster, pace: pace, targets: targets, unhealthy: f.unhealthy}
	if f.inPlace {
		return e.without(f.lost)
	}
	return e
}

// reason is what people read about why the Pods were re-created.
func (t *task) reason() string {
	return t.opts.Mark.reason(t.opts.Select.driftedSidecars(t.item))
}

// maxConflicts is how often a start that lost a race is decided anew: a
// settled workload changes seldom, so more than a few say that something
// fights over it. The pause lets its controller look at what has changed.
const (
	maxConflicts  = 5
	conflictPause = time.Second
)

// run rolls the workload out and says what became of it.
func (t *task) run(ctx context.Context) report.Rollout {
	outcome := t.item.Rollout
	outcome.Reason, outcome.Eligible, outcome.Cause = "", false, ""
	t.opts = t.asked
	defer t.versions.end()
	b := begun{}
	refused, err := t.askItself(ctx)
	if refused == proceed && err == nil {
		b, refused, err = t.start(ctx)
	}
	if refused != proceed && err == nil {
		outcome.Result, outcome.Reason = refused.result, refused.reason
		return outcome
	}
	if err != nil {
		d := notStarted(ctx, err)
		outcome.Result, outcome.Reason, outcome.Cause = d.result, d.reason, causeOf(d.result, "")
		return outcome
	}
	outcome.Eligible, outcome.StartedAt, outcome.Strategy = true, &b.at, string(t.opts.Strategy)
	t.cluster.record(ctx, b.workload, eventStarted, t.reason())
	d, digest := t.settle(ctx, b)
	outcome.Result, outcome.Reason, outcome.Strategy = d.result, d.reason, string(t.opts.Strategy)
	if d.result == report.Skipped { // not one of its Pods might be touched
		outcome.Eligible, outcome.StartedAt = false, nil
		return outcome
	}
	finished := t.opts.now()
	outcome.FinishedAt, outcome.Cause = &finished, causeOf(d.result, t.cause)
	t.recordResult(ctx, b, d)
	last := lastRollout{Digest: digest, Time: finished, Result: d.result, TakenBack: b.takenBack}
	switch {
	case t.takenBack:
		last.TakenBack = &finished
	case d.result == report.RolledOut && t.opts.Strategy == Restart:
		last.TakenBack = nil
	}
	if t.leftOut {
		last.Result = report.NotConverging
	}
	if err := t.remember(ctx, b, last); err != nil {
		outcome.Reason = strings.TrimPrefix(fmt.Sprintf("%s; could not be remembered in %s: %v",
			outcome.Reason, LastRolloutAnnotation, err), "; ")
	}
	return outcome
}

// notStarted is what it means that a workload could not be begun with: nothing for
// the run where the API server, or what it asks, would not have it.
func notStarted(ctx context.Context, err error) decision {
	_, untouched := errors.AsType[*notBegunError](err)
	switch {
	case ctx.Err() != nil:
		return decision{report.Interrupted, fmt.Sprintf("not started: %v", err)}
	case untouched || refused(err) || !ends(ctx, err):
		return skip("not started, as it was refused: %v", err)
	}
	return failed("not started: %v", err)
}

func (t *task) recordResult(ctx context.Context, b begun, d decision) {
	switch {
	case d.result.Success():
		t.cluster.record(ctx, b.workload, eventSucceeded, orElse(d.reason, "All its Pods carry the present sidecars"))
	case d.result.Failure():
		t.cluster.record(ctx, b.workload, eventFailed, string(d.result)+": "+d.reason)
	}
}

// begun is a rollout under way.
type begun struct {
	recreation
	workload  *unstructured.Unstructured
	at        time.Time
	takenBack *time.Time // when an earlier restart was; nil: none was
}

// start decides once more, by the workload as it is now, and begins. That holds
// only for the version that was decided on: whatever happens in between (a
// pause, a scale, a deletion) makes it conflict, and the decision is taken anew.
func (t *task) start(ctx context.Context) (begun, decision, error) {
	var uid types.UID
	for attempt := 1; ; attempt++ {
		object, f, d, err := t.decide(ctx)
		if err != nil || d != proceed {
			return begun{}, d, err
		}
		if uid = orElse(uid, object.GetUID()); uid != object.GetUID() {
			return begun{}, skip("%v", errGone), nil
		}
		now := t.opts.now()
		before, _ := f.last()
		note, err := lastRollout{Digest: f.digest, Time: now, Result: report.Interrupted, TakenBack: before.TakenBack}.annotation()
		if err != nil {
			return begun{}, proceed, err
		}
		b := begun{recreation: t.recreation(f, note), at: now, takenBack: before.TakenBack}
		b.workload, err = b.begin(ctx, object)
		switch {
		case err == nil:
			t.opts.Log.Info("Started rollout", "kind", t.item.Kind, "namespace", t.item.Namespace, "workload", t.item.Name,
				"strategy", t.opts.Strategy)
			t.tell(Event{Workload: refOf(t.item), Phase: Started, Strategy: t.opts.Strategy})
			return b, proceed, nil
		case apierrors.IsNotFound(err):
			return begun{}, skip("%v", errGone), nil
		case apierrors.IsConflict(err) && attempt < maxConflicts && pause(ctx, conflictPause):
			continue
		}
		return begun{}, proceed, fmt.Errorf("%s: %w", t.opts.Strategy, err)
	}
}

// decide decides by the workload as it is now. What is to be restarted is followed from its
// first version on, as that must still be the last one then; nothing else is.
func (t *task) decide(ctx context.Context) (*unstructured.Unstructured, facts, decision, error) {
	planned := Strategy(t.item.Rollout.Strategy)
	follow := t.asked.Strategy == Restart || t.asked.Strategy == Auto && (planned == Restart || planned == "")
	object, f, d, err := t.decideBy(ctx, follow)
	if err == nil && d == proceed && t.versions.open() && t.opts.Strategy != Restart {
		return t.decideBy(ctx, false)
	}
	return object, f, d, err
}

func (t *task) decideBy(ctx context.Context, follow bool) (*unstructured.Unstructured, facts, decision, error) {
	gone := skip("%v", errGone)
	ns, err := t.namespaces.get(ctx, t.item.Namespace)
	if apierrors.IsNotFound(err) {
		return nil, facts{}, gone, nil
	}
	if err != nil {
		return nil, facts{}, decision{}, err
	}
	// Last, so that as little as possible happens between this and the start.
	object, err := t.read(ctx, follow)
	if apierrors.IsNotFound(err) {
		return nil, facts{}, gone, nil
	}
	if err != nil {
		return nil, facts{}, decision{}, err
	}
	if created := object.GetCreationTimestamp(); created.After(t.planned) {
		return nil, facts{}, skip("was created anew after the audit: audit it again"), nil
	}
	f, err := factsOf(object, ns, t.item, t.opts)
	if err != nil {
		return nil, facts{}, decision{}, err
	}
	if f.lost, err = t.surroundings.lost(ctx, object); err != nil {
		return nil, facts{}, decision{}, err
	}
	if f.resize, err = t.resizing(ctx, object, f); err != nil {
		return nil, facts{}, decision{}, err
	}
	d, err := t.choose(ctx, f)
	if d == proceed && err == nil {
		f, d, err = t.remaining(ctx, object, f)
	}
	if d != proceed || err != nil {
		return object, f, d, err
	}
	down, err := t.injectors.down(ctx, t.item.Namespace, f.template)
	if down != "" {
		d = skip("%s: its new Pods might come without what it injects; start it first", down)
	}
	return object, f, d, err
}

// read reads the workload, and follows it from then on.
func (t *task) read(ctx context.Context, follow bool) (object *unstructured.Unstructured, err error) {
	t.versions.end()
	if !follow {
		return t.cluster.get(ctx, refOf(t.item))
	}
	object, t.versions, err = t.cluster.readAndWatch(ctx, refOf(t.item))
	return object, err
}

// settle waits until the workload has been rolled out, then audits it. The
// digest is that of what was last seen of fresh injection.
func (t *task) settle(ctx context.Context, b begun) (decision, string) {
	digest, err := digestOf(t.item)
	if err != nil {
		return failed("%v", err), ""
	}
	err = b.finish(ctx, b.workload, t.waiting())
	if unfit, ok := errors.AsType[*resizeError](err); ok {
		var refused decision
		if b, refused, err = t.recreateInstead(ctx, b, unfit); refused != proceed {
			return refused, digest
		}
	}
	if reverted, ok := errors.AsType[*revertedError](err); ok {
		var refused decision
		t.takenBack = true
		if b, refused, err = t.evictInstead(ctx, b, reverted); refused != proceed {
			return refused, digest
		}
	}
	if err != nil {
		return t.explain(ctx, b, err), digest
	}
	t.tell(Event{Workload: refOf(t.item), Phase: Verifying})
	o, digest := t.verify(ctx, b, digest)
	if len(o.late) > 0 && t.opts.Strategy == Evict {
		o, digest = t.evictOnceMore(ctx, b, o, digest)
	}
	t.leftOut = o.leftOut
	if len(o.biased) > 0 {
		t.biased(o.biased)
	}
	if o.result.Success() {
		o.reason = t.kept(ctx, lostBy(b.recreation), o.reason)
	}
	return o.decision, digest
}

// waiting tells what is waited for, each time that it is something else.
func (t *task) waiting() func(message string) {
	var last string
	return func(message string) {
		if message != last {
			last = message
			t.tell(Event{Workload: refOf(t.item), Phase: Waiting, Message: message})
		}
	}
}

// evictOnceMore gives Pods another try that came too early, unless nothing new may
// begin, an injector is down, or injection is not what was chosen any more.
func (t *task) evictOnceMore(ctx context.Context, b begun, first outcome, digest string) (outcome, string) {
	if t.drained() || t.opts.Select.byChange() && otherInjection(t.item, t.now) {
		return first, digest
	}
	template, _, err := unstructured.NestedStringMap(b.workload.Object, "spec", "template", "metadata", "labels")
	if err != nil {
		return first, digest
	}
	if down, err := t.injectors.down(ctx, t.item.Namespace, template); down != "" || err != nil {
		return first, digest
	}
	again := b
	again.recreation = (&eviction{cluster: t.cluster, pace: t.pace(b.at), targets: first.late}).without(lostBy(b.recreation))
	if _, err := again.begin(ctx, b.workload); err != nil {
		return first, digest
	}
	t.opts.Log.Info("Evict once more", "kind", t.item.Kind, "namespace", t.item.Namespace, "workload", t.item.Name, "pods", len(first.late))
	err = again.finish(ctx, b.workload, t.waiting())
	if _, denied := errors.AsType[*deniedError](err); denied {
		return first, digest
	}
	if err != nil {
		return outcome{decision: t.explain(ctx, again, err)}, digest
	}
	t.tell(Event{Workload: refOf(t.item), Phase: Verifying})
	return t.verify(ctx, b, digest)
}

func failed(format string, args ...any) decision {
	return decision{report.Failed, fmt.Sprintf(format, args...)}
}

func left(when string) decision {
	return decision{report.Interrupted, "left " + when + ": kubectl rollout status tells how it stands"}
}

// remember writes the outcome to the workload's own metadata. An interrupted
// rollout has none but what its start noted, and a workload that is gone needs none.
func (t *task) remember(ctx context.Context, b begun, last lastRollout) error {
	if last.Result == report.Interrupted && !t.takenBack || last.Digest == "" {
		return nil
	}
	value, err := last.annotation()
	if err != nil {
		return err
	}
	_, err = t.cluster.patch(ctx, refOf(t.item), t.opts.Mark.FieldManager, map[string]any{
		"metadata": map[string]any{
			"uid":         b.workload.GetUID(),
			"annotations": map[string]string{LastRolloutAnnotation: value},
		},
	})
	mayNot := apierrors.IsForbidden(err) && t.opts.Strategy == Resize // it needs no right to workloads
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) || mayNot {
		return nil
	}
	return err
}
