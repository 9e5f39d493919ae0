package rollout

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// restart rolls out one workload.
type restart struct {
	cluster *cluster
	opts    Options
	audit   AuditFunc
	item    report.Item
	planned time.Time // when the plan was made
	tell    func(Event)
}

// maxConflicts is how often a patch that lost a race is decided anew: a
// settled workload changes seldom, so more than a few say that something
// fights over it. The pause lets its controller look at what has changed.
const (
	maxConflicts  = 5
	conflictPause = time.Second
)

// run rolls the workload out and says what became of it.
func (r *restart) run(ctx context.Context) report.Rollout {
	outcome := report.Rollout{Strategy: StrategyRestart}
	mark, refused, err := r.start(ctx)
	if refused != proceed && err == nil {
		outcome.Result, outcome.Reason = refused.result, refused.reason
		return outcome
	}
	if err != nil {
		outcome.Result, outcome.Reason = report.Failed, fmt.Sprintf("not started: %v", err)
		if ctx.Err() != nil {
			outcome.Result = report.Interrupted
		}
		return outcome
	}
	outcome.Eligible = true
	outcome.StartedAt = &mark.time
	d, digest := r.settle(ctx, mark)
	outcome.Result, outcome.Reason = d.result, d.reason
	finished := r.opts.now()
	outcome.FinishedAt = &finished
	if err := r.remember(ctx, mark, lastRollout{Digest: digest, Time: finished, Result: d.result}); err != nil {
		outcome.Reason = strings.TrimPrefix(fmt.Sprintf("%s; could not be remembered in %s: %v",
			outcome.Reason, LastRolloutAnnotation, err), "; ")
	}
	return outcome
}

// mark is the restart as it was written.
type mark struct {
	object *unstructured.Unstructured // the workload, just patched
	// The annotation that only Pods of this restart carry.
	key, value string
	time       time.Time
}

// newMark is a mark that the workload's template does not carry yet: after a
// second rollout within one second there would be nothing for its controller to
// do.
func newMark(object *unstructured.Unstructured, key string, now time.Time) mark {
	present, _, _ := unstructured.NestedString(object.Object, "spec", "template", "metadata", "annotations", key)
	m := mark{key: key, value: now.Format(time.RFC3339), time: now}
	if m.value == present {
		m.value = now.Add(time.Second).Format(time.RFC3339)
	}
	return m
}

// start decides once more, by the workload as it is now, and patches it. The
// patch holds only for the version that was decided on: whatever happens in
// between (a pause, a scale, a deletion) makes it conflict, and the decision
// is taken anew.
func (r *restart) start(ctx context.Context) (mark, decision, error) {
	var uid types.UID
	for attempt := 1; ; attempt++ {
		object, d, err := r.decide(ctx)
		if err != nil || d != proceed {
			return mark{}, d, err
		}
		if uid = orElse(uid, object.GetUID()); uid != object.GetUID() {
			return mark{}, skip("%v", errGone), nil
		}
		m, err := r.patch(ctx, object)
		switch {
		case err == nil:
			r.opts.Log.Info("Started rollout", "kind", r.item.Kind, "namespace", r.item.Namespace, "workload", r.item.Name)
			r.tell(Event{Workload: refOf(r.item), Phase: Started, Message: m.value})
			return m, proceed, nil
		case apierrors.IsNotFound(err):
			return mark{}, skip("%v", errGone), nil
		case apierrors.IsConflict(err) && attempt < maxConflicts && pause(ctx, conflictPause):
			continue
		}
		return mark{}, proceed, fmt.Errorf("patch: %w", err)
	}
}

func (r *restart) decide(ctx context.Context) (*unstructured.Unstructured, decision, error) {
	ns, err := r.cluster.namespace(ctx, r.item.Namespace)
	if apierrors.IsNotFound(err) {
		return nil, skip("%v", errGone), nil
	}
	if err != nil {
		return nil, decision{}, err
	}
	// Last, so that as little as possible happens between this and the patch.
	object, err := r.cluster.get(ctx, refOf(r.item))
	if apierrors.IsNotFound(err) {
		return nil, skip("%v", errGone), nil
	}
	if err != nil {
		return nil, decision{}, err
	}
	if created := object.GetCreationTimestamp(); created.After(r.planned) {
		return nil, skip("was created anew after the audit: audit it again"), nil
	}
	digest, err := digestOf(r.item)
	if err != nil {
		return nil, decision{}, err
	}
	f, err := factsOf(object, ns, digest)
	if err != nil {
		return nil, decision{}, err
	}
	return object, check(f, r.opts.Guards), nil
}

