package acceptance

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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
			Select: rollout.Filter{IncludeDaemonSet: true, IncludeStatefulSet: true},
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

func (e *engine) plan(t *testing.T, items ...report.Item) *rollout.Plan {
	t.Helper()
	plan, err := rollout.MakePlan(t.Context(), e.config, report.New(report.DriftReport, time.Now(), items, 0), e.opts)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func (e *engine) run(ctx context.Context, t *testing.T, plan *rollout.Plan) *report.Report {
	t.Helper()
	done, err := rollout.Run(ctx, e.config, plan, e.opts, func(_ context.Context, w inventory.WorkloadRef, _ []byte) (*report.Item, error) {
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
		all[pod.UID] = true
	}
	return all
}

func TestRolloutReplacesPods(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	apply(t, e.Cluster, e.namespace, workloads)
	rolledOut(t, e.Cluster, e.namespace, "deployment/web", "statefulset/db", "daemonset/agent")
	requests := tally{reads: map[string]bool{}}
	e.config.Wrap(requests.count)
	before := map[string]map[types.UID]bool{}
	for _, app := range []string{"web", "db", "agent"} {
		before[app] = uids(t, e.Cluster, e.namespace, "app="+app)
	}

	e.opts.Pace.Parallel = 3
	plan := e.plan(t, e.item("StatefulSet", "db", verdict.Drifted), e.item("Deployment", "web", verdict.Drifted), e.item("DaemonSet", "agent", verdict.Drifted))
	checkResults(t, plan.Report(), map[string]report.Result{"DaemonSet/agent": report.Planned, "Deployment/web": report.Planned, "StatefulSet/db": report.Planned})
	done := e.run(t.Context(), t, plan)
	checkResults(t, done, map[string]report.Result{"DaemonSet/agent": report.RolledOut, "Deployment/web": report.RolledOut, "StatefulSet/db": report.RolledOut})

	for app, old := range before {
		pods := podsOf(t, e.Cluster, e.namespace, "app="+app)
		if len(pods) != 2 {
			t.Errorf("%s has %d Pods, want 2", app, len(pods))
		}
		for _, pod := range pods {
			if old[pod.UID] {
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
	// Each is read, patched, told of by two Events and noted. What else is read, the namespace,
	// its Pods and budgets and what admission is made of, is read again as long as it takes.
	if writes, reads := requests.all(); len(writes) > 3*4 || len(reads) > 3+9 {
		t.Errorf("%d writes for 3 workloads, want at most 4 each, and %d reads, want one each and 9:\n%s", len(writes), len(reads), strings.Join(append(writes, reads...), "\n"))
	}
}

// tally knows what was written, and what was read at all.
type tally struct {
	mu     sync.Mutex
	writes []string
	reads  map[string]bool
}

func (c *tally) count(next http.RoundTripper) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		response, err := next.RoundTrip(r)
		c.mu.Lock()
		defer c.mu.Unlock()
		switch {
		case err != nil || response.StatusCode == http.StatusConflict || r.URL.Path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews":
		case r.Method != http.MethodGet:
			c.writes = append(c.writes, r.Method+" "+r.URL.Path)
		case r.URL.Path != "/api/v1/nodes" && !r.URL.Query().Has("watch"):
			c.reads[r.URL.Path] = true
		}
		return response, err
	})
}

func (c *tally) all() (writes, reads []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(slices.Values(c.writes)), slices.Sorted(maps.Keys(c.reads))
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
