package acceptance

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/kubelet"
)

// runContainers says of the Pods on a Node that their containers run.
func runContainers(t *testing.T, c *cluster.Cluster, namespace, node string) {
	t.Helper()
	pods := c.Client().CoreV1().Pods(namespace)
	err := cluster.Poll(t.Context(), "the containers on "+node, func(ctx context.Context) error {
		list, err := pods.List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + node})
		if err != nil {
			return err
		}
		run := func(containers []corev1.Container) (statuses []corev1.ContainerStatus) {
			for _, c := range containers {
				statuses = append(statuses, corev1.ContainerStatus{Name: c.Name, Image: c.Image, Ready: true, Started: new(true),
					State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}}})
			}
			return statuses
		}
		for i := range list.Items {
			pod := &list.Items[i]
			if len(pod.Status.ContainerStatuses) > 0 {
				continue
			}
			pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses = run(pod.Spec.Containers), run(pod.Spec.InitContainers)
			if _, err := pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A DaemonSet is resized wherever it can be: its Pod on a lost node, which nobody resizes, is
// not asked for, is named, and is no reason to do it again.
func TestRolloutResizesBesideALostNode(t *testing.T) {
	c := fenced(t)
	proxy := startInjector(t, c, "proxy", "proxy:1")
	namespace := injectedNamespace(t, c, 1)
	proxy.Inject(proxyWith(sized("100m", "128Mi"), sized("50m", "128Mi")))
	nodes := pool(t, c, 2)
	gone := ownNode(t, c, nodes)
	kubelets := resizesPods(t, c, namespace)
	kubelets.Answer(func(pod *corev1.Pod) kubelet.Answer {
		if pod.Spec.NodeName == gone {
			return kubelet.Refuses // which would be seen
		}
		return kubelet.Acknowledges
	})
	apply(t, c, namespace, fmt.Sprintf(`
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template: {metadata: {labels: {app: agent}}, spec: {nodeSelector: {pool: %s}, tolerations: [{operator: Exists}], containers: [{name: app, image: "app:1"}]}}
`, nodes))
	err := cluster.Poll(t.Context(), "the Pod of "+gone, func(ctx context.Context) error {
		n, err := runPods(ctx, c, namespace, gone)
		if err == nil && n < 1 {
			err = fmt.Errorf("there are %d", n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	runContainers(t, c, namespace, gone)
	beReady(t, c, gone, corev1.ConditionTrue)
	rolledOut(t, c, namespace, "daemonset/agent")
	awaitReported(t, c, namespace)
	before := podUIDs(t, c, namespace, "app=agent")
	loseNode(t, &engine{Cluster: c, namespace: namespace}, gone)
	(&engine{Cluster: c, namespace: namespace}).checkObserved(t)

	for cpu, strategy := range map[string]string{"200m": "resize", "300m": "auto"} {
		proxy.Inject(proxyWith(sized(cpu, "128Mi"), sized("50m", "128Mi")))
		r := rolloutCommand(t, c, 0, "-n", namespace, "--include-daemonset", "--strategy", strategy, "--confirm")
		checkResults(t, r, map[string]report.Result{"DaemonSet/agent": report.Resized})
		if reason := r.Items[0].Rollout.Reason; !strings.Contains(reason, "its Pods on "+gone+", which is not ready, keep what they have") {
			t.Errorf("%s: %q, want the node named", strategy, reason)
		}
		for _, pod := range podsOf(t, c, namespace, "app=agent") {
			want := cpu
			if pod.Spec.NodeName == gone {
				want = "100m"
			}
			if got := pod.Spec.Containers[1].Resources.Requests.Cpu().String(); got != want {
				t.Errorf("%s: Pod on %s is to have %s of CPU, want %s", strategy, pod.Spec.NodeName, got, want)
			}
		}
		again := rolloutCommand(t, c, 0, "-n", namespace, "--include-daemonset", "--strategy", "resize", "--confirm")
		checkReasons(t, "what is left", again, map[string]string{"DaemonSet/agent": "the Pods that are to be resized are on " + gone})
	}
	if diff := cmp.Diff(before, podUIDs(t, c, namespace, "app=agent")); diff != "" {
		t.Errorf("Pods were replaced (-before +after):\n%s", diff)
	}
}
