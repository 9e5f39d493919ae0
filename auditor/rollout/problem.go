package rollout

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// problemOf says what keeps the new Pods of a workload from becoming ready: the
// first such Pod with its container and reason, and how many there are. It is
// empty if all are ready, and none where there is no new Pod at all.
func problemOf(pods []corev1.Pod, fresh func(*corev1.Pod) bool, none string) string {
	var first string
	var count, troubled int
	for i := range pods {
		pod := &pods[i]
		if !fresh(pod) || pod.DeletionTimestamp != nil {
			continue
		}
		count++
		if why := whyNotReady(pod); why != "" {
			troubled++
			if first == "" {
				first = fmt.Sprintf("Pod %s: %s", pod.Name, why)
			}
		}
	}
	switch {
	case count == 0:
		return none
	case troubled > 1:
		return fmt.Sprintf("%s (and %d more Pods)", first, troubled-1)
	}
	return first
}

// refusalOf is why a Deployment's or a ReplicaSet's controller cannot create Pods, such as a
// quota; empty where it can, and of the other kinds, which say it in Events alone.
func refusalOf(object *unstructured.Unstructured) string {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, c := range conditions {
		condition, ok := c.(map[string]any)
		if !ok || condition["type"] != string(appsv1.DeploymentReplicaFailure) || condition["status"] != string(corev1.ConditionTrue) {
			continue
		}
		message, _ := condition["message"].(string)
		return orElse(quote(message), "for no reason that is given")
	}
	return ""
}

// downOf names the first of the new Pods of which a container does not run, and why; empty
// if all do, or are about to.
func downOf(pods []corev1.Pod, fresh func(*corev1.Pod) bool) string {
	for i := range pods {
		if why := containerDown(&pods[i]); why != "" && fresh(&pods[i]) {
			return fmt.Sprintf("Pod %s: %s", pods[i].Name, why)
		}
	}
	return ""
}

// whyNotReady is empty for a Pod that is ready.
func whyNotReady(pod *corev1.Pod) string {
	conditions := map[corev1.PodConditionType]corev1.PodCondition{}
	for _, c := range pod.Status.Conditions {
		conditions[c.Type] = c
	}
	if conditions[corev1.PodReady].Status == corev1.ConditionTrue {
		return ""
	}
	if c := conditions[corev1.PodScheduled]; c.Status == corev1.ConditionFalse {
		return whyUnscheduled(pod, c)
	}
	if why := containerDown(pod); why != "" {
		return why
	}
	for _, s := range statusesOf(pod) {
		if s.State.Running != nil && !s.Ready {
			return fmt.Sprintf("container %s runs but is not ready", s.Name)
		}
	}
	if pod.Status.Reason != "" {
		return strings.TrimSuffix(fmt.Sprintf("%s: %s", quote(pod.Status.Reason), quote(pod.Status.Message)), ": ")
	}
	return fmt.Sprintf("not ready, in phase %s", pod.Status.Phase)
}

func statusesOf(pod *corev1.Pod) []corev1.ContainerStatus {
	return slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses)
}

// containerDown names the first container that does not run, and why; empty without one.
func containerDown(pod *corev1.Pod) string {
	for _, s := range statusesOf(pod) {
		if why := whyDown(s); why != "" {
			return fmt.Sprintf("container %s %s", s.Name, why)
		}
	}
	return ""
}

// whyDown says why a container does not run; empty if it does, has done its
// work, or is only about to start.
func whyDown(s corev1.ContainerStatus) string {
	if w := s.State.Waiting; w != nil && w.Reason != "" && w.Reason != "ContainerCreating" && w.Reason != "PodInitializing" {
		why := "is waiting: " + w.Reason
		if w.Message != "" {
			why += ": " + quote(w.Message)
		}
		if last := s.LastTerminationState.Terminated; last != nil {
			why += "; " + ended(last)
		}
		return why
	}
	if t := s.State.Terminated; t != nil && t.ExitCode != 0 {
		return ended(t)
	}
	return ""
}

func ended(t *corev1.ContainerStateTerminated) string {
	text := fmt.Sprintf("ended with exit code %d", t.ExitCode)
	if t.Reason != "" {
		text += " (" + t.Reason + ")"
	}
	if t.Message != "" {
		text += ": " + quote(t.Message)
	}
	return text
}

// quote is a message of others' within a sentence.
func quote(message string) string { return sentence(message, longestQuote) }
