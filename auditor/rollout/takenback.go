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

// takenBack is what was seen of somebody who put a Pod template back while its restart was
// under way: a controller that owns it, or a tool that keeps it as it is in Git.
type takenBack struct {
	at time.Time // zero: nobody has
	by string    // empty: nobody knows who
}

// look notices that the template carries none of the restart's annotations any more. With
// the one that kubectl sets alone its controller replaces all Pods, if some of them twice.
func (t *takenBack) look(r *restart, seen *unstructured.Unstructured) {
	annotations, _, _ := unstructured.NestedStringMap(seen.Object, "spec", "template", "metadata", "annotations")
	if annotations[r.key] == r.value || annotations[restartedAt] == r.value || !t.at.IsZero() {
		return
	}
	t.at, t.by = r.opts.now(), templateManager(seen, r.opts.Mark.FieldManager)
}

// templateManager names the field manager, other than ours, that last wrote into the Pod
// template; that which removes fields alone leaves no trace there, and the owner or an
// earlier manager is named then.
func templateManager(object *unstructured.Unstructured, ours string) string {
	last := metav1.ManagedFieldsEntry{}
	for _, entry := range object.GetManagedFields() {
		later := last.Time == nil || entry.Time != nil && !entry.Time.Before(last.Time)
		if entry.Manager != ours && entry.Subresource == "" && entry.FieldsV1 != nil && later &&
			strings.Contains(entry.FieldsV1.GetRawString(), `"f:template"`) {
			last = entry
		}
	}
	switch owner := controllerOf(object); {
	case owner != "":
		return "its owner " + owner
	case last.Manager != "":
		return "the field manager " + sentence(last.Manager, longestQuote)
	}
	return ""
}

// revertedError: the template was put back before all Pods were replaced.
type revertedError struct{ reason string }

func (e *revertedError) Error() string { return e.reason }

// revert says what it means that the template was put back: nothing, where no Pod is left
// that was to be replaced.
func (r *restart) revert(ctx context.Context, begun *unstructured.Unstructured) error {
	pods, err := r.cluster.pods(ctx, begun)
	if err != nil {
		return fmt.Errorf("its Pods could not be listed: %w", err)
	}
	meant := uids(r.targets)
	pods = slices.DeleteFunc(pods, func(p corev1.Pod) bool { return !meant[string(p.UID)] || p.DeletionTimestamp != nil })
	if len(pods) == 0 {
		return nil
	}
	by := "by whom is not recorded"
	if r.taken.by != "" {
		by = "perhaps by " + r.taken.by
	}
	return &revertedError{fmt.Sprintf("its template was put back (%s) with %d of its %d Pods not yet replaced", by, len(pods), len(r.targets))}
}

// evictInstead goes on by eviction with what a restart was taken back of, where the strategy
// may be chosen. It returns what became of that, or why it was not begun with.
func (t *task) evictInstead(ctx context.Context, b begun, reverted *revertedError) (begun, decision, error) {
	end := func(format string, args ...any) (begun, decision, error) {
		return b, decision{report.Reverted, reverted.reason + fmt.Sprintf(format, args...)}, nil
	}
	if t.asked.Strategy != Auto {
		return end(": --strategy evict or auto leaves the template alone")
	}
	select {
	case <-t.opts.Pace.Drain:
		return end("; not evicted, as the run was interrupted: the same command goes on with it")
	default:
	}
	t.asked.Strategy = Evict
	object, f, d, err := t.decide(ctx)
	switch {
	case err != nil:
		return end("; not evicted: %v", err)
	case d != proceed:
		return end("; not evicted, as it %s", d.reason)
	}
	t.opts.Log.Info("Evict what a restart was taken back of", "kind", t.item.Kind, "namespace", t.item.Namespace, "workload", t.item.Name, "reason", reverted.reason)
	b.recreation = &eviction{cluster: t.cluster, pace: t.opts.Pace, targets: f.targets}
	if b.workload, err = b.begin(ctx, object); err != nil {
		return end("; not evicted: %v", err)
	}
	if err = b.finish(ctx, b.workload, t.waiting()); err != nil {
		if denied, ok := errors.AsType[*deniedError](err); ok {
			return end("; not evicted: %v", denied)
		}
	}
	return b, proceed, err
}
