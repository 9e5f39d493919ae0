package rollout

import (
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/sidecar-drift/sidecar-drift/internal/kind"
)

// workloadKind is how workloads of a kind that can be rolled out are read.
type workloadKind struct {
	// read takes what the guards need out of an object of the kind.
	read func(object map[string]any) (workload, error)
	// status judges whether the workload has settled.
	status statusFunc
}

var workloadKinds = map[string]workloadKind{
	kind.Deployment:  {readAs(fromDeployment), kubectlStatus},
	kind.StatefulSet: {readAs(fromStatefulSet), statefulSetStatus},
	kind.DaemonSet:   {readAs(fromDaemonSet), daemonSetStatus},
	kind.ReplicaSet:  {readAs(fromReplicaSet), allAvailable},
	kind.Rollout:     {fromRollout, rolloutStatus},
}

// evicts reports whether Pods are evicted, so that PodDisruptionBudgets decide:
// Argo evicts the Pods of a Rollout that is restarted.
func evicts(strategy Strategy, name string) bool {
	return strategy == Evict || name == kind.Rollout
}

// workload is what the guards need to know of a workload.
type workload struct {
	replicas int
	// available is how many Pods an update leaves available at least.
	available int
	// surges: no Pod of it goes before another one, beside it, is available.
	surges   bool
	paused   bool
	onDelete bool
	recreate bool
	inPlace  bool // one Pod a node, replaced where it is
	// changing is the first ordinal whose Pods an update replaces; 0 for all.
	changing int
	// batch is how many Pods an update replaces at the same time, at least 1.
	batch           int
	minReadySeconds int
	// pending: Pods that are re-created now get another revision.
	pending  bool
	template labels.Set // labels of its Pods
}

// resourceOf is where workloads of a kind are served.
func resourceOf(name string) schema.GroupVersionResource {
	k, _ := kind.Of(name)
	return k.GroupVersionResource()
}

// restarts reports whether the workload's Pods are replaced when its template changes.
func (f facts) restarts() bool {
	k, _ := kind.Of(f.kind)
	return k.Restarts
}

func readAs[T any](read func(*T) workload) func(map[string]any) (workload, error) {
	return func(object map[string]any) (workload, error) {
		var typed T
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object, &typed); err != nil {
			return workload{}, err
		}
		return read(&typed), nil
	}
}

func fromDeployment(d *appsv1.Deployment) workload {
	w := workload{
		replicas: orDefault(d.Spec.Replicas, 1),
		paused:   d.Spec.Paused,
		recreate: d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType,
		template: d.Spec.Template.Labels,

		minReadySeconds: int(d.Spec.MinReadySeconds),
	}
	w.batch = w.replicas
	if update := d.Spec.Strategy.RollingUpdate; update != nil && !w.recreate {
		surge := scaled(update.MaxSurge, w.replicas, true)
		unavailable := scaled(update.MaxUnavailable, w.replicas, false)
		if surge == 0 && unavailable == 0 {
			unavailable = 1 // as the Deployment controller does: or it could never move
		}
		w.available = max(w.replicas-unavailable, 0)
		w.batch = surge + unavailable
		w.surges = w.available == w.replicas
	}
	return w
}

func fromStatefulSet(s *appsv1.StatefulSet) workload {
	w := workload{
		replicas: orDefault(s.Spec.Replicas, 1),
		onDelete: s.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType,
		template: s.Spec.Template.Labels,

		minReadySeconds: int(s.Spec.MinReadySeconds),
	}
	w.pending = w.onDelete && s.Status.CurrentRevision != s.Status.UpdateRevision
	unavailable := 1
	if update := s.Spec.UpdateStrategy.RollingUpdate; update != nil {
		unavailable = max(unavailable, scaled(update.MaxUnavailable, w.replicas, true))
		if partition := orDefault(update.Partition, 0); partition > 0 {
			w.changing = partition
			if s.Spec.Ordinals != nil {
				w.changing += int(s.Spec.Ordinals.Start)
			}
		}
	}
	w.available, w.batch = max(w.replicas-unavailable, 0), unavailable
	return w
}

