package rollout

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// notice is a Kubernetes Event that a rollout leaves on a workload.
type notice struct{ kind, reason, action string }

var (
	eventStarted   = notice{corev1.EventTypeNormal, "SidecarRolloutStarted", "Started"}
	eventSucceeded = notice{corev1.EventTypeNormal, "SidecarRolloutSucceeded", "Succeeded"}
	eventFailed    = notice{corev1.EventTypeWarning, "SidecarRolloutFailed", "Failed"}
)

// eventTimeout bounds what is only for information.
const eventTimeout = 5 * time.Second

// record writes an Event on the workload. Events are for information: where one
// cannot be written, the rollout goes on without.
func (c *cluster) record(ctx context.Context, workload *unstructured.Unstructured, e notice, note string) {
	ctx, cancel := context.WithTimeout(ctx, eventTimeout)
	defer cancel()
	now := metav1.NowMicro()
	_, err := c.objects.CoreV1().Events(workload.GetNamespace()).Create(ctx, &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Name:      fmt.Sprintf("%.200s.%x", workload.GetName(), now.UnixNano()),
			Namespace: workload.GetNamespace(),
		},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: workload.GetAPIVersion(), Kind: workload.GetKind(),
			Namespace: workload.GetNamespace(), Name: workload.GetName(),
			UID: workload.GetUID(), ResourceVersion: workload.GetResourceVersion(),
		},
		Type: e.kind, Reason: e.reason, Action: e.action, Message: sentence(note, longestReason),
		EventTime: now, FirstTimestamp: metav1.NewTime(now.Time), LastTimestamp: metav1.NewTime(now.Time), Count: 1,
		Source:              corev1.EventSource{Component: DefaultFieldManager},
		ReportingController: "sidecar-drift.io/rollout", ReportingInstance: c.holder,
	}, metav1.CreateOptions{})
	if err != nil {
		c.log.V(1).Info("An Event could not be written", "kind", workload.GetKind(), "namespace", workload.GetNamespace(),
			"workload", workload.GetName(), "reason", e.reason, "error", err.Error())
	}
}
