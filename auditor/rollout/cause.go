package rollout

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// causeOf is that of a result, given what is known of a failure beyond it; none of one that
// is no failure. One that took too long is Interrupted, having begun.
func causeOf(result report.Result, known report.Cause) report.Cause {
	switch result {
	case report.NotConverging:
		return report.CauseNotConverging
	case report.Reverted:
		return report.CauseReverted
	case report.Failed:
		return orElse(known, report.CauseOther)
	case report.Interrupted:
		return known
	}
	return ""
}

// causeOfRefusal is why a controller cannot create Pods.
func causeOfRefusal(message string) report.Cause {
	if strings.Contains(message, "exceeded quota") {
		return report.CauseQuota
	}
	return report.CauseRefused
}

// causeOfPods is what keeps the new Pods of a workload from becoming ready, by the first
// that is not; empty if all are, or there is none. What a container ended with, or waits for
// between two attempts, is one cause, since it changes all the time.
func causeOfPods(pods []corev1.Pod, fresh func(*corev1.Pod) bool, sidecars []string) report.Cause {
	at := slices.IndexFunc(pods, func(p corev1.Pod) bool {
		return fresh(&p) && p.DeletionTimestamp == nil && whyNotReady(&p) != ""
	})
	if at < 0 {
		return ""
	}
	pod := &pods[at]
	if slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse
	}) {
		return report.CauseNoRoom
	}
	for _, s := range statusesOf(pod) {
		if whyDown(s) != "" {
			return ofContainer(slices.Contains(sidecars, s.Name), s)
		}
	}
	for _, s := range statusesOf(pod) {
		if s.State.Running != nil && !s.Ready {
			return ofContainer(slices.Contains(sidecars, s.Name), s)
		}
	}
	return report.CauseOther
}

func ofContainer(injected bool, s corev1.ContainerStatus) report.Cause {
	image, crash, notReady := report.CauseAppImage, report.CauseAppCrash, report.CauseAppNotReady
	if injected {
		image, crash, notReady = report.CauseSidecarImage, report.CauseSidecarCrash, report.CauseSidecarNotReady
	}
	switch {
	case s.State.Running != nil:
		return notReady
	case s.State.Waiting != nil && strings.Contains(s.State.Waiting.Reason, "Image"):
		return image
	}
	return crash
}