func fromDaemonSet(d *appsv1.DaemonSet) workload {
	w := workload{
		replicas: int(d.Status.DesiredNumberScheduled),
		onDelete: d.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType,
		inPlace:  true,
		template: d.Spec.Template.Labels,

		minReadySeconds: int(d.Spec.MinReadySeconds),
	}
	w.pending = w.onDelete && d.Status.UpdatedNumberScheduled < d.Status.DesiredNumberScheduled
	unavailable, surge := 1, 0
	if update := d.Spec.UpdateStrategy.RollingUpdate; update != nil {
		unavailable, surge = scaled(update.MaxUnavailable, w.replicas, true), scaled(update.MaxSurge, w.replicas, true)
	}
	w.available, w.batch = max(w.replicas-unavailable, 0), max(unavailable, surge)
	w.surges = surge > 0
	return w
}

func fromReplicaSet(r *appsv1.ReplicaSet) workload {
	replicas := orDefault(r.Spec.Replicas, 1)
	return workload{
		replicas: replicas, available: max(replicas-1, 0), batch: 1, template: r.Spec.Template.Labels,
		minReadySeconds: int(r.Spec.MinReadySeconds),
	}
}

// fromRollout reads an Argo Rollout. Its restart evicts as many Pods at a time
// as its maxUnavailable, at least one, and adds none.
// https://argo-rollouts.readthedocs.io/en/stable/features/restart/
func fromRollout(object map[string]any) (workload, error) {
	var r struct {
		Spec struct {
			Replicas *int32 `json:"replicas"`
			Paused   bool   `json:"paused"`
			MinReady int32  `json:"minReadySeconds"`
			Template struct {
				Metadata metav1.ObjectMeta `json:"metadata"`
			} `json:"template"`
			Selector *metav1.LabelSelector `json:"selector"`
			Strategy struct {
				Canary *struct {
					MaxUnavailable *intstr.IntOrString `json:"maxUnavailable"`
				} `json:"canary"`
			} `json:"strategy"`
		} `json:"spec"`
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object, &r); err != nil {
		return workload{}, err
	}
	w := workload{replicas: orDefault(r.Spec.Replicas, 1), paused: r.Spec.Paused, template: r.Spec.Template.Metadata.Labels, minReadySeconds: int(r.Spec.MinReady)}
	if len(w.template) == 0 && r.Spec.Selector != nil { // the template is another workload's
		w.template = r.Spec.Selector.MatchLabels
	}
	unavailable := 1
	if canary := r.Spec.Strategy.Canary; canary != nil {
		unavailable = max(1, scaled(canary.MaxUnavailable, w.replicas, false))
	}
	w.available, w.batch = max(w.replicas-unavailable, 0), unavailable
	return w, nil
}

func orDefault(value *int32, otherwise int) int {
	if value == nil {
		return otherwise
	}
	return int(*value)
}

// scaled resolves a number or a percentage of replicas; 0 where there is none.
func scaled(value *intstr.IntOrString, replicas int, roundUp bool) int {
	if value == nil {
		return 0
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(value, replicas, roundUp)
	if err != nil {
		return 0
	}
	return n
}

// disrupts is how many Pods may be unavailable at once while the workload is
// rolled out.
func (w workload) disrupts(o Options) int {
	if o.Strategy == Resize {
		return 0
	}
	if o.Strategy == Evict {
		return min(o.Pace.MaxUnavailable, w.replicas)
	}
	return w.replicas - w.available
}

// selectorOf is what selects the workload's Pods.
func selectorOf(object *unstructured.Unstructured) (labels.Selector, error) {
	raw, _, err := unstructured.NestedMap(object.Object, "spec", "selector")
	if err != nil {
		return nil, err
	}
	var selector metav1.LabelSelector
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(raw, &selector); err != nil {
		return nil, err
	}
	return metav1.LabelSelectorAsSelector(&selector)
}
