package acceptance

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// engine rolls out in one namespace under the installation's rollout identity,
// with the policies in force. What an audit says is given by the test, so that
// these tests are about rolling out alone.
type engine struct {
	*cluster.Cluster
	namespace string
	config    *rest.Config
	opts      rollout.Options
	// state is what each audit afterwards finds.
	state verdict.State
}

func newEngine(t *testing.T) *engine {
	t.Helper()
	c := fenced(t)
	config, err := c.ServiceAccountConfig(t.Context(), installation, "sidecar-drift-rollout")
	if err != nil {
		t.Fatal(err)
	}
	return &engine{
		Cluster:   c,
		namespace: namespaceWith(t, c, nil),
		config:    config,
		opts: rollout.Options{
			Select: rollout.Selection{IncludeDaemonSet: true, IncludeStatefulSet: true},
			Pace:   rollout.Pace{Timeout: 2 * time.Minute},
		},
		state: verdict.InSync,
	}
}

// item is what an audit says of a workload in a state.
func (e *engine) item(kind, name string, state verdict.State) report.Item {
	item := report.Item{
		Namespace: e.namespace, Kind: kind, Name: name, State: state, Pods: map[verdict.State]int{state: 2},
		Revisions: []report.Revision{{
			Name: name + "-1", State: state, Pods: 2, Fresh: "v1:fresh",
			Sidecars: []string{"istio-proxy"}, Changes: []verdict.Change{},
		}},
	}
	if state == verdict.Drifted {
		item.Revisions[0].Changes = []verdict.Change{{
			Part: "container/istio-proxy", Path: "image", From: json.RawMessage(`"proxy:1"`), To: json.RawMessage(`"proxy:2"`),
		}}
	}
	return item
}

