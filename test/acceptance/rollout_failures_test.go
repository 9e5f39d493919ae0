package acceptance

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// What still differs after a rollout is remembered by the workload itself, so
// that no later run restarts it in vain.
func TestRolloutThatDoesNotConverge(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	deployWeb(t, e.Cluster, e.namespace, 2, "web")
	drifted := e.item("Deployment", "web", verdict.Drifted)
	e.state = verdict.Drifted
	done := e.run(t.Context(), t, e.plan(t, drifted))
	checkResults(t, done, map[string]report.Result{"Deployment/web": report.NotConverging})
	if reason := done.Items[0].Rollout.Reason; !strings.Contains(reason, "container/istio-proxy image") {
		t.Errorf("reason %q, want the field that differs", reason)
	}
	e.checkRemembered(t, "deployment/web", report.NotConverging)

	checkResults(t, e.plan(t, drifted).Report(), map[string]report.Result{"Deployment/web": report.NotConverging})
	other := e.item("Deployment", "web", verdict.Drifted)
	other.Revisions[0].Changes[0].To = json.RawMessage(`"proxy:3"`)
	checkResults(t, e.plan(t, other).Report(), map[string]report.Result{"Deployment/web": report.Planned})
	e.opts.Guards.Retry = true
	checkResults(t, e.plan(t, drifted).Report(), map[string]report.Result{"Deployment/web": report.Planned})
}

