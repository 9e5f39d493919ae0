package rollout

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// What the scheduler says is kept, with what it means; who takes room from whom is named.
func TestWhyUnscheduled(t *testing.T) {
	for said, want := range map[string]string{
		"0/3 nodes are available: 3 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never.":                                           "there is no room for it beside what runs: add a node, request less",
		"0/1 nodes are available: 1 Too many pods.":                                                                                                      "there is no room",
		"0/2 nodes are available: 2 node(s) didn't have free ports for the requested pod ports.":                                                         "other Pods have its port",
		"0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules.":                                                                       "other Pods are wherever its anti-affinity lets it be",
		"0/2 nodes are available: 2 node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode.":                       "an old Pod uses its claim",
		"0/100 nodes are available: 1 node(s) didn't have free ports for the requested pod ports, 99 Insufficient cpu.":                                  "no node has all that it needs (lacking: a free port, room): add a node, or",
		"0/3 nodes are available: 1 node(s) didn't match pod anti-affinity rules, 2 node(s) didn't match pod topology spread constraints.":               "no node has all that it needs (lacking: what its anti-affinity allows, and other things)",
		"0/3 nodes are available: 1 Insufficient cpu, 1 Too many pods, 2 Insufficient memory.":                                                           "there is no room for it beside what runs: add a node, request less",
		"0/3 nodes are available: 1 node(s) had untolerated taint {a: b}, 2 node(s) didn't have free ports for the requested pod ports.":                 "other Pods have its port",
		"0/3 nodes are available: 1 node(s) were unschedulable, 1 node(s) had taint {a: b}, that the pod didn't tolerate, 1 Insufficient cpu.":           "there is no room",
		"0/3 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 2 Insufficient cpu. no new claims to deallocate, preemption: 0/3": "there is no room",
		"0/3 nodes are available: 3 node(s) had untolerated taint(s). preemption: 0/3 nodes are available: 3 Insufficient cpu":                           "",
		"0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector. preemption: 0/2 nodes are available: 2 Preemption is not helpful": "",
	} {
		pod := &corev1.Pod{Spec: corev1.PodSpec{PriorityClassName: "low", PreemptionPolicy: new(corev1.PreemptNever)}}
		got := whyUnscheduled(pod, corev1.PodCondition{Reason: "Unschedulable", Message: said})
		_, means, _ := strings.Cut(got, said+"; ")
		if !strings.HasPrefix(got, "Unschedulable: "+said) || !strings.HasPrefix(means, want) || (means == "") != (want == "") {
			t.Errorf("%q, want %q", got, want)
		}
		if strings.Contains(got, "its PriorityClass low takes no room from others") != (want != "") {
			t.Errorf("%q, of a class that never preempts", got)
		}
	}
}

func TestPreemptedOf(t *testing.T) {
	pod := func(name, reason string, status corev1.ConditionStatus) corev1.Pod {
		return newPod(name, func(p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: status, Reason: reason, Message: "default-scheduler: preempting to accommodate a higher priority pod"}}
		})
	}
	const preempted = corev1.PodReasonPreemptionByScheduler
	if got := preemptedOf([]corev1.Pod{pod("a", "EvictionByEvictionAPI", corev1.ConditionTrue), pod("b", preempted, corev1.ConditionFalse)}); got != "" {
		t.Errorf("none was preempted: %q", got)
	}
	got := preemptedOf([]corev1.Pod{pod("a", preempted, corev1.ConditionTrue), pod("b", preempted, corev1.ConditionTrue)})
	for _, want := range []string{"2 of its Pods were preempted", "Pod a: default-scheduler: preempting", "PriorityClass"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q, want %q in it", got, want)
		}
	}
}