func (e *engine) plan(t *testing.T, items ...report.Item) *report.Report {
	t.Helper()
	plan, err := rollout.Plan(t.Context(), e.config, report.New(report.DriftReport, time.Now(), items, 0), e.opts)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func (e *engine) run(ctx context.Context, t *testing.T, plan *report.Report) *report.Report {
	t.Helper()
	done, err := rollout.Run(ctx, e.config, plan, e.opts, func(_ context.Context, w inventory.WorkloadRef) (*report.Item, error) {
		item := e.item(w.Kind, w.Name, e.state)
		return &item, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// results are the results by KIND/NAME.
func results(r *report.Report) map[string]report.Result {
	all := map[string]report.Result{}
	for _, item := range r.Items {
		all[item.Kind+"/"+item.Name] = item.Rollout.Result
	}
	return all
}

func checkResults(t *testing.T, r *report.Report, want map[string]report.Result) {
	t.Helper()
	if diff := cmp.Diff(want, results(r)); diff != "" {
		for _, item := range r.Items {
			t.Logf("%s/%s: %s", item.Kind, item.Name, item.Rollout.Reason)
		}
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

// object reads a workload (deployment/web).
func (e *engine) object(t *testing.T, workload string) *unstructured.Unstructured {
	t.Helper()
	out, err := e.Kubectl(t.Context(), "", "-n", e.namespace, "get", workload, "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON([]byte(out)); err != nil {
		t.Fatal(err)
	}
	return object
}

// workloads has one workload of each kind, two Pods each.
const workloads = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: app, image: "app:1"}]}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 2
  serviceName: db
  selector: {matchLabels: {app: db}}
  template: {metadata: {labels: {app: db}}, spec: {containers: [{name: app, image: "app:1"}]}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template: {metadata: {labels: {app: agent}, annotations: {note: mine}}, spec: {containers: [{name: app, image: "app:1"}]}}
`

// uids are the UIDs of the Pods that run, by label.
func uids(t *testing.T, c *cluster.Cluster, namespace, label string) map[types.UID]bool {
	t.Helper()
	all := map[types.UID]bool{}
	for _, pod := range podsOf(t, c, namespace, label) {
		if pod.DeletionTimestamp == nil {
			all[pod.UID] = true
		}
	}
	return all
}

func TestRolloutReplacesPods(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	apply(t, e.Cluster, e.namespace, workloads)
	rolledOut(t, e.Cluster, e.namespace, "deployment/web", "statefulset/db", "daemonset/agent")
	var requests atomic.Int64
	e.config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			requests.Add(1)
			return next.RoundTrip(r)
		})
	})
	before := map[string]map[types.UID]bool{}
	for _, app := range []string{"web", "db", "agent"} {
		before[app] = uids(t, e.Cluster, e.namespace, "app="+app)
	}

	e.opts.Pace.Parallel = 3
	plan := e.plan(t, e.item("StatefulSet", "db", verdict.Drifted), e.item("Deployment", "web", verdict.Drifted), e.item("DaemonSet", "agent", verdict.Drifted))
	checkResults(t, plan, map[string]report.Result{"DaemonSet/agent": report.Planned, "Deployment/web": report.Planned, "StatefulSet/db": report.Planned})
	done := e.run(t.Context(), t, plan)
	checkResults(t, done, map[string]report.Result{"DaemonSet/agent": report.RolledOut, "Deployment/web": report.RolledOut, "StatefulSet/db": report.RolledOut})

	for app, old := range before {
		pods := podsOf(t, e.Cluster, e.namespace, "app="+app)
		if len(pods) != 2 {
			t.Errorf("%s has %d Pods, want 2", app, len(pods))
		}
		for _, pod := range pods {
			if old[pod.UID] && pod.DeletionTimestamp == nil {
				t.Errorf("Pod %s was not replaced", pod.Name)
			}
			if _, err := time.Parse(time.RFC3339, pod.Annotations["sidecarRollout.rollout.timestamp"]); err != nil {
				t.Errorf("Pod %s: %v", pod.Name, err)
			}
			if got := pod.Annotations["sidecarRollout.rollout.reason"]; got != "Update sidecars istio-proxy" {
				t.Errorf("Pod %s: reason %q", pod.Name, got)
			}
		}
	}
	for _, workload := range []string{"deployment/web", "statefulset/db", "daemonset/agent"} {
		e.checkRemembered(t, workload, report.RolledOut)
	}
	for _, item := range done.Items {
		if r := item.Rollout; r.StartedAt == nil || r.FinishedAt == nil || r.FinishedAt.Before(*r.StartedAt) || r.Strategy != string(rollout.Restart) {
			t.Errorf("%s/%s: %+v, want when it started and finished", item.Kind, item.Name, r)
		}
	}
	// get, patch, watch, two Events, the note: the rest is a question of
	// permission for each kind, a look at the namespace, and what admission is
	// made of, which more workloads would share.
	if got := requests.Load(); got > 3*10+8 {
		t.Errorf("%d requests for 3 workloads, want at most 10 each and 8", got)
	}
}

// checkRemembered checks what a workload's own annotation says of its last
// rollout, and waits until its controller has seen that, too: an annotation of a
// Deployment is a new generation of it, which is planned for once it is observed.
func (e *engine) checkRemembered(t *testing.T, workload string, want report.Result) {
	t.Helper()
	var last struct {
		Digest, Result string
		Time           time.Time
	}
	value := e.object(t, workload).GetAnnotations()[rollout.LastRolloutAnnotation]
	if err := json.Unmarshal([]byte(value), &last); err != nil || last.Result != string(want) || len(last.Digest) != 64 || last.Time.IsZero() {
		t.Errorf("%s: %s is %q (%v), want a digest, a time and the result %s", workload, rollout.LastRolloutAnnotation, value, err, want)
	}
	if want != report.Failed {
		rolledOut(t, e.Cluster, e.namespace, workload)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

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

	checkResults(t, e.plan(t, drifted), map[string]report.Result{"Deployment/web": report.NotConverging})
	other := e.item("Deployment", "web", verdict.Drifted)
	other.Revisions[0].Changes[0].To = json.RawMessage(`"proxy:3"`)
	checkResults(t, e.plan(t, other), map[string]report.Result{"Deployment/web": report.Planned})
	e.opts.Guards.Retry = true
	checkResults(t, e.plan(t, drifted), map[string]report.Result{"Deployment/web": report.Planned})
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
	done, err := rollout.Run(ctx, e.config, plan, e.opts, func(ctx context.Context, _ inventory.WorkloadRef) (*report.Item, error) {
		return nil, ctx.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	checkResults(t, done, map[string]report.Result{"Deployment/web": report.Interrupted})
	e.checkRemembered(t, "deployment/web", report.Interrupted)

	// An audit of what was there before says nothing of the restart.
	rolledOut(t, e.Cluster, e.namespace, "deployment/web")
	checkResults(t, e.plan(t, drifted), map[string]report.Result{"Deployment/web": report.Planned})
	newest := slices.MaxFunc(podsOf(t, e.Cluster, e.namespace, "app=web"), func(a, b corev1.Pod) int {
		return a.Status.StartTime.Compare(b.Status.StartTime.Time)
	})
	drifted.OldestPod = &newest.Status.StartTime.Time
	again := e.plan(t, drifted)
	checkResults(t, again, map[string]report.Result{"Deployment/web": report.NotConverging})
	if reason := again.Items[0].Rollout.Reason; !strings.Contains(reason, "by a run that did not see the end of it") {
		t.Errorf("reason %q", reason)
	}
	e.opts.Guards.Retry = true
	checkResults(t, e.plan(t, drifted), map[string]report.Result{"Deployment/web": report.Planned})
}

// deployStuck runs a Deployment that fills every node and whose restart hangs:
// the surge Pod fits nowhere, and no other may go first.
func (e *engine) deployStuck(t *testing.T, name string, progressDeadline int) {
	t.Helper()
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
			for _, want := range []string{test.want, "Pod a-stuck-", "Unschedulable: 0/2 nodes are available"} {
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
