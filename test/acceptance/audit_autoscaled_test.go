package acceptance

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/injector"
)

// A VerticalPodAutoscaler sizes each Pod anew: such differences are reported,
// and never rolled out, as that would go on for ever.
func TestAuditOfAutoscaledPods(t *testing.T) {
	c := fenced(t)
	proxy := startInjector(t, c, "proxy", "proxy:1")
	size := 0
	// As VPA's admission controller patches Pods.
	proxy.setMore(func() []injector.Operation {
		size++
		return []injector.Operation{
			{Op: "add", Path: "/metadata/annotations", Value: map[string]string{"vpaUpdates": "Pod resources updated by web", "vpaObservedContainers": "app"}},
			{Op: "add", Path: "/spec/containers/0/resources", Value: corev1.ResourceRequirements{}},
			{Op: "add", Path: "/spec/containers/0/resources/requests", Value: map[string]string{"cpu": fmt.Sprintf("%dm", 100+size)}},
		}
	})
	namespace := injectedNamespace(t, c, 1)
	deployWeb(t, c, namespace, 2, "web")
	web := itemOf(t, auditNamespace(t, c, namespace, "Deployment/web InSync 2"), "Deployment", "web")
	if r := web.Revisions[0]; len(r.Autoscaled) == 0 || r.Autoscaled[0].Path != "resources.requests.cpu" || !strings.Contains(r.Reason, "--include-autoscaled") {
		t.Errorf("%+v, want the resources reported beside the verdict", r)
	}
	if r := rolloutCommand(t, c, 0, "-n", namespace, "--confirm"); len(r.Items) > 0 {
		t.Errorf("there is something to roll out: %+v", r.Items)
	}
	// Counted, they move with every question.
	checkReasons(t, "counted", rolloutCommand(t, c, 0, "-n", namespace, "--confirm", "--include-autoscaled"),
		map[string]string{"Deployment/web": "Unstable and never rolled out"})

	proxy.setImage("proxy:2")
	drifted := itemOf(t, auditNamespace(t, c, namespace, "Deployment/web Drifted 2"), "Deployment", "web")
	if diff := cmp.Diff([]string{`container/proxy image: "proxy:1" → "proxy:2"`}, changeLines(drifted.Revisions[0].Changes)); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	checkResults(t, rolloutCommand(t, c, 0, "-n", namespace, "--confirm"), map[string]report.Result{"Deployment/web": report.RolledOut})
	if after := itemOf(t, auditNamespace(t, c, namespace, "Deployment/web InSync 2"), "Deployment", "web"); after.State != verdict.InSync {
		t.Errorf("afterwards it is %s", after.State)
	}
}
