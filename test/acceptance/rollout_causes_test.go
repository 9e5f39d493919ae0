package acceptance

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// A new Pod that finds no room beside what runs is named, with what to do, and with the
// PriorityClass by which it takes room from nobody.
func TestRolloutWithoutRoom(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	e.opts.Pace.Timeout = 15 * time.Second
	clusterWide(t, e.Cluster, fmt.Sprintf(`{"apiVersion":"scheduling.k8s.io/v1","kind":"PriorityClass","metadata":{"name":"polite-%s"},"value":10,"preemptionPolicy":"Never"}`, e.namespace))
	apply(t, e.Cluster, e.namespace, fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {priorityClassName: polite-%s, %s, containers: [{name: app, image: "app:1", resources: {requests: {cpu: "600"}}}]}
`, e.namespace, inPool(pool(t, e.Cluster, 1))))
	rolledOut(t, e.Cluster, e.namespace, "deployment/web")
	done := e.run(t.Context(), t, e.plan(t, e.drifted("Deployment", "web", podsOf(t, e.Cluster, e.namespace, "app=web")...)))
	checkResults(t, done, map[string]report.Result{"Deployment/web": report.Failed})
	for _, want := range []string{"Unschedulable: 0/", "Insufficient cpu", "there is no room for it beside what runs", "its PriorityClass polite-" + e.namespace + " takes no room from others"} {
		if reason := done.Items[0].Rollout.Reason; !strings.Contains(reason, want) {
			t.Errorf("%q, want %q in it", reason, want)
		}
	}
}

// What refuses the Pods of a StatefulSet and of a DaemonSet stands in Events alone, and is
// named all the same.
func TestRolloutThatAQuotaStopsSilently(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	e.opts.Pace.Timeout, e.opts.Pace.Parallel, e.opts.Pace.MaxFailures = 15*time.Second, 2, 3
	e.opts.Select.All = true
	apply(t, e.Cluster, e.namespace, workloads)
	rolledOut(t, e.Cluster, e.namespace, "statefulset/db", "daemonset/agent")
	plan := e.plan(t, e.drifted("StatefulSet", "db", podsOf(t, e.Cluster, e.namespace, "app=db")...), e.drifted("DaemonSet", "agent", podsOf(t, e.Cluster, e.namespace, "app=agent")...))
	apply(t, e.Cluster, e.namespace, `{"apiVersion":"v1","kind":"ResourceQuota","metadata":{"name":"small"},"spec":{"hard":{"pods":"1"}}}`)
	err := cluster.Poll(t.Context(), "the quota to be counted", func(ctx context.Context) error {
		used, err := e.Kubectl(ctx, "", "-n", e.namespace, "get", "resourcequota", "small", "-o", "jsonpath={.status.used.pods}")
		if err == nil && used == "" {
			err = fmt.Errorf("no Pods are counted")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	done, err := rollout.Run(t.Context(), e.config, plan, e.opts, func(ctx context.Context, w inventory.WorkloadRef, seen []byte) (*report.Item, error) {
		return audit.Workload(ctx, e.config, audit.Options{Concurrency: 2}, w, seen)
	})
	if err != nil {
		t.Fatal(err)
	}
	checkResults(t, done, map[string]report.Result{"StatefulSet/db": report.Failed, "DaemonSet/agent": report.Failed})
	for _, item := range done.Items {
		if !strings.Contains(item.Rollout.Reason, "exceeded quota: small") {
			t.Errorf("%s: %q, want the quota named", item.Kind, item.Rollout.Reason)
		}
	}
}
