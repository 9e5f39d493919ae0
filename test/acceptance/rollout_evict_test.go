package acceptance

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

// drifted is what an audit says of a workload of which these Pods drifted.
func (e *engine) drifted(kind, name string, pods ...corev1.Pod) report.Item {
	item := e.item(kind, name, verdict.Drifted)
	members := map[verdict.State][]report.PodRef{}
	for _, pod := range pods {
		members[verdict.Drifted] = append(members[verdict.Drifted], report.PodRef{Name: pod.Name, UID: string(pod.UID)})
	}
	item.Revisions[0].Members = members
	return item
}

// ownersOfEvicted are workloads whose Pods only eviction, or eviction as well,
// re-creates.
const ownersOfEvicted = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: app, image: "app:1"}]}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 2
  serviceName: db
  updateStrategy: {type: OnDelete}
  selector: {matchLabels: {app: db}}
  template: {metadata: {labels: {app: db}}, spec: {containers: [{name: app, image: "app:1"}]}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: parted}
spec:
  replicas: 3
  serviceName: db
  updateStrategy: {rollingUpdate: {partition: 2}}
  selector: {matchLabels: {app: parted}}
  template: {metadata: {labels: {app: parted}}, spec: {containers: [{name: app, image: "app:1"}]}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  updateStrategy: {type: OnDelete}
  selector: {matchLabels: {app: agent}}
  template: {metadata: {labels: {app: agent}}, spec: {containers: [{name: app, image: "app:1"}]}}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: lone}
spec:
  replicas: 2
  selector: {matchLabels: {app: lone}}
  template: {metadata: {labels: {app: lone}}, spec: {containers: [{name: app, image: "app:1"}]}}
`

// awaitPods waits until a namespace has so many Pods of each app that are ready.
func awaitPods(t *testing.T, c *cluster.Cluster, namespace string, want map[string]int) {
	t.Helper()
	err := cluster.Poll(t.Context(), "ready Pods", func(ctx context.Context) error {
		pods, err := c.Client().CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		ready := map[string]int{}
		for _, pod := range pods.Items {
			for _, condition := range pod.Status.Conditions {
				if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue && pod.DeletionTimestamp == nil {
					ready[pod.Labels["app"]]++
				}
			}
		}
		if diff := cmp.Diff(want, ready); diff != "" {
			return fmt.Errorf("ready Pods (-want +got):\n%s", diff)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// With the real injector: whatever owns the Pods, all that drifted are evicted,
// and the workloads' templates stay as they are.
func TestRolloutByEviction(t *testing.T) {
	c, injector := fenced(t), testIstio(t)
	namespace := namespaceWith(t, c, injected)
	apply(t, c, namespace, ownersOfEvicted)
	all := map[string]int{"web": 3, "db": 2, "parted": 3, "agent": 2, "lone": 2}
	awaitPods(t, c, namespace, all)
	if err := injector.Update(t.Context(), istio.Values("1.28.0", "150m")...); err != nil {
		t.Fatal(err)
	}
	specs := func() string {
		out, err := c.Kubectl(t.Context(), "", "-n", namespace, "get", "deployments,replicasets,statefulsets,daemonsets",
			"-o", `jsonpath={range .items[*]}{.kind}/{.metadata.name} {.spec}{"\n"}{end}`)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	before, old := specs(), map[types.UID]bool{}
	for app := range all {
		for uid := range uids(t, c, namespace, "app="+app) {
			old[uid] = true
		}
	}

	restart := rolloutCommand(t, c, 0, "-n", namespace, "--include-statefulset", "--include-daemonset")
	checkResults(t, restart, map[string]report.Result{
		"Deployment/web": report.Planned, "StatefulSet/parted": report.Planned,
		"StatefulSet/db": report.Skipped, "DaemonSet/agent": report.Skipped, "ReplicaSet/lone": report.Skipped,
	})
	for _, item := range restart.Items {
		if item.Rollout.Result == report.Skipped && !strings.Contains(item.Rollout.Reason, "--strategy evict") {
			t.Errorf("%s/%s: %s, want --strategy evict named", item.Kind, item.Name, item.Rollout.Reason)
		}
	}

	evicted := map[string]report.Result{}
	for _, item := range restart.Items {
		evicted[item.Kind+"/"+item.Name] = report.RolledOut
	}
	checkResults(t, rolloutCommand(t, c, 0, "-n", namespace, "--include-statefulset", "--include-daemonset",
		"--strategy", "evict", "--parallel-rollouts", "5", "--confirm"), evicted)
	if diff := cmp.Diff(before, specs()); diff != "" {
		t.Errorf("a workload itself has changed (-before +after):\n%s", diff)
	}
	for app, want := range all {
		now := uids(t, c, namespace, "app="+app)
		for uid := range now {
			if old[uid] {
				t.Errorf("a Pod of %s was not replaced", app)
			}
		}
		if len(now) != want {
			t.Errorf("%s has %d Pods, want %d", app, len(now), want)
		}
	}
	auditNamespace(t, c, namespace, "Deployment/web InSync 3", "StatefulSet/db InSync 2", "StatefulSet/parted InSync 3",
		"DaemonSet/agent InSync 2", "ReplicaSet/lone InSync 2")
}

// A restart of a partitioned StatefulSet replaces what the partition lets it,
// and what it holds is no failure.
func TestRolloutOfAPartitionedStatefulSet(t *testing.T) {
	c, injector := fenced(t), testIstio(t)
	namespace := namespaceWith(t, c, injected)
	apply(t, c, namespace, `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 3
  serviceName: db
  updateStrategy: {rollingUpdate: {partition: 2}}
  selector: {matchLabels: {app: db}}
  template: {metadata: {labels: {app: db}}, spec: {containers: [{name: app, image: "app:1"}]}}
