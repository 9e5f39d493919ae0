package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// restart patches two annotations into the workload's Pod template, for which
// its controller replaces the Pods.
type restart struct {
	cluster *cluster
	opts    Options
	reason  string
	note    string          // for the workload's own metadata
	held    []report.PodRef // by the workload's partition

	key, value string // of the annotation that only Pods of this restart carry
}

func (r *restart) begin(ctx context.Context, workload *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	r.key = r.opts.Mark.AnnotationPrefix + ".rollout.timestamp"
	r.value = newTimestamp(workload, r.opts.now(), "spec", "template", "metadata", "annotations", r.key)
	return r.cluster.patch(ctx, refTo(workload), r.opts.Mark.FieldManager, map[string]any{
		"metadata": noted(workload, r.note),
		"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{"annotations": map[string]string{
			r.key: r.value,
			r.opts.Mark.AnnotationPrefix + ".rollout.reason": r.reason,
		}}}},
	})
}

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
	return r.cluster.settle(ctx, begun, r.opts.Pace.Timeout, waiting)
}

func (r *restart) fresh(pod *corev1.Pod) bool { return pod.Annotations[r.key] == r.value }

func (r *restart) noneFresh() string { return noNewPod }

// noNewPod is where to look when a restart creates no Pod.
const noNewPod = "no new Pod was created: kubectl describe the workload (quota, admission)"

func (r *restart) untouched() map[string]bool { return uids(r.held) }

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
	cluster *cluster
	opts    Options
	note    string
	at      string
}

func (r *argoRestart) begin(ctx context.Context, workload *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	r.at = newTimestamp(workload, r.opts.now(), "spec", "restartAt")
	return r.cluster.patch(ctx, refTo(workload), r.opts.Mark.FieldManager, map[string]any{
		"metadata": noted(workload, r.note),
		"spec":     map[string]any{"restartAt": r.at},
	})
}

func (r *argoRestart) finish(ctx context.Context, begun *unstructured.Unstructured, waiting func(string)) error {
	return r.cluster.settle(ctx, begun, r.opts.Pace.Timeout, waiting)
}

func (r *argoRestart) fresh(pod *corev1.Pod) bool {
	at, err := time.Parse(time.RFC3339, r.at)
	return err == nil && !pod.CreationTimestamp.Before(&metav1.Time{Time: at})
}

func (r *argoRestart) noneFresh() string { return noNewPod }

func (r *argoRestart) untouched() map[string]bool { return nil }

// settle follows a workload that was just patched until its controller has
// replaced every Pod.
func (c *cluster) settle(ctx context.Context, begun *unstructured.Unstructured, timeout time.Duration, waiting func(string)) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var last string
	err := c.await(ctx, begun, func(seen *unstructured.Unstructured) (bool, error) {
		if seen.GetGeneration() < begun.GetGeneration() {
			return false, nil // an older version, from a lagging API server
		}
		message, done, err := status(seen)
		if !done && err == nil {
			last = message
			waiting(message)
		}
		return done, err
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("not settled within %s (%s): %w", timeout, orElse(last, "nothing heard of it"), err)
	}
	return err
}
