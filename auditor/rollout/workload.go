package rollout

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/kubectl/pkg/polymorphichelpers"
)

// workloadKind is what differs among the kinds that can be restarted.
type workloadKind struct {
	resource schema.GroupVersionResource
	// read takes what the guards need out of an object of the kind.
	read func(object map[string]any) (workload, error)
}

var workloadKinds = map[string]workloadKind{
	"Deployment":  {appsv1.SchemeGroupVersion.WithResource("deployments"), readAs(fromDeployment)},
	"StatefulSet": {appsv1.SchemeGroupVersion.WithResource("statefulsets"), readAs(fromStatefulSet)},
	"DaemonSet":   {appsv1.SchemeGroupVersion.WithResource("daemonsets"), readAs(fromDaemonSet)},
}

// workload is what the guards need to know of a workload.
type workload struct {
	replicas int
	// available is how many Pods an update leaves available at least.
	available int
	paused    bool
	onDelete  bool
	recreate  bool
	inPlace   bool // one Pod a node, replaced where it is
	partition int
	template  labels.Set // labels of its Pods
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
	}
	if update := d.Spec.Strategy.RollingUpdate; update != nil && !w.recreate {
		surge := scaled(update.MaxSurge, w.replicas, true)
		unavailable := scaled(update.MaxUnavailable, w.replicas, false)
		if surge == 0 && unavailable == 0 {
			unavailable = 1 // as the Deployment controller does: or it could never move
		}
		w.available = max(w.replicas-unavailable, 0)
	}
	return w
}

func fromStatefulSet(s *appsv1.StatefulSet) workload {
	w := workload{
		replicas: orDefault(s.Spec.Replicas, 1),
		onDelete: s.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType,
		template: s.Spec.Template.Labels,
	}
	unavailable := 1
	if update := s.Spec.UpdateStrategy.RollingUpdate; update != nil {
		w.partition = orDefault(update.Partition, 0)
		unavailable = max(unavailable, scaled(update.MaxUnavailable, w.replicas, true))
	}
	w.available = max(w.replicas-unavailable, 0)
	return w
}

func fromDaemonSet(d *appsv1.DaemonSet) workload {
	return workload{
		replicas: int(d.Status.DesiredNumberScheduled),
		onDelete: d.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType,
		inPlace:  true,
		template: d.Spec.Template.Labels,
	}
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

// status judges, by kubectl's rules, whether the last change to a workload has
// been rolled out, with a sentence about it either way. An error means that it
// will not be without help (a Deployment's progress deadline has passed).
func status(object *unstructured.Unstructured) (message string, done bool, err error) {
	viewer, err := polymorphichelpers.StatusViewerFor(object.GroupVersionKind().GroupKind())
	if err != nil {
		return "", false, err
	}
	message, done, err = viewer.Status(object, 0)
	if err != nil || !done {
		return oneLine(message), false, err
	}
	if waiting := unavailable(object); waiting > 0 {
		return fmt.Sprintf("waiting for %d Pods to be available for minReadySeconds", waiting), false, nil
	}
	return oneLine(message), true, nil
}

// unavailable numbers the Pods of a StatefulSet that are ready, but have not
// been for minReadySeconds: kubectl does not look at those.
func unavailable(object *unstructured.Unstructured) int64 {
	if object.GetKind() != "StatefulSet" {
		return 0
	}
	wanted, _, _ := unstructured.NestedInt64(object.Object, "spec", "replicas")
	available, _, _ := unstructured.NestedInt64(object.Object, "status", "availableReplicas")
	return wanted - available
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