`)
	rolledOut(t, c, namespace, "statefulset/db")
	if err := injector.Update(t.Context(), istio.Values("1.28.0", "150m")...); err != nil {
		t.Fatal(err)
	}
	before := map[string]types.UID{}
	for _, pod := range podsOf(t, c, namespace, "app=db") {
		before[pod.Name] = pod.UID
	}
	args := []string{"-n", namespace, "--include-statefulset", "--confirm"}
	r := rolloutCommand(t, c, 0, args...)
	checkResults(t, r, map[string]report.Result{"StatefulSet/db": report.RolledOut})
	if reason := r.Items[0].Rollout.Reason; !strings.Contains(reason, "left as they are") {
		t.Errorf("reason %q, want that Pods were left as they are", reason)
	}
	for _, pod := range podsOf(t, c, namespace, "app=db") {
		if replaced := pod.UID != before[pod.Name]; replaced != (pod.Name == "db-2") {
			t.Errorf("Pod %s replaced: %v", pod.Name, replaced)
		}
	}
	again := rolloutCommand(t, c, 0, args...)
	checkResults(t, again, map[string]report.Result{"StatefulSet/db": report.Skipped})
	if reason := again.Items[0].Rollout.Reason; !strings.Contains(reason, "below ordinal 2") {
		t.Errorf("reason %q, want the partition", reason)
	}
}

// Only the Pods that drifted are evicted, one after the other.
func TestEvictionOfSomePods(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	deployWeb(t, e.Cluster, e.namespace, 4, "web")
	pods := podsOf(t, e.Cluster, e.namespace, "app=web")
	e.opts.Strategy = rollout.Evict
	var unavailable atomic.Int64
	watchAvailability(t, e, "web", 4, &unavailable)
	done := e.run(t.Context(), t, e.plan(t, e.drifted("Deployment", "web", pods[0], pods[1])))
	checkResults(t, done, map[string]report.Result{"Deployment/web": report.RolledOut})
	now := uids(t, e.Cluster, e.namespace, "app=web")
	for i, pod := range pods {
		if kept := now[pod.UID]; kept != (i > 1) {
			t.Errorf("Pod %d of those that were there is kept: %v", i, kept)
		}
	}
	if got := unavailable.Load(); got > 1 {
		t.Errorf("%d Pods were away at once, want at most 1", got)
	}
}

// watchAvailability notes how many of a Deployment's Pods are missing at most.
func watchAvailability(t *testing.T, e *engine, name string, replicas int64, most *atomic.Int64) {
	t.Helper()
	watcher, err := e.Client().AppsV1().Deployments(e.namespace).Watch(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for event := range watcher.ResultChan() {
			if d, ok := event.Object.(*appsv1.Deployment); ok {
				most.Store(max(most.Load(), replicas-int64(d.Status.AvailableReplicas)))
			}
		}
	}()
	t.Cleanup(func() {
		watcher.Stop()
		<-done
	})
}

// A Pod that has taken the name of one to evict is another one.
func TestEvictionSparesANamesake(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	apply(t, e.Cluster, e.namespace, workloads)
	rolledOut(t, e.Cluster, e.namespace, "statefulset/db")
	item := e.drifted("StatefulSet", "db", podsOf(t, e.Cluster, e.namespace, "app=db")...)
	e.opts.Strategy = rollout.Evict
	plan := e.plan(t, item)
	if _, err := e.Kubectl(t.Context(), "", "-n", e.namespace, "delete", "pod", "db-1"); err != nil {
		t.Fatal(err)
	}
	awaitPods(t, e.Cluster, e.namespace, map[string]int{"web": 2, "db": 2, "agent": 2})
	rolledOut(t, e.Cluster, e.namespace, "statefulset/db")
	namesake := podNamed(t, e.Cluster, e.namespace, "db-1").UID
	checkResults(t, e.run(t.Context(), t, plan), map[string]report.Result{"StatefulSet/db": report.RolledOut})
	if after := podNamed(t, e.Cluster, e.namespace, "db-1").UID; after != namesake {
		t.Errorf("the Pod that was there already is evicted: %s is %s now", namesake, after)
	}
	if string(podNamed(t, e.Cluster, e.namespace, "db-0").UID) == item.Revisions[0].Members[verdict.Drifted][0].UID {
		t.Error("the Pod that drifted is still there")
	}
}
