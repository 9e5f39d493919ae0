package rollout

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

const room = "room"

// unscheduled are what the scheduler says of nodes that do not take a Pod, what the Pod lacks
// there, and what that means to whoever rolls it out where it is so of all.
var unscheduled = []struct{ said, lacks, means string }{
	{"ReadWriteOncePod", "its claim", "an old Pod uses its claim: one has to go first (strategy Recreate, --strategy evict)"},
	{"free ports", "a free port", "other Pods have its port wherever it fits: one has to go first (maxUnavailable, --strategy evict), or add a node"},
	{"anti-affinity", "what its anti-affinity allows", "other Pods are wherever its anti-affinity lets it be: one has to go first (maxUnavailable, --strategy evict), or add a node"},
	{"Insufficient", room, "there is no room for it beside what runs: add a node, request less, or let one go first (maxUnavailable, --strategy evict)"},
	{"Too many pods", room, "there is no room for it beside what runs: add a node, or let one go first (maxUnavailable, --strategy evict)"},
}

// whyUnscheduled is what the scheduler says of a Pod, and what that means.
func whyUnscheduled(pod *corev1.Pod, c corev1.PodCondition) string {
	said := fmt.Sprintf("%s: %s", orElse(c.Reason, "not scheduled"), quote(c.Message))
	means := meansOf(c.Message)
	if means == "" {
		return said
	}
	said += "; " + means
	if policy := pod.Spec.PreemptionPolicy; policy != nil && *policy == corev1.PreemptNever {
		said += fmt.Sprintf("; its PriorityClass %s takes no room from others (preemptionPolicy: Never)", pod.Spec.PriorityClassName)
	}
	return said
}

// meansOf is what that means if nodes that could take the Pod lack the same, and what they lack
// if not; empty if nothing is known of it.
func meansOf(message string) string {
	var lacks []string
	means, others := "", false
	for _, reason := range reasonsOf(message) {
		i := slices.IndexFunc(unscheduled, func(of struct{ said, lacks, means string }) bool { return strings.Contains(reason, of.said) })
		switch {
		case i < 0:
			others = true
		case !slices.Contains(lacks, unscheduled[i].lacks):
			lacks = append(lacks, unscheduled[i].lacks)
			means = orElse(means, unscheduled[i].means)
		}
	}
	switch {
	case len(lacks) == 0, len(lacks) == 1 && !others:
		return means
	case others:
		lacks = append(lacks, "and other things")
	}
	return fmt.Sprintf("no node has all that it needs (lacking: %s): add a node, or let one go first (maxUnavailable, --strategy evict)", strings.Join(lacks, ", "))
}

// notMeant are what the scheduler says of nodes that are not meant for a Pod, whatever runs there.
var notMeant = []string{"node affinity", "node selector", "taint", "didn't tolerate", "were unschedulable", "requested node name"}

// reasonsOf are what the scheduler says of the nodes that are meant for a Pod. What comes after
// the first sentence is of preemption.
func reasonsOf(message string) []string {
	if _, of, found := strings.Cut(message, "nodes are available: "); found {
		message = of
	}
	message, _, _ = strings.Cut(message, ". ")
	var reasons []string
	for reason := range strings.SplitSeq(message, ", ") {
		if !slices.ContainsFunc(notMeant, func(said string) bool { return strings.Contains(reason, said) }) {
			reasons = append(reasons, reason)
		}
	}
	return reasons
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