// patch writes the two annotations into the Pod template.
func (r *restart) patch(ctx context.Context, object *unstructured.Unstructured) (mark, error) {
	m := newMark(object, r.opts.Mark.AnnotationPrefix+".rollout.timestamp", r.opts.now())
	reason := r.opts.Mark.Reason
	if reason == "" {
		reason = "Update sidecars " + strings.Join(r.opts.Select.driftedSidecars(r.item), ", ")
	}
	var err error
	m.object, err = r.cluster.patch(ctx, refOf(r.item), r.opts.Mark.FieldManager, map[string]any{
		"metadata": map[string]any{"uid": object.GetUID(), "resourceVersion": object.GetResourceVersion()},
		"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{"annotations": map[string]string{
			m.key: m.value,
			r.opts.Mark.AnnotationPrefix + ".rollout.reason": reason,
		}}}},
	})
	return m, err
}

// settle waits until the workload has been rolled out, then audits it. The
// digest is that of what was last seen of fresh injection.
func (r *restart) settle(ctx context.Context, m mark) (decision, string) {
	digest, err := digestOf(r.item)
	if err != nil {
		return failed("%v", err), ""
	}
	if err := r.wait(ctx, m); err != nil {
		return r.explain(ctx, m, err), digest
	}
	r.tell(Event{Workload: refOf(r.item), Phase: Verifying})
	return r.verify(ctx, digest)
}

func failed(format string, args ...any) decision {
	return decision{report.Failed, fmt.Sprintf(format, args...)}
}

func left(when string) decision {
	return decision{report.Interrupted, "left " + when + ": kubectl rollout status tells how it stands"}
}

// wait follows the workload until its controller has replaced every Pod.
func (r *restart) wait(ctx context.Context, m mark) error {
	ctx, cancel := context.WithTimeout(ctx, r.opts.Pace.Timeout)
	defer cancel()
	var last string
	err := r.cluster.await(ctx, m.object, func(seen *unstructured.Unstructured) (bool, error) {
		if seen.GetGeneration() < m.object.GetGeneration() {
			return false, nil // an older version, from a lagging API server
		}
		message, done, err := status(seen)
		if !done && err == nil && message != last {
			last = message
			r.tell(Event{Workload: refOf(r.item), Phase: Waiting, Message: message})
		}
		return done, err
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("not settled within %s (%s): %w", r.opts.Pace.Timeout, orElse(last, "nothing heard of it"), err)
	}
	return err
}

// explain turns the end of a wait into a result, with the Pod that is in the
// way named.
func (r *restart) explain(ctx context.Context, m mark, err error) decision {
	if ctx.Err() != nil {
		return left("while its controller was replacing its Pods, which goes on by itself")
	}
	if errors.Is(err, errGone) {
		return failed("%v", err)
	}
	pods, listErr := r.cluster.pods(ctx, m.object)
	if listErr != nil {
		return failed("%v; its Pods could not be listed: %v", err, listErr)
	}
	if trouble := troubleOf(pods, m.key, m.value); trouble != "" {
		return failed("%v: %s", err, trouble)
	}
	return failed("%v", err)
}

// verifyAttempts and verifyPause: a controller may report itself done an
// instant before its last old Pod is gone, so a difference counts only when it
// stays.
const (
	verifyAttempts = 3
	verifyPause    = time.Second
)

// verify audits the workload again: what differs now did not converge.
func (r *restart) verify(ctx context.Context, digest string) (decision, string) {
	var d decision
	for attempt := range verifyAttempts {
		if attempt > 0 && !pause(ctx, verifyPause) {
			return left("before it could be audited again"), digest
		}
		item, err := r.audit(ctx, refOf(r.item))
		if err != nil && ctx.Err() != nil {
			return left("before it could be audited again"), digest
		}
		if err != nil {
			return failed("rolled out, but could not be audited afterwards: %v", err), digest
		}
		if item == nil {
			return failed("rolled out, but the audit afterwards found no Pod of it"), digest
		}
		if digest, err = digestOf(*item); err != nil {
			return failed("%v", err), ""
		}
		if d = converged(*item, r.opts); d.result == report.RolledOut {
			break
		}
	}
	return d, digest
}

// remember writes the outcome to the workload's own metadata. An interrupted
// rollout has none yet, and a workload that is gone needs none.
func (r *restart) remember(ctx context.Context, m mark, last lastRollout) error {
	if last.Result == report.Interrupted || last.Digest == "" {
		return nil
	}
	value, err := last.annotation()
	if err != nil {
		return err
	}
	_, err = r.cluster.patch(ctx, refOf(r.item), r.opts.Mark.FieldManager, map[string]any{
		"metadata": map[string]any{
			"uid":         m.object.GetUID(),
			"annotations": map[string]string{LastRolloutAnnotation: value},
		},
	})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}
