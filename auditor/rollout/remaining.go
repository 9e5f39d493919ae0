package rollout

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// remaining decides by whether any of the Pods that were audited is left: an update of the
// workload's own replaces them, too. By those it then sees whether a new one can start
// beside them: they have what admission put into them, which the template does not tell.
func (t *task) remaining(ctx context.Context, object *unstructured.Unstructured, f facts) (facts, decision, error) {
	var pods []corev1.Pod
	var err error
	if len(f.targets) > 0 {
		if pods, err = t.cluster.pods(ctx, object); err != nil {
			return f, decision{}, fmt.Errorf("its Pods could not be listed: %w", err)
		}
		meant := uids(f.targets)
		if !slices.ContainsFunc(pods, func(p corev1.Pod) bool { return meant[string(p.UID)] && p.DeletionTimestamp == nil }) {
			return f, nothingLeft, nil
		}
	}
	if t.opts.Strategy != Restart {
		return f, proceed, nil
	}
	if f.beside, err = t.surroundings.beside(ctx, object, f, pods); err != nil {
		return f, decision{}, err
	}
	d, err := t.choose(ctx, f)
	return f, d, err
}