// A run that is killed between its restart and the audit afterwards remembers no
// result: that the workload was restarted, and for what, stands in the restart itself.
func TestRolloutThatDoesNotConvergeAndIsKilled(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	deployWeb(t, e.Cluster, e.namespace, 2, "web")
	drifted := e.item("Deployment", "web", verdict.Drifted)
	drifted.OldestPod = new(time.Now().Add(-time.Hour))
	ctx, kill := context.WithCancel(t.Context())
	e.opts.Progress = func(event rollout.Event) {
		if event.Phase == rollout.Verifying {
			kill()
		}
	}
	plan := e.plan(t, drifted)
	done, err := rollout.Run(ctx, e.config, plan, e.opts, func(ctx context.Context, _ inventory.WorkloadRef, _ []byte) (*report.Item, error) {
		return nil, ctx.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	checkResults(t, done, map[string]report.Result{"Deployment/web": report.Interrupted})
	e.checkRemembered(t, "deployment/web", report.Interrupted)

	// An audit of what was there before says nothing of the restart.
	rolledOut(t, e.Cluster, e.namespace, "deployment/web")
	checkResults(t, e.plan(t, drifted).Report(), map[string]report.Result{"Deployment/web": report.Planned})
	newest := slices.MaxFunc(podsOf(t, e.Cluster, e.namespace, "app=web"), func(a, b corev1.Pod) int {
		return a.Status.StartTime.Compare(b.Status.StartTime.Time)
	})
	drifted.OldestPod = &newest.Status.StartTime.Time
	again := e.plan(t, drifted)
	checkResults(t, again.Report(), map[string]report.Result{"Deployment/web": report.NotConverging})
	if reason := again.Report().Items[0].Rollout.Reason; !strings.Contains(reason, "by a run that did not see the end of it") {
		t.Errorf("reason %q", reason)
	}
	e.opts.Guards.Retry = true
	checkResults(t, e.plan(t, drifted).Report(), map[string]report.Result{"Deployment/web": report.Planned})
}

// deployStuck runs a Deployment that fills every node and whose restart hangs:
// the surge Pod fits nowhere, and no other may go first.
// That is seen beforehand, and tried all the same.
func (e *engine) deployStuck(t *testing.T, name string, progressDeadline int) {
	t.Helper()
	e.opts.Guards.AllowDowntime = true
	apply(t, e.Cluster, e.namespace, fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  replicas: 2
  progressDeadlineSeconds: %[2]d
  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      containers: [{name: app, image: "app:1"}]
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
          - topologyKey: kubernetes.io/hostname
            labelSelector: {matchLabels: {app: %[1]s}}
`, name, progressDeadline))
	rolledOut(t, e.Cluster, e.namespace, "deployment/"+name)
}

func TestRolloutHaltsAtAFailure(t *testing.T) {
	for name, test := range map[string]struct {
		progressDeadline int
		timeout          time.Duration
		want             string
	}{
		"progress deadline": {5, 2 * time.Minute, "exceeded its progress deadline"},
		"timeout":           {600, 15 * time.Second, "not settled within 15s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEngine(t)
			e.deployStuck(t, "a-stuck", test.progressDeadline)
			deployWeb(t, e.Cluster, e.namespace, 1, "web")
			before := e.object(t, "deployment/web").GetResourceVersion()
			e.opts.Pace.Timeout = test.timeout

			done := e.run(t.Context(), t, e.plan(t, e.item("Deployment", "a-stuck", verdict.Drifted), e.item("Deployment", "web", verdict.Drifted)))
			checkResults(t, done, map[string]report.Result{"Deployment/a-stuck": report.Failed, "Deployment/web": report.Interrupted})
			for _, want := range []string{test.want, "Pod a-stuck-", "Unschedulable: 0/"} {
				if reason := done.Items[0].Rollout.Reason; !strings.Contains(reason, want) {
					t.Errorf("reason %q, want %q in it", reason, want)
				}
			}
			if reason := done.Items[1].Rollout.Reason; !strings.Contains(reason, "--max-failures 1") {
				t.Errorf("reason %q, want that it was not started because of --max-failures", reason)
			}
			e.checkRemembered(t, "deployment/a-stuck", report.Failed)
			if after := e.object(t, "deployment/web").GetResourceVersion(); after != before {
				t.Error("the workload that was not started has changed")
			}
		})
	}
}

// Where a quota leaves no room for the Pods of a rollout, it is named.
func TestRolloutThatAQuotaStops(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	apply(t, e.Cluster, e.namespace, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  progressDeadlineSeconds: 10
  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: app, image: "app:1"}]}}
`)
	rolledOut(t, e.Cluster, e.namespace, "deployment/web")
	apply(t, e.Cluster, e.namespace, `{"apiVersion":"v1","kind":"ResourceQuota","metadata":{"name":"small"},"spec":{"hard":{"pods":"2"}}}`)
	err := cluster.Poll(t.Context(), "the quota to be counted", func(ctx context.Context) error {
		used, err := e.Kubectl(ctx, "", "-n", e.namespace, "get", "resourcequota", "small", "-o", "jsonpath={.status.used.pods}")
		if err == nil && used != "2" {
			err = fmt.Errorf("%s Pods are counted", used)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	done := e.run(t.Context(), t, e.plan(t, e.drifted("Deployment", "web", podsOf(t, e.Cluster, e.namespace, "app=web")...)))
	checkResults(t, done, map[string]report.Result{"Deployment/web": report.Failed})
	if reason := done.Items[0].Rollout.Reason; !strings.Contains(reason, "its new Pods are refused") || !strings.Contains(reason, "exceeded quota: small") {
		t.Errorf("reason %q, want the quota named", reason)
	}
}

func TestRolloutIsInterrupted(t *testing.T) {
	t.Run("to finish what is under way", func(t *testing.T) {
		t.Parallel()
		e := newEngine(t)
		deployWeb(t, e.Cluster, e.namespace, 1, "a", "b")
		drain := make(chan struct{})
		e.opts.Pace.Drain = drain
		e.opts.Progress = func(event rollout.Event) {
			if event.Phase == rollout.Started {
				close(drain)
			}
		}
		done := e.run(t.Context(), t, e.plan(t, e.item("Deployment", "a", verdict.Drifted), e.item("Deployment", "b", verdict.Drifted)))
		checkResults(t, done, map[string]report.Result{"Deployment/a": report.RolledOut, "Deployment/b": report.Interrupted})
	})
	t.Run("to leave at once", func(t *testing.T) {
		t.Parallel()
		e := newEngine(t)
		e.deployStuck(t, "a", 600)
		deployWeb(t, e.Cluster, e.namespace, 1, "b")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		e.opts.Progress = func(event rollout.Event) {
			if event.Phase == rollout.Waiting {
				cancel()
			}
		}
		done := e.run(ctx, t, e.plan(t, e.item("Deployment", "a", verdict.Drifted), e.item("Deployment", "b", verdict.Drifted)))
		checkResults(t, done, map[string]report.Result{"Deployment/a": report.Interrupted, "Deployment/b": report.Interrupted})
	})
}
