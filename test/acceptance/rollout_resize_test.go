package acceptance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/kubelet"
)

// resizesPods gives the rollout identity the right to resize, and has kubelets of the
// namespace's Pods.
func resizesPods(t *testing.T, c *cluster.Cluster, namespace string) *kubelet.Resizer {
	t.Helper()
	rights, err := os.ReadFile("../../manifests/components/resize/rbac.yaml")
	if err != nil {
		t.Fatal(err)
	}
	clusterWide(t, c, string(rights))
	r := kubelet.NewResizer(c.Client(), namespace)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r
}

// awaitReported waits until all Pods say what their containers have.
func awaitReported(t *testing.T, c *cluster.Cluster, namespace string) {
	t.Helper()
	err := cluster.Poll(t.Context(), "the kubelets", func(context.Context) error {
		for _, pod := range podsOf(t, c, namespace, "") {
			for _, status := range append(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses...) {
				if status.Resources == nil {
					return fmt.Errorf("Pod %s does not say what %s has", pod.Name, status.Name)
				}
			}
			if len(pod.Status.ContainerStatuses) == 0 {
				return errors.New("a Pod does not run")
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// proxyWith injects a regular container and a native sidecar with these fields.
func proxyWith(regular, native string) injector.Answer {
	object := func(fields string) (parsed map[string]any) {
		if err := json.Unmarshal([]byte(`{"image":"proxy:1",`+fields+`}`), &parsed); err != nil {
			panic(fmt.Sprintf("%s: %v", fields, err)) // a mistake in the test
		}
		return parsed
	}
	return func(injector.Request) []injector.Operation {
		proxy, sidecar := object(regular), object(native)
		proxy["name"], sidecar["name"], sidecar["restartPolicy"] = "proxy", "native", "Always"
		return []injector.Operation{
			{Op: "add", Path: "/spec/initContainers", Value: []any{sidecar}},
			injector.AddContainer(proxy),
		}
	}
}

func sized(cpu, memory string) string {
	return fmt.Sprintf(`"resources":{"requests":{"cpu":%q,"memory":"64Mi"},"limits":{"memory":%q}}`, cpu, memory)
}

// Where CPU and memory of a regular container and a native sidecar are all that differs,
// Pods are resized: none goes, nothing is restarted, and the next audit finds nothing.
func TestRolloutResizes(t *testing.T) {
	c := fenced(t)
	proxy := startInjector(t, c, "proxy", "proxy:1")
	namespace := injectedNamespace(t, c, 1)
	proxy.Inject(proxyWith(sized("100m", "128Mi"), sized("50m", "128Mi")))
	resizesPods(t, c, namespace)
	deployWeb(t, c, namespace, 3, "web", "app")
	awaitReported(t, c, namespace)
	before, templates := podUIDs(t, c, namespace, "app=web", "app=app"), specs(t, c, namespace)

	proxy.Inject(proxyWith(sized("200m", "256Mi"), sized("60m", "128Mi")))
	for strategy, only := range map[string]string{"auto": "Deployment/web", "resize": "Deployment/app"} {
		r := rolloutCommand(t, c, 0, "-n", namespace, only, "--strategy", strategy)
		if got := r.Items[0].Rollout; got.Result != report.Planned || got.Strategy != "resize" {
			t.Errorf("%s, planned: %+v", strategy, got)
		}
		r = rolloutCommand(t, c, 0, "-n", namespace, only, "--strategy", strategy, "--confirm")
		checkResults(t, r, map[string]report.Result{only: report.Resized})
		if got := r.Items[0].Rollout; got.Strategy != "resize" {
			t.Errorf("%s: %+v", strategy, got)
		}
	}
	for _, label := range []string{"app=web", "app=app"} {
		for _, pod := range podsOf(t, c, namespace, label) {
			if !before[label][pod.UID] {
				t.Errorf("Pod %s was replaced", pod.Name)
			}
			if got := pod.Status.ContainerStatuses[1].Resources.Requests.Cpu().String(); got != "200m" {
				t.Errorf("Pod %s has %s of CPU", pod.Name, got)
			}
			for _, status := range pod.Status.ContainerStatuses {
				if status.RestartCount > 0 {
					t.Errorf("Pod %s: %s was restarted", pod.Name, status.Name)
				}
			}
		}
	}
	if got := specs(t, c, namespace); got != templates {
		t.Errorf("specs of workloads changed:\n%s\n%s", templates, got)
	}
	auditNamespace(t, c, namespace, "Deployment/web InSync 3", "Deployment/app InSync 3")

	// What a rollout has resized is no edit of somebody's: it drifts again, and is resized again.
	proxy.Inject(proxyWith(sized("150m", "256Mi"), sized("60m", "128Mi")))
	auditNamespace(t, c, namespace, "Deployment/web Drifted 3", "Deployment/app Drifted 3")
	r := rolloutCommand(t, c, 0, "-n", namespace, "--strategy", "auto", "--confirm")
	checkResults(t, r, map[string]report.Result{"Deployment/web": report.Resized, "Deployment/app": report.Resized})
}

// specs are those of the Deployments.
func specs(t *testing.T, c *cluster.Cluster, namespace string) string {
	t.Helper()
	out, err := c.Kubectl(t.Context(), "", "-n", namespace, "get", "deployments", "-o", `jsonpath={range .items[*]}{.metadata.name} {.spec}{"\n"}{end}`)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Istio gives its init container what the proxy has: that is spent, stays, and is nothing
// that anything is restarted for.
func TestRolloutResizesIstio(t *testing.T) {
	c, injector := fenced(t), testIstio(t)
	namespace := namespaceWith(t, c, injected)
	resizesPods(t, c, namespace)
	deployWeb(t, c, namespace, 2, "web")
	awaitReported(t, c, namespace)
	before := podUIDs(t, c, namespace, "app=web")
	if err := injector.Update(t.Context(), istio.Values("1.27.0", "150m")...); err != nil {
		t.Fatal(err)
	}
	r := rolloutCommand(t, c, 0, "-n", namespace, "--strategy", "auto", "--confirm")
	checkResults(t, r, map[string]report.Result{"Deployment/web": report.Resized})
	if reason := r.Items[0].Rollout.Reason; !strings.Contains(reason, "what is spent stays as it is: initContainer/istio-init resources.requests.cpu") {
		t.Errorf("reason %q", reason)
	}
	auditNamespace(t, c, namespace, "Deployment/web Drifted 2")
	checkReasons(t, "again", rolloutCommand(t, c, 0, "-n", namespace, "--confirm"), map[string]string{"Deployment/web": "--include-spent"})
	if got := podUIDs(t, c, namespace, "app=web"); fmt.Sprint(got) != fmt.Sprint(before) {
		t.Errorf("Pods were replaced: %v, were %v", got, before)
	}
	r = rolloutCommand(t, c, 0, "-n", namespace, "--include-spent", "--confirm")
	checkResults(t, r, map[string]report.Result{"Deployment/web": report.RolledOut})
	auditNamespace(t, c, namespace, "Deployment/web InSync 2")
}

// What a kubelet has no room for is re-created where the strategy may be chosen, and told,
// with the Pod as it was, where it was given.
func TestRolloutResizeWithoutRoom(t *testing.T) {
	c := fenced(t)
	proxy := startInjector(t, c, "proxy", "proxy:1")
	namespace := injectedNamespace(t, c, 1)
	proxy.Inject(proxyWith(sized("100m", "128Mi"), sized("50m", "128Mi")))
	kubelets := resizesPods(t, c, namespace)
	deployWeb(t, c, namespace, 2, "web")
	awaitReported(t, c, namespace)
	first := podUIDs(t, c, namespace, "app=web")["app=web"]
	proxy.Inject(proxyWith(sized("200m", "128Mi"), sized("50m", "128Mi")))
	answers := func(answer kubelet.Answer) {
		kubelets.Answer(func(pod *corev1.Pod) kubelet.Answer {
			if pod.Spec.Containers[1].Resources.Requests.Cpu().String() == "200m" {
				return answer
			}
			return kubelet.Acknowledges // what it had before
		})
	}
	for answer, more := range map[kubelet.Answer][]string{kubelet.Refuses: nil, kubelet.Defers: {"--timeout", "3s"}} {
		answers(answer)
		r := rolloutCommand(t, c, 1, append([]string{"-n", namespace, "--strategy", "resize", "--confirm"}, more...)...)
		checkResults(t, r, map[string]report.Result{"Deployment/web": report.Failed})
		reason := r.Items[0].Rollout.Reason
		for _, want := range []string{"PodResizePending " + string(answer), "Node didn't have enough resource: cpu", "has again what it had", "--strategy auto"} {
			if !strings.Contains(reason, want) {
				t.Errorf("%s: reason %q, want %q in it", answer, reason, want)
			}
		}
		auditNamespace(t, c, namespace, "Deployment/web Drifted 2")
	}
	for _, answer := range []kubelet.Answer{kubelet.Defers, kubelet.Refuses} {
		answers(answer)
		r := rolloutCommand(t, c, 0, "-n", namespace, "--strategy", "auto", "--confirm", "--all")
		checkResults(t, r, map[string]report.Result{"Deployment/web": report.RolledOut})
		if got := r.Items[0].Rollout.Strategy; answer == kubelet.Defers && got != "restart" {
			t.Errorf("%s: by %s", answer, got)
		}
		auditNamespace(t, c, namespace, "Deployment/web InSync 2")
	}
	for uid := range podUIDs(t, c, namespace, "app=web")["app=web"] {
		if first[uid] {
			t.Errorf("Pod %s was not replaced", uid)
		}
	}
}

// What is no resize is left alone by that strategy, with why, and re-created by auto.
func TestRolloutThatCannotResize(t *testing.T) {
	c := fenced(t)
	proxy := startInjector(t, c, "proxy", "proxy:1")
	namespace := injectedNamespace(t, c, 1)
	resizesPods(t, c, namespace)
	small := sized("100m", "128Mi")
	equal := `"resources":{"limits":{"cpu":"100m","memory":"64Mi"},"requests":{"cpu":"100m","memory":"64Mi"}}`
	for name, test := range map[string]struct{ before, then, reason string }{
		"image":      {small, strings.Replace(sized("200m", "128Mi"), `"resources"`, `"args":["x"],"resources"`, 1), "differs in more than CPU and memory of injected containers (container/proxy args"},
		"restarts":   {small + `,"resizePolicy":[{"resourceName":"memory","restartPolicy":"RestartContainer"}]`, sized("100m", "256Mi") + `,"resizePolicy":[{"resourceName":"memory","restartPolicy":"RestartContainer"}]`, "container/proxy would be restarted by that (its resizePolicy for memory is RestartContainer)"},
		"goes":       {small, `"resources":{"requests":{"cpu":"100m","memory":"64Mi"}}`, "would go, which no API server allows in place"},
		"guaranteed": {equal, strings.Replace(equal, `"limits":{"cpu":"100m"`, `"limits":{"cpu":"200m"`, 1), "would become Burstable, and is Guaranteed (its QoS class)"},
	} {
		native := small
		if name == "guaranteed" {
			native = equal
		}
		proxy.Inject(proxyWith(test.before, native))
		apply(t, c, namespace, fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec: {containers: [{name: app, image: "app:1", resources: {limits: {cpu: 100m, memory: 64Mi}}}]}
`, name))
		rolledOut(t, c, namespace, "deployment/"+name)
		awaitReported(t, c, namespace)
		proxy.Inject(proxyWith(test.then, native))
		r := rolloutCommand(t, c, 0, "-n", namespace, "Deployment/"+name, "--strategy", "resize", "--confirm")
		checkReasons(t, name, r, map[string]string{"Deployment/" + name: test.reason})
		r = rolloutCommand(t, c, 0, "-n", namespace, "Deployment/"+name, "--strategy", "auto", "--confirm")
		checkResults(t, r, map[string]report.Result{"Deployment/" + name: report.RolledOut})
	}
}

// Without the right nothing is resized, and auto restarts as before.
func TestRolloutWithoutTheRightToResize(t *testing.T) {
	c := fenced(t)
	proxy := startInjector(t, c, "proxy", "proxy:1")
	namespace := injectedNamespace(t, c, 1)
	proxy.Inject(proxyWith(sized("100m", "128Mi"), sized("50m", "128Mi")))
	deployWeb(t, c, namespace, 1, "web")
	proxy.Inject(proxyWith(sized("200m", "128Mi"), sized("50m", "128Mi")))
	r := rolloutCommand(t, c, 0, "-n", namespace, "--strategy", "resize", "--confirm")
	checkReasons(t, "resize", r, map[string]string{"Deployment/web": "you may not patch pods/resize in namespace " + namespace})
	r = rolloutCommand(t, c, 0, "-n", namespace, "--strategy", "auto", "--confirm")
	checkResults(t, r, map[string]report.Result{"Deployment/web": report.RolledOut})
}
