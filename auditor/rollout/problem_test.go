package rollout

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	markKey   = "sidecarRollout.rollout.timestamp"
	markValue = "2026-01-02T15:04:05Z"
)

// newPod is a Pod of the restart.
func newPod(name string, change func(*corev1.Pod)) corev1.Pod {
	pod := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{markKey: markValue}},
		Status:     corev1.PodStatus{Phase: corev1.PodPending},
	}
	change(&pod)
	return pod
}

func container(name string, state corev1.ContainerState) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: name, State: state}
}

func TestTroubleOf(t *testing.T) {
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	completed := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 0, Reason: "Completed"}}
	crashing := container("istio-proxy", corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
		Reason: "CrashLoopBackOff", Message: "back-off 10s\nrestarting",
	}})
	crashing.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", Message: "unknown flag"}
	ready := func(p *corev1.Pod) {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	}
	crashLoop := func(p *corev1.Pod) {
		p.Status.InitContainerStatuses = []corev1.ContainerStatus{container("istio-init", completed)}
		p.Status.ContainerStatuses = []corev1.ContainerStatus{container("app", running), crashing}
	}
	crash := "container istio-proxy is waiting: CrashLoopBackOff: back-off 10s restarting; ended with exit code 1 (Error): unknown flag"

	for name, test := range map[string]struct {
		pods []corev1.Pod
		want string
	}{
		"no new Pod": {
			pods: []corev1.Pod{newPod("old", func(p *corev1.Pod) { p.Annotations = nil })},
			want: "none yet"},
		"all ready": {pods: []corev1.Pod{newPod("a", ready)}},
		"a crashing sidecar": {
			pods: []corev1.Pod{newPod("a", ready), newPod("b", crashLoop)},
			want: "Pod b: " + crash},
		"several": {
			pods: []corev1.Pod{newPod("a", crashLoop), newPod("b", crashLoop), newPod("c", crashLoop)},
			want: "Pod a: " + crash + " (and 2 more Pods)"},
		"unschedulable": {
			pods: []corev1.Pod{newPod("a", func(p *corev1.Pod) {
				p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/2 nodes are available: 2 Insufficient cpu."}}
			})},
			want: "Pod a: Unschedulable: 0/2 nodes are available: 2 Insufficient cpu.; there is no room for it beside what runs: add a node, request less, or let one go first (maxUnavailable, --strategy evict)"},
		"a failed init container": {
			pods: []corev1.Pod{newPod("a", func(p *corev1.Pod) {
				p.Status.InitContainerStatuses = []corev1.ContainerStatus{container("istio-init", corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 255}})}
				p.Status.ContainerStatuses = []corev1.ContainerStatus{container("app", corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "PodInitializing"}})}
			})},
			want: "Pod a: container istio-init ended with exit code 255"},
		"an app that is not ready": {
			pods: []corev1.Pod{newPod("a", func(p *corev1.Pod) {
				p.Status.ContainerStatuses = []corev1.ContainerStatus{container("app", running)}
			})},
			want: "Pod a: container app runs but is not ready"},
		"evicted": {
			pods: []corev1.Pod{newPod("a", func(p *corev1.Pod) { p.Status.Reason = "Evicted" })},
			want: "Pod a: Evicted"},
		"only just created": {
			pods: []corev1.Pod{newPod("a", func(*corev1.Pod) {})},
			want: "Pod a: not ready, in phase Pending"},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, problemOf(test.pods, func(p *corev1.Pod) bool {
				return p.Annotations[markKey] == markValue
			}, "none yet")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A quota that refuses the Pods of a rollout is named, in the controller's words.
func TestRefusalOf(t *testing.T) {
	condition := func(kind, status, message string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{"status": map[string]any{"conditions": []any{
			"no condition", map[string]any{"type": "Progressing", "status": "True", "message": "goes on"},
			map[string]any{"type": kind, "status": status, "message": message},
		}}}}
	}
	const quota = `pods "web-1" is forbidden: exceeded quota: small`
	for name, test := range map[string]struct {
		object *unstructured.Unstructured
		want   string
	}{
		"a quota":         {condition("ReplicaFailure", "True", quota), quota},
		"not any more":    {condition("ReplicaFailure", "False", quota), ""},
		"something else":  {condition("Available", "True", quota), ""},
		"without a word":  {condition("ReplicaFailure", "True", ""), "for no reason that is given"},
		"no status":       {&unstructured.Unstructured{Object: map[string]any{}}, ""},
		"a broken status": {&unstructured.Unstructured{Object: map[string]any{"status": "fine"}}, ""},
	} {
		if got := refusalOf(test.object); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
