package acceptance

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
)

// crowded is a workload of which a new Pod may not be able to start beside the old ones.
type crowded struct {
	kind, name, spec, pod string
	ports                 string // of the container
	hangs                 string // what the plan says it would hang at; empty: it would not
	doubt                 string // what the plan says beside
}

const (
	apartByNode = `affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: %s}}%s}]}}`
	withVolume  = `volumes: [{name: data, persistentVolumeClaim: {claimName: %s}}]`
)

// Of pools of two nodes.
var crowdedWorkloads = []crowded{
	{kind: "Deployment", name: "port", spec: "replicas: 2", ports: "{containerPort: 80, hostPort: 8080}", hangs: "port 8080/TCP"},
	{kind: "Deployment", name: "network", spec: "replicas: 2", pod: "hostNetwork: true", ports: "{containerPort: 8081}", hangs: "port 8081/TCP"},
	{kind: "Deployment", name: "apart", spec: "replicas: 2", pod: fmt.Sprintf(apartByNode, "deployment-apart", ""), hangs: "each on another kubernetes.io/hostname"},
	{kind: "Deployment", name: "one-pod", spec: "replicas: 1", pod: fmt.Sprintf(withVolume, "one-pod"), hangs: "claim one-pod is ReadWriteOncePod"},
	{kind: "DaemonSet", name: "network", spec: "updateStrategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}", pod: "hostNetwork: true", ports: "{containerPort: 8082}", hangs: "port 8082/TCP"},
	{kind: "Deployment", name: "one-node", spec: "replicas: 1", pod: fmt.Sprintf(withVolume, "one-node"), doubt: "claim one-node is ReadWriteOnce: a new Pod can start only on "},
	{kind: "Deployment", name: "port-free", spec: "replicas: 1", ports: "{containerPort: 80, hostPort: 8083}", doubt: "of 2 nodes that fit, 1 have no Pod of it"},
	{kind: "Deployment", name: "port-first", spec: "replicas: 2, strategy: {rollingUpdate: {maxUnavailable: 1}}", ports: "{containerPort: 80, hostPort: 8084}"},
	{kind: "Deployment", name: "apart-revisions", spec: "replicas: 2", pod: fmt.Sprintf(apartByNode, "deployment-apart-revisions", ", matchLabelKeys: [pod-template-hash]")},
	{kind: "DaemonSet", name: "port", ports: "{containerPort: 80, hostPort: 8085}"},
	{kind: "StatefulSet", name: "apart", spec: "replicas: 2, serviceName: db", pod: fmt.Sprintf(apartByNode, "statefulset-apart", "")},
}

func (w crowded) deploy(t *testing.T, e *engine, pool string) {
	t.Helper()
	app := strings.ToLower(w.kind) + "-" + w.name
	parts := []string{inPool(pool), fmt.Sprintf(`containers: [{name: app, image: "app:1", ports: [%s]}]`, w.ports)}
	if w.pod != "" {
		parts = append(parts, w.pod)
	}
	spec := ""
	if w.spec != "" {
		spec = w.spec + ", "
	}
	apply(t, e.Cluster, e.namespace, fmt.Sprintf(`
apiVersion: apps/v1
kind: %s
metadata: {name: %s}
spec: {%sselector: {matchLabels: {app: %s}}, template: {metadata: {labels: {app: %[4]s}}, spec: {%s}}}
`, w.kind, w.name, spec, app, strings.Join(parts, ", ")))
}

func deployCrowded(t *testing.T, e *engine, workloads []crowded) {
	t.Helper()
	for name, mode := range map[string]string{"one-pod": "ReadWriteOncePod", "one-node": "ReadWriteOnce"} {
		apply(t, e.Cluster, e.namespace, fmt.Sprintf(`
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: %s}
spec: {accessModes: [%s], resources: {requests: {storage: 1Gi}}}
`, name, mode))
	}
	nodes := pool(t, e.Cluster, 2)
	for _, w := range workloads {
		w.deploy(t, e, nodes)
	}
	for _, w := range workloads {
		rolledOut(t, e.Cluster, e.namespace, strings.ToLower(w.kind)+"/"+w.name)
	}
}

func (e *engine) driftedCrowd(t *testing.T, w crowded) report.Item {
	return e.drifted(w.kind, w.name, podsOf(t, e.Cluster, e.namespace, "app="+strings.ToLower(w.kind)+"-"+w.name)...)
}

