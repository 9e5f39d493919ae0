package kubelet

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// Answer is what a kubelet makes of a resize.
type Answer string

// Answers; the empty one gives containers what they are to have.
const (
	Acknowledges Answer = ""
	Defers       Answer = corev1.PodReasonDeferred
	Refuses      Answer = corev1.PodReasonInfeasible
)

// Resizer plays the part of the kubelets of one namespace's Pods in resizes, which kwok
// leaves out: it says what each container has, and what becomes of a resize.
// https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-resize
type Resizer struct {
	client    kubernetes.Interface
	namespace string

	mu     sync.Mutex
	answer func(pod *corev1.Pod) Answer
}

// NewResizer returns one that acknowledges every resize.
func NewResizer(client kubernetes.Interface, namespace string) *Resizer {
	return &Resizer{client: client, namespace: namespace, answer: func(*corev1.Pod) Answer { return Acknowledges }}
}

// Answer has resizes answered so from now on.
func (r *Resizer) Answer(answer func(pod *corev1.Pod) Answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

// look is how often the Pods are looked at.
const look = 100 * time.Millisecond

// Run works until the context ends.
func (r *Resizer) Run(ctx context.Context) error {
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		pods, err := r.client.CoreV1().Pods(r.namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		for i := range pods.Items {
			if err := r.report(ctx, &pods.Items[i]); err != nil && ctx.Err() == nil && !passes(err) {
				return err
			}
		}
	}
}

// passes reports whether the next look tells more: the Pod has changed meanwhile.
func passes(err error) bool {
	return apierrors.IsNotFound(err) || apierrors.IsConflict(err) || errors.Is(err, context.Canceled)
}

// report writes a Pod's status, where it is to be another one.
func (r *Resizer) report(ctx context.Context, pod *corev1.Pod) error {
	if pod.Status.Phase != corev1.PodRunning || pod.DeletionTimestamp != nil {
		return nil
	}
	status := pod.Status.DeepCopy()
	unseen := status.ObservedGeneration == 0 || !reported(pod)
	r.mu.Lock()
	answer := r.answer
	r.mu.Unlock()
	said := Acknowledges
	if !unseen && differs(pod) {
		said = answer(pod)
	}
	var conditions []corev1.PodCondition
	for _, c := range status.Conditions {
		if c.Type != corev1.PodResizePending {
			conditions = append(conditions, c)
		}
	}
	if said == Acknowledges {
		give(status.ContainerStatuses, pod.Spec.Containers)
		give(status.InitContainerStatuses, pod.Spec.InitContainers)
	} else {
		conditions = append(conditions, corev1.PodCondition{
			Type: corev1.PodResizePending, Status: corev1.ConditionTrue, Reason: string(said), Message: "Node didn't have enough resource: cpu",
			ObservedGeneration: pod.Generation,
		})
	}
	status.Conditions, status.ObservedGeneration = conditions, pod.Generation
	if equality.Semantic.DeepEqual(*status, pod.Status) {
		return nil
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": pod.UID, "resourceVersion": pod.ResourceVersion},
		"status": map[string]any{
			"conditions": status.Conditions, "observedGeneration": status.ObservedGeneration,
			"containerStatuses": status.ContainerStatuses, "initContainerStatuses": status.InitContainerStatuses,
		},
	})
	if err != nil {
		return err
	}
	_, err = r.client.CoreV1().Pods(r.namespace).Patch(ctx, pod.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "kubelet"}, "status")
	return err
}

// reported reports whether it was said before what each container has.
func reported(pod *corev1.Pod) bool {
	for _, s := range pod.Status.ContainerStatuses {
		if s.Resources == nil {
			return false
		}
	}
	return true
}

// differs reports whether a container is to have something else than it has.
func differs(pod *corev1.Pod) bool {
	status := pod.Status.DeepCopy()
	give(status.ContainerStatuses, pod.Spec.Containers)
	give(status.InitContainerStatuses, pod.Spec.InitContainers)
	return !equality.Semantic.DeepEqual(status, &pod.Status)
}

// give has containers have what they are to have.
func give(statuses []corev1.ContainerStatus, containers []corev1.Container) {
	for i := range statuses {
		for _, c := range containers {
			if c.Name == statuses[i].Name {
				statuses[i].Resources = c.Resources.DeepCopy()
			}
		}
	}
}
