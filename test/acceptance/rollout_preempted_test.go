package acceptance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

func preempted(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.DisruptionTarget && c.Reason == corev1.PodReasonPreemptionByScheduler
	})
}

// slowKubelet runs the Pods of a namespace on a Node, and ends them at once but for those that
// were preempted, which take their time, until the test ends.
func slowKubelet(t *testing.T, c *cluster.Cluster, namespace, node string) {
	t.Helper()
	pods := c.Client().CoreV1().Pods(namespace)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	look := func(all bool) {
		_, _ = runPods(ctx, c, namespace, node) // the next look tries again
		list, err := pods.List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + node})
		if err != nil {
			return
		}
		for i := range list.Items {
			if pod := &list.Items[i]; all || pod.DeletionTimestamp != nil && !preempted(pod) {
				_ = pods.Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64), Preconditions: metav1.NewUIDPreconditions(string(pod.UID))})
			}
		}
	}
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			look(false)
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
	}()
	t.Cleanup(func() {
		if _, err := c.Kubectl(context.Background(), "", "-n", namespace, "delete", "deployments", "--all", "--wait=false"); err != nil {
			t.Error(err)
		}
		err := cluster.Poll(context.Background(), "the Pods to end", func(context.Context) error {
			look(true)
			list, err := pods.List(ctx, metav1.ListOptions{})
			if err == nil && len(list.Items) > 0 {
				err = fmt.Errorf("there are %d", len(list.Items))
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		stop()
		<-ended
	})
}

// Pods that the scheduler takes away for others of a higher PriorityClass, while their workload
// is rolled out, are named as the cause, by whichever strategy, with what to do.
func TestRolloutThatIsPreempted(t *testing.T) {
	for _, strategy := range []rollout.Strategy{rollout.Restart, rollout.Evict} {
		t.Run(string(strategy), func(t *testing.T) {
			t.Parallel()
			e := newEngine(t)
			e.opts.Strategy, e.opts.Pace.Timeout = strategy, 15*time.Second
			clusterWide(t, e.Cluster, fmt.Sprintf(`{"apiVersion":"scheduling.k8s.io/v1","kind":"PriorityClass","metadata":{"name":"greedy-%s"},"value":1000}`, e.namespace))
			nodes := "small-" + e.namespace
			node := ownNode(t, e.Cluster, nodes)
			slowKubelet(t, e.Cluster, e.namespace, node)
			const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  replicas: %[2]d
  strategy: {rollingUpdate: {maxUnavailable: 1, maxSurge: 0}}
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec: {%[3]s, %[4]s, containers: [{name: app, image: "app:1", resources: {requests: {cpu: "%[5]d"}}}]}
`
			apply(t, e.Cluster, e.namespace, fmt.Sprintf(deployment, "web", 2, `priorityClassName: ""`, inPool(nodes), 40))
			rolledOut(t, e.Cluster, e.namespace, "deployment/web")
			greedy := make(chan error, 1)
			e.opts.Progress = func(event rollout.Event) {
				if event.Phase == rollout.Started {
					_, err := e.Kubectl(t.Context(), fmt.Sprintf(deployment, "greedy", 1, "priorityClassName: greedy-"+e.namespace, inPool(nodes), 100), "-n", e.namespace, "apply", "-f", "-")
					greedy <- err
				}
			}
			done := e.run(t.Context(), t, e.plan(t, e.drifted("Deployment", "web", podsOf(t, e.Cluster, e.namespace, "app=web")...)))
			if err := <-greedy; err != nil {
				t.Fatal(err)
			}
			checkResults(t, done, map[string]report.Result{"Deployment/web": report.Failed})
			for _, want := range []string{"of its Pods were preempted: Pods of a higher priority took their room", "give it a PriorityClass that they do not outrank", "Insufficient cpu"} {
				if reason := done.Items[0].Rollout.Reason; !strings.Contains(reason, want) {
					t.Errorf("%q, want %q in it", reason, want)
				}
			}
			if got := done.Items[0].Rollout.Cause; got != report.CauseNoRoom {
				t.Errorf("the cause is %s, want %s", got, report.CauseNoRoom)
			}
		})
	}
}