// A rolling update that could not go on is left out of a plan, with what to do; what may
// not go on is said; and what a plan says hangs does, and nothing else.
func TestRolloutBesideTheOldPods(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	deployCrowded(t, e, crowdedWorkloads)
	var items []report.Item
	for _, w := range crowdedWorkloads {
		items = append(items, e.driftedCrowd(t, w))
	}
	plan := e.plan(t, items...)
	said := map[string]report.Rollout{}
	for _, item := range plan.Report().Items {
		said[item.Kind+"/"+item.Name] = item.Rollout
	}
	hanging := map[string]bool{}
	for _, w := range crowdedWorkloads {
		got, want := said[w.kind+"/"+w.name], report.Planned
		if w.hangs != "" {
			want, hanging[w.kind+"/"+w.name] = report.Skipped, true
		}
		if got.Result != want || !strings.Contains(got.Reason, w.hangs+w.doubt) || (got.Reason == "") != (w.hangs+w.doubt == "") {
			t.Errorf("%s/%s is %s: %s; want it %s: %s", w.kind, w.name, got.Result, got.Reason, want, w.hangs+w.doubt)
		}
		if w.hangs != "" && (!strings.Contains(got.Reason, "--strategy evict") || !strings.Contains(got.Reason, "--allow-downtime")) {
			t.Errorf("%s/%s: %s; want what to do", w.kind, w.name, got.Reason)
		}
	}
	e.opts.Guards.AllowDowntime, e.opts.Pace.Timeout, e.opts.Pace.Parallel, e.opts.Pace.MaxFailures = true, time.Minute, len(items), len(items)
	plan = e.plan(t, items...)
	results := map[string]report.Result{}
	for _, w := range crowdedWorkloads {
		name := w.kind + "/" + w.name
		if results[name] = report.RolledOut; hanging[name] {
			results[name] = report.Failed
		}
	}
	for _, step := range plan.Steps {
		if name := step.Item.Kind + "/" + step.Item.Name; hanging[name] && !strings.Contains(step.Reason, "will hang until one of its Pods goes") {
			t.Errorf("%s, with downtime allowed: %s: %s", name, step.Result, step.Reason)
		}
	}
	checkResults(t, e.run(t.Context(), t, plan), results)
}

// Auto evicts what a restart would hang with, and a run that is made to restart it leaves
// it alone.
func TestRolloutBesideTheOldPodsByEviction(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	hanging := slices.DeleteFunc(slices.Clone(crowdedWorkloads), func(w crowded) bool { return w.hangs == "" || strings.HasPrefix(w.spec, "replicas: 1") })
	deployCrowded(t, e, hanging)
	var items []report.Item
	want := map[string]report.Result{}
	for _, w := range hanging {
		items, want[w.kind+"/"+w.name] = append(items, e.driftedCrowd(t, w)), report.RolledOut
	}
	forced := e.plan(t, items...)
	skipped := map[string]string{}
	for i := range forced.Steps {
		forced.Steps[i].Result = report.Planned
		skipped[forced.Steps[i].Item.Kind+"/"+forced.Steps[i].Item.Name] = "a restart would hang"
	}
	checkReasons(t, "a run", e.run(t.Context(), t, forced), skipped)

	e.opts.Strategy, e.opts.Pace.Parallel = rollout.Auto, len(items)
	plan := e.plan(t, items...)
	for _, step := range plan.Steps {
		if step.Strategy != rollout.Evict || !strings.Contains(step.Reason, "a restart would hang") {
			t.Errorf("%s/%s: %s by %s: %s", step.Item.Kind, step.Item.Name, step.Result, step.Strategy, step.Reason)
		}
	}
	checkResults(t, e.run(t.Context(), t, plan), want)
}

// Where nodes and claims may not be read, the plan says that it was not checked, and goes
// on with what it can read.
func TestRolloutBesideUnread(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	e.namespace, _ = editorOf(t, e.Cluster) // who may read no node
	var err error
	if e.config, err = e.ServiceAccountConfig(t.Context(), e.namespace, "tenant"); err != nil {
		t.Fatal(err)
	}
	deployCrowded(t, e, crowdedWorkloads[:1])
	plan := e.plan(t, e.drifted("Deployment", "port", podsOf(t, e.Cluster, e.namespace, "app=deployment-port")...))
	if s := plan.Steps[0]; s.Result != report.Planned || !strings.Contains(s.Reason, "it was not checked whether a new Pod can start beside the old ones, as nodes may not be read by this identity") {
		t.Errorf("%s: %s", s.Result, s.Reason)
	}
}

// A node that is cordoned takes no new Pod, which is said; a volume need not be attached to it.
func TestRolloutBesideOnACordonedNode(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	w := crowded{kind: "Deployment", name: "one-node", spec: "replicas: 1", pod: fmt.Sprintf(withVolume, "one-node")}
	deployCrowded(t, e, []crowded{w})
	item := e.driftedCrowd(t, w)
	node := podsOf(t, e.Cluster, e.namespace, "app=deployment-one-node")[0].Spec.NodeName
	if _, err := e.Kubectl(t.Context(), "", "cordon", node); err != nil {
		t.Fatal(err)
	}
	if s := e.plan(t, item).Steps[0]; s.Result != report.Planned || !strings.Contains(s.Reason, "claim one-node is ReadWriteOnce, and none can start on "+node) {
		t.Errorf("%s: %s", s.Result, s.Reason)
	}
}
