package rollout

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// unscheduled are what the scheduler says of nodes that do not take a Pod, and what that
// means to whoever rolls it out.
var unscheduled = []struct{ said, means string }{
	{"ReadWriteOncePod", "an old Pod uses its claim: one has to go first (strategy Recreate, --strategy evict)"},
	{"free ports", "other Pods have its port wherever it fits: one has to go first (maxUnavailable, --strategy evict), or add a node"},
	{"anti-affinity", "other Pods are wherever its anti-affinity lets it be: one has to go first (maxUnavailable, --strategy evict), or add a node"},
	{"Insufficient", "there is no room for it beside what runs: add a node, request less, or let one go first (maxUnavailable, --strategy evict)"},
	{"Too many pods", "there is no room for it beside what runs: add a node, or let one go first (maxUnavailable, --strategy evict)"},
}

// whyUnscheduled is what the scheduler says of a Pod, and what that means.
func whyUnscheduled(pod *corev1.Pod, c corev1.PodCondition) string {
	said := fmt.Sprintf("%s: %s", orElse(c.Reason, "not scheduled"), quote(c.Message))
	for _, of := range unscheduled {
		if !strings.Contains(c.Message, of.said) {
			continue
		}
		said += "; " + of.means
		if policy := pod.Spec.PreemptionPolicy; policy != nil && *policy == corev1.PreemptNever {
			said += fmt.Sprintf("; its PriorityClass %s takes no room from others (preemptionPolicy: Never)", pod.Spec.PriorityClassName)
		}
		break
	}
	return said
}

// preemptedOf says which of a workload's Pods, old or new, had to go for others; empty if
// none that is still there had to.
func preemptedOf(pods []corev1.Pod) string {
	var first string
	count := 0
	for i := range pods {
		for _, c := range pods[i].Status.Conditions {
			if c.Type != corev1.DisruptionTarget || c.Status != corev1.ConditionTrue || c.Reason != corev1.PodReasonPreemptionByScheduler {
				continue
			}
			if count++; first == "" {
				first = fmt.Sprintf("Pod %s: %s", pods[i].Name, quote(c.Message))
			}
		}
	}
	if count == 0 {
		return ""
	}
	return fmt.Sprintf("%d of its Pods were preempted: Pods of a higher priority took their room (%s): add a node, or give it a PriorityClass that they do not outrank", count, first)
}
