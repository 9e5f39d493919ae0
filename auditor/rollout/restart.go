package rollout

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/internal/kind"
)

// restart patches annotations into the workload's Pod template, for which its controller
// replaces the Pods.
type restart struct {
	cluster *cluster
	opts    Options
	reason  string
	note    string          // for the workload's own metadata
	held    []report.PodRef // by the workload's partition
	targets []report.PodRef
	// enough reports whether a workload that is not settled is as far as it can be, and what
	// stays as it is.
	enough    func(context.Context, *unstructured.Unstructured) (lostPods, bool)
	lost      lostPods
	versions  *versions
	preempted string // see undoing

	key, value string // of the annotation that only Pods of this restart carry
}

func (r *restart) begin(ctx context.Context, workload *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	r.key = r.opts.Mark.AnnotationPrefix + timestampKey
	field := []string{"spec", "template", "metadata", "annotations", r.key}
	r.value = newTimestamp(workload, r.opts.now(), field...)
	return r.cluster.begin(ctx, workload, r.opts.Mark.FieldManager, map[string]any{
		"metadata": noted(workload, r.note),
		"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{"annotations": map[string]string{
			r.key:                                    r.value,
			restartedAt:                              r.value,
			r.opts.Mark.AnnotationPrefix + reasonKey: r.reason,
		}}}},
	}, r.value, field...)
}

// begin sends the patch that restarts a workload. Where the answer does not say
// whether the patch was taken, the field does that it sets to the value.
func (c *cluster) begin(ctx context.Context, workload *unstructured.Unstructured, manager string, patch map[string]any, value string, field ...string) (*unstructured.Unstructured, error) {
	ref := refTo(workload)
	begun, err := c.patch(ctx, ref, manager, patch)
	if err == nil || refused(err) || ctx.Err() != nil {
		return begun, err
	}
	begun, unknown := c.get(ctx, ref)
	if unknown != nil {
		return nil, errors.Join(err, unknown)
	}
	if set, _, _ := unstructured.NestedString(begun.Object, field...); set != value || begun.GetUID() != workload.GetUID() {
		return nil, &notBegunError{err}
	}
	return begun, nil
}

// notBegunError is an error after which the workload was seen to be untouched.
type notBegunError struct{ error }

func (e *notBegunError) Unwrap() error { return e.error }

// noted makes a patch hold for this version of the workload alone, and remember
// that Pods are re-created: whoever comes after a run that is killed then knows.
func noted(workload *unstructured.Unstructured, note string) map[string]any {
	return map[string]any{
		"uid": workload.GetUID(), "resourceVersion": workload.GetResourceVersion(),
		"annotations": map[string]string{LastRolloutAnnotation: note},
	}
}

// newTimestamp is a time that does not stand at the field yet: after a second
// rollout within one second there would be nothing for the controller to do.
func newTimestamp(workload *unstructured.Unstructured, now time.Time, field ...string) string {
	present, _, _ := unstructured.NestedString(workload.Object, field...)
	if text := now.Format(time.RFC3339); text != present {
		return text
	}
	return now.Add(time.Second).Format(time.RFC3339)
}

func (r *restart) finish(ctx context.Context, begun *unstructured.Unstructured, waiting func(string)) error {
	held, lost := uids(r.held), r.lost.nodes
	u := undoing{
		cluster: r.cluster, opts: r.opts, versions: r.versions, stands: r.stands, fresh: r.fresh, note: r.note,
		meant: slices.DeleteFunc(slices.Clone(r.targets), func(p report.PodRef) bool { return held[p.UID] || r.lost.pods[p.UID] }),
		enough: func(ctx context.Context, seen *unstructured.Unstructured) bool {
			l, enough := r.enough(ctx, seen)
			if enough = enough && l.onlySince(lost); enough {
				r.lost = l
			}
			return enough
		},
	}
	err := u.finish(ctx, begun, waiting)
	r.preempted = u.preempted
	return err
}

