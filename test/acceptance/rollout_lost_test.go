package acceptance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// loseNode has a Node be as the control plane makes it, and its Pods, when it has heard
// nothing of its kubelet for a while, which in this cluster is ten minutes.
func loseNode(t *testing.T, e *engine, name string) {
	t.Helper()
	t.Cleanup(func() { // or nobody would end its Pods, nor the namespace
		for _, args := range [][]string{{"daemonsets,deployments", "--all", "--wait=false"}, {"pods", "--all", "--force", "--wait=false"}} {
			if _, err := e.Kubectl(context.Background(), "", append([]string{"-n", e.namespace, "delete"}, args...)...); err != nil {
				t.Error(err)
			}
		}
	})
	beReady(t, e.Cluster, name, corev1.ConditionUnknown)
	pods := e.Client().CoreV1().Pods(e.namespace)
	there, err := pods.List(t.Context(), metav1.ListOptions{FieldSelector: "spec.nodeName=" + name})
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range there.Items {
		status := []byte(`{"status":{"conditions":[{"type":"Ready","status":"False"}]}}`)
		if _, err := pods.Patch(t.Context(), pod.Name, types.StrategicMergePatchType, status, metav1.PatchOptions{}, "status"); err != nil {
			t.Fatal(err)
		}
	}
	err = cluster.Poll(t.Context(), "the taints of "+name, func(ctx context.Context) error {
		node, err := e.Client().CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err == nil && len(node.Spec.Taints) < 3 {
			err = fmt.Errorf("it has %v", node.Spec.Taints)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A node that is not ready keeps a DaemonSet neither from being rolled out nor from having
// been, as far as it can be; and its Pods are no reason to do it again and again.
func TestRolloutWithALostNode(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	nodes := pool(t, e.Cluster, 2)
	gone := ownNode(t, e.Cluster, nodes)
	const tolerant = ", {operator: Exists}"
	daemonSets := map[string][2]string{ // how many may be unavailable, and more tolerations
		"plain": {"2", ""}, "tolerant": {"2", tolerant}, "narrow": {"1", ""}, "narrow-tolerant": {"1", tolerant}, "evicted": {"2", ""}, "evicted-tolerant": {"2", tolerant},
	}
	for name, of := range daemonSets {
		apply(t, e.Cluster, e.namespace, fmt.Sprintf(`
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: %[1]s}
spec:
  updateStrategy: {rollingUpdate: {maxUnavailable: %[3]s}}
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec: {nodeSelector: {pool: %[2]s}, tolerations: [{key: pool, operator: Exists}%[4]s], containers: [{name: app, image: "app:1"}]}
`, name, nodes, of[0], of[1]))
	}
	apply(t, e.Cluster, e.namespace, fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      %s
      containers: [{name: app, image: "app:1"}]
      topologySpreadConstraints: [{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, nodeTaintsPolicy: Honor, labelSelector: {matchLabels: {app: web}}}]
`, strings.ReplaceAll(inPool(nodes), "}, ", "}\n      ")))
	err := cluster.Poll(t.Context(), "the Pods of "+gone, func(ctx context.Context) error {
		beReady(t, e.Cluster, gone, corev1.ConditionTrue)
		n, err := runPods(ctx, e.Cluster, e.namespace, gone)
		if err == nil && n < len(daemonSets)+1 {
			err = fmt.Errorf("there are %d", n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	beReady(t, e.Cluster, gone, corev1.ConditionTrue)
	for name := range daemonSets {
		rolledOut(t, e.Cluster, e.namespace, "daemonset/"+name)
	}
	rolledOut(t, e.Cluster, e.namespace, "deployment/web")
	var items []report.Item
	before := map[string][]corev1.Pod{}
	for _, name := range []string{"plain", "tolerant", "narrow", "narrow-tolerant", "evicted", "evicted-tolerant"} {
		before[name] = podsOf(t, e.Cluster, e.namespace, "app="+name)
		items = append(items, e.drifted("DaemonSet", name, before[name]...))
	}
	items = append(items, e.drifted("Deployment", "web", podsOf(t, e.Cluster, e.namespace, "app=web")...))
	loseNode(t, e, gone)
	e.checkObserved(t)

	e.opts.Pace.Parallel, e.opts.Pace.MaxFailures = 3, 10
	of := func(names ...string) []report.Item {
		return slices.DeleteFunc(slices.Clone(items), func(item report.Item) bool { return !slices.Contains(names, item.Name) })
	}
	restarts := e.plan(t, of("plain", "tolerant", "narrow", "narrow-tolerant", "web")...)
	results := map[string]report.Result{}
	for _, step := range restarts.Steps {
		results[step.Item.Name] = step.Result
		if narrow := strings.HasPrefix(step.Item.Name, "narrow"); narrow && !strings.Contains(step.Reason, "a restart would hang: its Pods on "+gone+", which is not ready") {
			t.Errorf("%s is %s: %s", step.Item.Name, step.Result, step.Reason)
		} else if !narrow && step.Result != report.Planned {
			t.Errorf("%s is %s: %s", step.Item.Name, step.Result, step.Reason)
		}
	}
	done := e.run(t.Context(), t, restarts)
	checkResults(t, done, map[string]report.Result{
		"DaemonSet/plain": report.RolledOut, "DaemonSet/tolerant": report.RolledOut, "Deployment/web": report.RolledOut,
		"DaemonSet/narrow": report.Skipped, "DaemonSet/narrow-tolerant": report.Skipped,
	})
	e.checkLost(t, done, gone, before, "plain", "tolerant")

	e.opts.Strategy = rollout.Auto
	plan := e.plan(t, of("narrow", "narrow-tolerant")...)
	for _, step := range plan.Steps {
		if step.Strategy != rollout.Evict {
			t.Errorf("%s goes by %s: %s", step.Item.Name, step.Strategy, step.Reason)
		}
	}
	done = e.run(t.Context(), t, plan)
	checkResults(t, done, map[string]report.Result{"DaemonSet/narrow": report.RolledOut, "DaemonSet/narrow-tolerant": report.RolledOut})
	e.checkLost(t, done, gone, before, "narrow", "narrow-tolerant")

	e.opts.Strategy = rollout.Evict
	done = e.run(t.Context(), t, e.plan(t, of("evicted", "evicted-tolerant")...))
	checkResults(t, done, map[string]report.Result{"DaemonSet/evicted": report.RolledOut, "DaemonSet/evicted-tolerant": report.RolledOut})
	e.checkLost(t, done, gone, before, "evicted", "evicted-tolerant")
	left := e.drifted("DaemonSet", "evicted", slices.DeleteFunc(slices.Clone(before["evicted"]), func(p corev1.Pod) bool { return p.Spec.NodeName != gone })...)
	left.Revisions[0].Changes[0].To = []byte(`"proxy:3"`)
	checkReasons(t, "what is left", e.plan(t, left).Report(), map[string]string{"DaemonSet/evicted": "the Pods that are to be re-created are on " + gone})
	e.opts.Strategy = rollout.Restart
	checkReasons(t, "what is left", e.plan(t, left).Report(), map[string]string{"DaemonSet/evicted": "the Pods that are to be re-created are on " + gone})
	if e.state != verdict.InSync {
		t.Fatal("the audit was to find all in sync")
	}
}

// checkLost checks that all Pods were replaced but those of a node, which is named.
func (e *engine) checkLost(t *testing.T, done *report.Report, gone string, before map[string][]corev1.Pod, names ...string) {
	t.Helper()
	for _, item := range done.Items {
		if slices.Contains(names, item.Name) && !strings.Contains(item.Rollout.Reason, "its Pods on "+gone+", which is not ready, keep what they have") {
			t.Errorf("%s: %q, want the node named", item.Name, item.Rollout.Reason)
		}
	}
	for _, name := range names {
		now := uids(t, e.Cluster, e.namespace, "app="+name)
		for _, pod := range before[name] {
			if now[pod.UID] && pod.Spec.NodeName != gone {
				t.Errorf("%s was not replaced", pod.Name)
			}
		}
	}
}
