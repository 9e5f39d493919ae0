package rollout

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// A crash is one cause, whatever it looks like at the moment, and a name is in none.
func TestCauseOfPods(t *testing.T) {
	container := func(name string, state corev1.ContainerState) corev1.Pod {
		return corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: name, State: state}}}}
	}
	waiting := func(reason string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}
	}
	ended := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}}
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	condition := func(of corev1.PodConditionType, status corev1.ConditionStatus) corev1.Pod {
		return corev1.Pod{Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: of, Status: status}}}}
	}
	going := container("proxy", ended)
	going.DeletionTimestamp = &metav1.Time{}
	old := container("proxy", ended)
	old.Name = "old"
	for name, test := range map[string]struct {
		pods []corev1.Pod
		want report.Cause
	}{
		"none":                      {nil, ""},
		"ready":                     {[]corev1.Pod{condition(corev1.PodReady, corev1.ConditionTrue)}, ""},
		"old or going":              {[]corev1.Pod{going, old}, ""},
		"a sidecar's crash":         {[]corev1.Pod{old, container("proxy", waiting("CrashLoopBackOff"))}, report.CauseSidecarCrash},
		"a sidecar's end":           {[]corev1.Pod{container("proxy", ended)}, report.CauseSidecarCrash},
		"a sidecar's image":         {[]corev1.Pod{container("proxy", waiting("ImagePullBackOff"))}, report.CauseSidecarImage},
		"its image at first":        {[]corev1.Pod{container("proxy", waiting("ErrImagePull"))}, report.CauseSidecarImage},
		"a sidecar's configuration": {[]corev1.Pod{container("proxy", waiting("CreateContainerConfigError"))}, report.CauseSidecarCrash},
		"a sidecar is not ready":    {[]corev1.Pod{container("proxy", running)}, report.CauseSidecarNotReady},
		"the app's crash":           {[]corev1.Pod{container("app", waiting("CrashLoopBackOff"))}, report.CauseAppCrash},
		"the app's image":           {[]corev1.Pod{container("app", waiting("InvalidImageName"))}, report.CauseAppImage},
		"the app is not ready":      {[]corev1.Pod{container("app", running)}, report.CauseAppNotReady},
		"no node":                   {[]corev1.Pod{condition(corev1.PodScheduled, corev1.ConditionFalse)}, report.CauseNoRoom},
		"not said":                  {[]corev1.Pod{{}}, report.CauseOther},
	} {
		if got := causeOfPods(test.pods, func(p *corev1.Pod) bool { return p.Name != "old" }, []string{"proxy"}); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

func TestCauseOf(t *testing.T) {
	for _, test := range []struct {
		result      report.Result
		known, want report.Cause
	}{
		{report.RolledOut, report.CauseQuota, ""},
		{report.Skipped, "", ""},
		{report.Failed, "", report.CauseOther},
		{report.Failed, causeOfRefusal(`pods "web-1" is forbidden: exceeded quota: q`), report.CauseQuota},
		{report.Failed, causeOfRefusal("admission webhook denied the request"), report.CauseRefused},
		{report.NotConverging, "", report.CauseNotConverging},
		{report.Reverted, report.CauseAppCrash, report.CauseReverted},
		{report.Interrupted, "", ""},
		{report.Interrupted, report.CauseTooLong, report.CauseTooLong},
	} {
		if got := causeOf(test.result, test.known); got != test.want {
			t.Errorf("%s, %q: %q, want %q", test.result, test.known, got, test.want)
		}
	}
}
