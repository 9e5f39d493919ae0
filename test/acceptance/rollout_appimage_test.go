package acceptance

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

// A policy resolves the app's image to another digest: that alone is no drift, and
// beside a sidecar's it is rolled out only when a person says that it is meant.
func TestRolloutThatWouldDeployTheApp(t *testing.T) {
	c := fenced(t)
	policy := startInjector(t, c, "policy", "none")
	image := func(digit string) string { return "app:1@sha256:" + strings.Repeat(digit, 64) }
	resolves := func(digit string) injector.Answer {
		return func(injector.Request) []injector.Operation {
			return []injector.Operation{{Op: "add", Path: "/spec/containers/0/image", Value: image(digit)}}
		}
	}
	policy.Inject(resolves("a"))
	proxy := startInjector(t, c, "proxy", "proxy:1")
	namespace := injectedNamespace(t, c, 1)
	deployWeb(t, c, namespace, 2, "web")
	before := versionsIn(t, c, namespace)

	policy.Inject(resolves("b"))
	if r := rolloutCommand(t, c, 0, "-n", namespace, "--confirm"); len(r.Items) > 0 || r.Summary.Pods[verdict.Mutated] != 2 {
		t.Errorf("the app's image alone: %+v, Pods %v", r.Items, r.Summary.Pods)
	}
	proxy.Inject(addsProxy("proxy:2"))
	r := rolloutCommand(t, c, 0, "-n", namespace, "--confirm")
	checkReasons(t, "beside a sidecar", r, map[string]string{"Deployment/web": "(app: " + image("a") + " → " + image("b") + "): where that is meant, --allow-app-image"})
	if got := versionsIn(t, c, namespace); got != before {
		t.Errorf("something has changed:\n%s\n%s", before, got)
	}
	r = rolloutCommand(t, c, 0, "-n", namespace, "--allow-app-image")
	if got := r.Items[0].Rollout; got.Result != report.Planned || !strings.Contains(got.Reason, "brings up another image of the app, too: app: ") {
		t.Errorf("allowed, planned: %+v", got)
	}
	r = rolloutCommand(t, c, 0, "-n", namespace, "--allow-app-image", "--confirm")
	checkResults(t, r, map[string]report.Result{"Deployment/web": report.RolledOut})
	for _, pod := range podsOf(t, c, namespace, "app=web") {
		if pod.Spec.Containers[0].Image != image("b") {
			t.Errorf("Pod %s runs %s", pod.Name, pod.Spec.Containers[0].Image)
		}
	}
}

// Variables alone are injection, and are rolled out where that is asked for.
func TestRolloutOfSidecarless(t *testing.T) {
	c := fenced(t)
	sdk := startInjector(t, c, "otel", "none")
	endpoint := func(value string) injector.Answer {
		return injector.Variables(corev1.EnvVar{Name: "OTEL_EXPORTER_OTLP_ENDPOINT", Value: value})
	}
	namespace := injectedNamespace(t, c, 1) // which its container tells
	sdk.Inject(endpoint("http://old:4317"))
	deployWeb(t, c, namespace, 2, "web")
	auditNamespace(t, c, namespace, "Deployment/web InSync 2")

	sdk.Inject(endpoint("http://new:4317"))
	r := rolloutCommand(t, c, 0, "-n", namespace, "--confirm")
	checkReasons(t, "unasked", r, map[string]string{"Deployment/web": "--include-sidecarless"})
	r = rolloutCommand(t, c, 0, "-n", namespace, "--confirm", "--include-sidecarless")
	checkResults(t, r, map[string]report.Result{"Deployment/web": report.RolledOut})
	for _, pod := range podsOf(t, c, namespace, "app=web") {
		if got := pod.Annotations["sidecarRollout.rollout.reason"]; got != "Update what is injected" {
			t.Errorf("Pod %s: reason %q", pod.Name, got)
		}
	}
	auditNamespace(t, c, namespace, "Deployment/web InSync 2")
}
