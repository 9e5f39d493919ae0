package acceptance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/kubelet"
)

// deploySets makes StatefulSets db, and waits, which changes no Pod by itself, and a
// DaemonSet agent.
func deploySets(t *testing.T, c *cluster.Cluster, namespace string) {
	t.Helper()
	const template = `{metadata: {labels: {app: %[1]s}}, spec: {containers: [{name: app, image: "app:1"}]}}`
	manifest := fmt.Sprintf(`
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: %[1]s}
spec: {replicas: 2, serviceName: %[1]s, podManagementPolicy: Parallel, selector: {matchLabels: {app: %[1]s}}, template: `+template+`}
---
`, "db")
	manifest += fmt.Sprintf(`
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: %[1]s}
spec: {replicas: 1, serviceName: %[1]s, updateStrategy: {type: OnDelete}, selector: {matchLabels: {app: %[1]s}}, template: `+template+`}
---
`, "waits")
	apply(t, c, namespace, manifest+fmt.Sprintf(`
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: %[1]s}
spec: {selector: {matchLabels: {app: %[1]s}}, template: `+template+`}
`, "agent"))
	awaitPods(t, c, namespace, map[string]int{"db": 2, "waits": 1, "agent": 2})
	awaitReported(t, c, namespace)
}

// setsSpecs are the specs of StatefulSets and DaemonSets, and which revision they are at.
func setsSpecs(t *testing.T, c *cluster.Cluster, namespace string) string {
	t.Helper()
	out, err := c.Kubectl(t.Context(), "", "-n", namespace, "get", "statefulsets,daemonsets,controllerrevisions",
		"-o", `jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.generation} {.spec} {.status.updateRevision}{"\n"}{end}`)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// The Pods of StatefulSets and DaemonSets are resized as a Deployment's are, those of
// OnDelete ones, too: none goes, and no revision comes.
func TestRolloutResizesSets(t *testing.T) {
	c := fenced(t)
	proxy := startInjector(t, c, "proxy", "proxy:1")
	namespace := injectedNamespace(t, c, 1)
	proxy.Inject(proxyWith(sized("100m", "128Mi"), sized("50m", "128Mi")))
	resizesPods(t, c, namespace)
	deploySets(t, c, namespace)
	labels := []string{"app=db", "app=waits", "app=agent"}
	before, specs := podUIDs(t, c, namespace, labels...), setsSpecs(t, c, namespace)
	all := map[string]report.Result{"StatefulSet/db": report.Resized, "StatefulSet/waits": report.Resized, "DaemonSet/agent": report.Resized}

	for cpu, strategy := range map[string]string{"200m": "auto", "300m": "resize"} {
		proxy.Inject(proxyWith(sized(cpu, "128Mi"), sized("60m", "256Mi")))
		left := rolloutCommand(t, c, 0, "-n", namespace, "--strategy", strategy, "--confirm")
		checkReasons(t, "not asked for", left, map[string]string{
			"StatefulSet/db": "--include-statefulset", "StatefulSet/waits": "--include-statefulset", "DaemonSet/agent": "--include-daemonset",
		})
		r := rolloutCommand(t, c, 0, "-n", namespace, "--include-statefulset", "--include-daemonset", "--strategy", strategy, "--confirm")
		checkResults(t, r, all)
		for _, label := range labels {
			for _, pod := range podsOf(t, c, namespace, label) {
				if got := pod.Status.ContainerStatuses[1].Resources.Requests.Cpu().String(); got != cpu {
					t.Errorf("%s: Pod %s has %s of CPU, want %s", strategy, pod.Name, got, cpu)
				}
				if got := pod.Status.InitContainerStatuses[0].Resources.Limits.Memory().String(); got != "256Mi" {
					t.Errorf("%s: the native sidecar of Pod %s has %s of memory", strategy, pod.Name, got)
				}
			}
		}
	}
	if diff := cmp.Diff(before, podUIDs(t, c, namespace, labels...)); diff != "" {
		t.Errorf("Pods were replaced (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(specs, setsSpecs(t, c, namespace)); diff != "" {
		t.Errorf("the workloads have changed (-before +after):\n%s", diff)
	}
	auditNamespace(t, c, namespace, "StatefulSet/db InSync 2", "StatefulSet/waits InSync 1", "DaemonSet/agent InSync 2")
}

// Where one node has no room, the Pods that were resized stay, and the rest are re-created
// as each kind can be: by its update strategy, or, where that is OnDelete, by eviction.
func TestRolloutResizesSetsWithoutRoom(t *testing.T) {
	c := fenced(t)
	proxy := startInjector(t, c, "proxy", "proxy:1")
	namespace := injectedNamespace(t, c, 1)
	proxy.Inject(proxyWith(sized("100m", "128Mi"), sized("50m", "128Mi")))
	kubelets := resizesPods(t, c, namespace)
	deploySets(t, c, namespace)
	before := podUIDs(t, c, namespace, "app=db", "app=waits", "app=agent")
	var full string // the node that has no room
	for _, pod := range podsOf(t, c, namespace, "app=waits") {
		full = pod.Spec.NodeName
	}
	kubelets.Answer(func(pod *corev1.Pod) kubelet.Answer {
		if pod.Spec.NodeName == full && pod.Spec.Containers[1].Resources.Requests.Cpu().String() == "200m" {
			return kubelet.Refuses
		}
		return kubelet.Acknowledges
	})
	proxy.Inject(proxyWith(sized("200m", "128Mi"), sized("50m", "128Mi")))
	r := rolloutCommand(t, c, 0, "-n", namespace, "--include-statefulset", "--include-daemonset", "--allow-downtime", "--strategy", "auto", "--confirm")
	strategies := map[string]string{}
	for _, item := range r.Items {
		strategies[item.Kind+"/"+item.Name] = item.Rollout.Strategy
		switch result := item.Rollout.Result; {
		case result != report.RolledOut && result != report.Resized:
			t.Errorf("%s is %s: %s", item.Name, result, item.Rollout.Reason)
		case result == report.RolledOut && item.Rollout.Strategy == "resize":
			t.Errorf("%s is said to be rolled out by resize", item.Name)
		}
	}
	if strategies["StatefulSet/waits"] != "evict" || strategies["DaemonSet/agent"] == "resize" {
		t.Errorf("by %v, want neither the OnDelete one nor that of all nodes resized", strategies)
	}
	for label, was := range before {
		for _, pod := range podsOf(t, c, namespace, label) {
			if pod.Spec.NodeName == full && was[pod.UID] {
				t.Errorf("Pod %s has no room, and was not replaced", pod.Name)
			}
		}
	}
	auditNamespace(t, c, namespace, "StatefulSet/db InSync 2", "StatefulSet/waits InSync 1", "DaemonSet/agent InSync 2")
}

// resizesByItself is a policy of automatic rollouts that resize what they can.
const resizesByItself = `
apiVersion: sidecar-drift.io/v1alpha1
kind: Configuration
interval: 5s
selection: {includeNamespaces: [%[1]s]}
autoRollout:
  enabled: true
  strategy: %[2]s
  kinds: [Deployment, StatefulSet, DaemonSet]
  windows: [{start: "00:00", end: "24:00"}]
  minimumAge: 1s
  budget: 50
`

// The daemon resizes by itself: with auto it re-creates what has no room, with resize it
// leaves that as it was, and says why.
func serveResizes(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	namespace, running := startOwnInjector(t, c, proxyWith(sized("100m", "128Mi"), sized("50m", "128Mi")))
	kubelets := resizesPods(t, c, namespace)
	deploySets(t, c, namespace)
	deployWeb(t, c, namespace, 2, "web")
	awaitReported(t, c, namespace)
	labels := []string{"app=web", "app=db", "app=waits", "app=agent"}
	before := podUIDs(t, c, namespace, labels...)
	file := filepath.Join(t.TempDir(), "configuration.yaml")
	configure := func(strategy string) {
		t.Helper()
		if err := os.WriteFile(file, fmt.Appendf(nil, resizesByItself, namespace, strategy), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	configure("auto")
	d := newHome(t, c).rollsOut(t, "--config", file, "--lease-duration", "10s")
	becomes(t, 0, "sidecar_drift_ratio", nil, d)
	rolled := func(kind, strategy, result string) model.LabelSet {
		return model.LabelSet{"kind": model.LabelValue(kind), "strategy": model.LabelValue(strategy), "result": model.LabelValue(result)}
	}

	running.Inject(proxyWith(sized("200m", "128Mi"), sized("50m", "128Mi")))
	becomes(t, 1, "sidecar_drift_rollouts_total", rolled("Deployment", "resize", "Resized"), d)
	becomes(t, 2, "sidecar_drift_rollouts_total", rolled("StatefulSet", "resize", "Resized"), d)
	becomes(t, 1, "sidecar_drift_rollouts_total", rolled("DaemonSet", "resize", "Resized"), d)
	becomes(t, 0, "sidecar_drift_ratio", nil, d)
	if diff := cmp.Diff(before, podUIDs(t, c, namespace, labels...)); diff != "" {
		t.Errorf("Pods were replaced (-before +after):\n%s", diff)
	}

	// Nodes without room: auto re-creates, resize leaves the Pods as they were, and says why.
	kubelets.Answer(func(pod *corev1.Pod) kubelet.Answer {
		if cpu := pod.Spec.Containers[1].Resources.Requests.Cpu().String(); strings.HasPrefix(pod.Name, "web-") && (cpu == "300m" || cpu == "400m") {
			return kubelet.Refuses
		}
		return kubelet.Acknowledges
	})
	running.Inject(proxyWith(sized("300m", "128Mi"), sized("50m", "128Mi")))
	becomes(t, 1, "sidecar_drift_rollouts_total", rolled("Deployment", "restart", "RolledOut"), d)
	becomes(t, 0, "sidecar_drift_ratio", nil, d)
	awaitReported(t, c, namespace)

	configure("resize")
	err := cluster.Poll(t.Context(), "the changed configuration", func(context.Context) error {
		if logged(t, d, "The configuration has changed") == 0 {
			return errors.New("it is not taken over")
		}
		return nil
	}, d.Process)
	if err != nil {
		t.Fatal(err)
	}
	before = podUIDs(t, c, namespace, labels...)
	running.Inject(proxyWith(sized("400m", "128Mi"), sized("50m", "128Mi")))
	becomes(t, 1, "sidecar_drift_rollouts_total", rolled("Deployment", "resize", "Failed"), d)
	if logged(t, d, "Finished rollout", "workload=web", "PodResizePending Infeasible", "has again what it had") == 0 {
		t.Error("the daemon does not say why")
	}
	if diff := cmp.Diff(before, podUIDs(t, c, namespace, labels...)); diff != "" {
		t.Errorf("Pods were replaced by the strategy resize (-before +after):\n%s", diff)
	}
}