// stands: with the annotation that kubectl sets alone the controller replaces all Pods, if
// some of them twice.
func (r *restart) stands(seen *unstructured.Unstructured) bool {
	annotations, _, _ := unstructured.NestedStringMap(seen.Object, "spec", "template", "metadata", "annotations")
	return annotations[r.key] == r.value || annotations[restartedAt] == r.value
}

func (r *restart) fresh(pod *corev1.Pod) bool {
	return pod.Annotations[r.key] == r.value || pod.Annotations[restartedAt] == r.value
}

func (r *restart) noneFresh() string { return noNewPod }

// noNewPod is where to look when a restart creates no Pod.
const noNewPod = "no new Pod was created: kubectl describe the workload (quota, admission)"

func (r *restart) untouched() map[string]bool {
	left := uids(r.held)
	maps.Copy(left, r.lost.pods)
	return left
}

func uids(pods []report.PodRef) map[string]bool {
	set := make(map[string]bool, len(pods))
	for _, pod := range pods {
		set[pod.UID] = true
	}
	return set
}

// argoRestart sets spec.restartAt of an Argo Rollout, whose controller then
// evicts every Pod that is older.
type argoRestart struct {
	cluster  *cluster
	opts     Options
	versions *versions
	note     string
	targets  []report.PodRef
	at       string
}

func (r *argoRestart) begin(ctx context.Context, workload *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	r.at = newTimestamp(workload, r.opts.now(), "spec", "restartAt")
	return r.cluster.begin(ctx, workload, r.opts.Mark.FieldManager, map[string]any{
		"metadata": noted(workload, r.note),
		"spec":     map[string]any{"restartAt": r.at},
	}, r.at, "spec", "restartAt")
}

func (r *argoRestart) finish(ctx context.Context, begun *unstructured.Unstructured, waiting func(string)) error {
	never := func(context.Context, *unstructured.Unstructured) bool { return false }
	u := undoing{cluster: r.cluster, opts: r.opts, versions: r.versions, stands: r.stands, fresh: r.fresh, note: r.note, meant: r.targets, enough: never}
	return u.finish(ctx, begun, waiting)
}

func (r *argoRestart) stands(seen *unstructured.Unstructured) bool {
	at, _, _ := unstructured.NestedString(seen.Object, "spec", "restartAt")
	return at == r.at
}

func (r *argoRestart) fresh(pod *corev1.Pod) bool {
	at, err := time.Parse(time.RFC3339, r.at)
	return err == nil && !pod.CreationTimestamp.Before(&metav1.Time{Time: at})
}

func (r *argoRestart) noneFresh() string { return noNewPod }

func (r *argoRestart) untouched() map[string]bool { return nil }

// settle follows a workload that was just patched until its controller has
// replaced every Pod, for as long as there is patience with it. look is given each version
// of the workload, and reports whether all begins anew; enough, whether it is replaced as
// far as it can be.
func (c *cluster) settle(ctx context.Context, begun *unstructured.Unstructured, v *versions, pace Pace, look, enough func(*unstructured.Unstructured) bool, waiting func(string)) error {
	minReady, _ := number(begun, "spec", "minReadySeconds")
	ctx, clock := pace.patience(int(minReady)).start(ctx)
	defer clock.stop()
	last, before := "nothing heard of it", 0
	err := c.await(ctx, begun, v, func(seen *unstructured.Unstructured) (bool, error) {
		if seen.GetGeneration() < begun.GetGeneration() {
			return false, nil // an older version, from a lagging API server
		}
		if look(seen) {
			clock.again()
		}
		message, done, err := status(seen)
		if err != nil {
			return false, err
		}
		if done || enough(seen) {
			return true, nil
		}
		last = quote(message)
		waiting(last)
		left := work(seen)
		if seen.GetKind() == kind.Rollout && left > before {
			clock.again() // it takes one Pod after the other away, and counts none
		}
		before = left
		clock.left(left)
		return false, nil
	})
	return clock.explain(ctx, err, "not settled within %s of the last progress (%s)", last)
}
