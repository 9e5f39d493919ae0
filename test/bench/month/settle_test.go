package month

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

var ours = metav1.ListOptions{LabelSelector: "month=workload"}

// settled waits until every workload has its Pods, ready and of its last revision.
// It takes note of the new ones, which got what is fresh, and returns the slots of
// those that are gone, sorted.
func (w *world) settled(ctx context.Context) ([]slot, error) {
	var gone []slot
	err := cluster.Poll(ctx, "the workloads to settle", func(ctx context.Context) error {
		if err := w.rolledOut(ctx); err != nil {
			return err
		}
		pods, err := w.pods(ctx)
		if err != nil {
			return err
		}
		live := map[types.UID]livePod{}
		if gone, err = w.match(pods, live); err != nil {
			return err
		}
		// Statuses that were read before the Pods may be of before the change.
		if err := w.rolledOut(ctx); err != nil {
			return err
		}
		w.live = live
		return nil
	})
	return gone, err
}

// rolledOut fails unless every controller says that all is as its workload wants.
func (w *world) rolledOut(ctx context.Context) error {
	apps := w.reader.AppsV1()
	deployments, err := apps.Deployments("").List(ctx, ours)
	if err != nil {
		return err
	}
	sets, err := apps.StatefulSets("").List(ctx, ours)
	if err != nil {
		return err
	}
	daemons, err := apps.DaemonSets("").List(ctx, ours)
	if err != nil {
		return err
	}
	var errs []error
	expect := func(name string, generation, observed int64, counts ...int32) {
		if observed != generation || len(slices.Compact(counts)) != 1 {
			errs = append(errs, fmt.Errorf("%s has %v Pods that are wanted, updated, available and there", name, counts))
		}
	}
	for _, d := range deployments.Items {
		expect(d.Name, d.Generation, d.Status.ObservedGeneration, *d.Spec.Replicas, d.Status.UpdatedReplicas, d.Status.AvailableReplicas, d.Status.Replicas)
	}
	for _, s := range sets.Items {
		expect(s.Name, s.Generation, s.Status.ObservedGeneration, *s.Spec.Replicas, s.Status.UpdatedReplicas, s.Status.AvailableReplicas, s.Status.Replicas)
	}
	for _, d := range daemons.Items {
		expect(d.Name, d.Generation, d.Status.ObservedGeneration, nodes, d.Status.UpdatedNumberScheduled, d.Status.NumberAvailable, d.Status.CurrentNumberScheduled)
	}
	if n := len(deployments.Items) + len(sets.Items) + len(daemons.Items); n != len(w.script.workloads) {
		errs = append(errs, fmt.Errorf("there are %d workloads", n))
	}
	return errors.Join(errs...)
}

// pods are those of each workload that are not being deleted.
func (w *world) pods(ctx context.Context) ([][]corev1.Pod, error) {
	list, err := w.reader.CoreV1().Pods("").List(ctx, metav1.ListOptions{LabelSelector: "workload"})
	if err != nil {
		return nil, err
	}
	all := make([][]corev1.Pod, len(w.script.workloads))
	for _, p := range list.Items {
		n := slices.IndexFunc(w.script.workloads, func(of workload) bool { return of.name == p.Labels["workload"] })
		switch {
		case n < 0:
			return nil, fmt.Errorf("Pod %s is of no workload", p.Name)
		case p.DeletionTimestamp == nil:
			all[n] = append(all[n], p)
		}
	}
	return all, nil
}

// match gives each Pod its slot in live, and fails while there are others than
// those of the slots. It returns the slots whose Pods are gone.
func (w *world) match(pods [][]corev1.Pod, live map[types.UID]livePod) (gone []slot, err error) {
	there := map[types.UID]bool{}
	for n, of := range w.script.workloads {
		free := slotsOf(n, w.replicas[n])
		var created []corev1.Pod
		for _, p := range pods[n] {
			if !ready(p) {
				return nil, fmt.Errorf("Pod %s is not ready", p.Name)
			}
			there[p.UID] = true
			known, ok := w.live[p.UID]
			if !ok {
				created = append(created, p)
				continue
			}
			at := slices.Index(free, known.slot)
			if at < 0 {
				return nil, fmt.Errorf("Pod %s should not be there", p.Name)
			}
			free = slices.Delete(free, at, at+1)
			live[p.UID] = known
		}
		if len(created) != len(free) {
			return nil, fmt.Errorf("%s has %d new Pods, not %d", of.name, len(created), len(free))
		}
		slices.SortFunc(created, func(a, b corev1.Pod) int { return cmp.Or(ordinal(a)-ordinal(b), cmp.Compare(a.Name, b.Name)) })
		for i, p := range created {
			live[p.UID] = livePod{free[i], w.fresh[n], p.Name, p.Namespace}
			if of.kind == "StatefulSet" && ordinal(p) != free[i].N {
				return nil, fmt.Errorf("Pod %s is in slot %d", p.Name, free[i].N)
			}
		}
	}
	for uid, p := range w.live {
		if !there[uid] {
			gone = append(gone, p.slot)
		}
	}
	return sorted(gone), nil
}

func ready(p corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// ordinal is a StatefulSet's Pod's; 0 for others.
func ordinal(p corev1.Pod) int {
	n, err := strconv.Atoi(p.Labels["apps.kubernetes.io/pod-index"])
	if err != nil {
		return 0
	}
	return n
}

// sorted is never nil.
func sorted(slots []slot) []slot {
	all := append([]slot{}, slots...)
	slices.SortFunc(all, compareSlots)
	return all
}
