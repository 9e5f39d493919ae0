package acceptance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

// guarded is a workload that a rollout must leave alone, and why.
type guarded struct {
	kind, name string
	// metadata and spec are YAML, beside the name, the selector and the Pods.
	metadata, spec string
	pod            string // YAML of the Pod's spec, beside its container
	reason         string
	settled        bool // wait until it runs
}

var guardedWorkloads = []guarded{
	{kind: "Deployment", name: "paused", spec: "replicas: 2, paused: true", reason: "kubectl rollout resume deployment/paused"},
	{kind: "Deployment", name: "zero", spec: "replicas: 0", settled: true, reason: "is scaled to zero"},
	{kind: "Deployment", name: "recreate", spec: "replicas: 2, strategy: {type: Recreate}", settled: true, reason: "its strategy is Recreate: --allow-downtime"},
	{kind: "Deployment", name: "no-surge", spec: "replicas: 1, strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}", settled: true, reason: "its one replica goes before its replacement is there: --allow-downtime"},
	{kind: "Deployment", name: "opted-out", metadata: `annotations: {sidecar-drift.io/rollout: disabled}`, spec: "replicas: 2", settled: true, reason: "sidecar-drift.io/rollout: disabled"},
	{kind: "Deployment", name: "budgeted", spec: "replicas: 2, strategy: {rollingUpdate: {maxUnavailable: 1}}", settled: true, reason: "PodDisruptionBudget budgeted allows 0 now"},
	{kind: "Deployment", name: "unhealthy", spec: "replicas: 1", pod: "nodeSelector: {nowhere: to-be-found}", reason: "0 of 1 updated replicas are available"},
	{kind: "StatefulSet", name: "single", spec: "replicas: 1, serviceName: db", settled: true, reason: "--allow-downtime"},
	{kind: "StatefulSet", name: "partitioned", spec: "replicas: 2, serviceName: db, updateStrategy: {rollingUpdate: {partition: 1}}", settled: true, reason: "holds the Pods below ordinal 1"},
	{kind: "StatefulSet", name: "on-delete", spec: "replicas: 2, serviceName: db, updateStrategy: {type: OnDelete}", reason: "OnDelete"},
	{kind: "DaemonSet", name: "on-delete", spec: "updateStrategy: {type: OnDelete}", reason: "OnDelete"},
	{kind: "DaemonSet", name: "nowhere", pod: "nodeSelector: {nowhere: to-be-found}", settled: true, reason: "no node wants a Pod of it"},
}

func (g guarded) yaml() string {
	comma := func(s string) string {
		if s == "" {
			return ""
		}
		return ", " + s
	}
	app := strings.ToLower(g.kind) + "-" + g.name
	return fmt.Sprintf(`
---
apiVersion: apps/v1
kind: %s
metadata: {name: %s%s}
spec: {selector: {matchLabels: {app: %s}}, template: {metadata: {labels: {app: %[4]s}}, spec: {containers: [{name: app, image: "app:1"}]%s}}%s}
`, g.kind, g.name, comma(g.metadata), app, comma(g.pod), comma(g.spec))
}

// What must be left alone is Skipped in the plan with its reason, which an audit gives,
// too, and skipped again by a run that is made to try it, for things may change after a
// plan.
func TestRolloutGuards(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	var items []report.Item
	want := map[string]string{}
	for _, g := range guardedWorkloads {
		apply(t, e.Cluster, e.namespace, g.yaml())
		items = append(items, e.item(g.kind, g.name, verdict.Drifted))
		want[g.kind+"/"+g.name] = g.reason
	}
	apply(t, e.Cluster, e.namespace, `
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: budgeted}
spec: {minAvailable: 2, selector: {matchLabels: {app: deployment-budgeted}}}
`)
	apply(t, e.Cluster, e.namespace, guarded{kind: "Deployment", name: "free", spec: "replicas: 2"}.yaml())
	rolledOut(t, e.Cluster, e.namespace, "deployment/free")
	for _, g := range guardedWorkloads {
		if g.settled {
			rolledOut(t, e.Cluster, e.namespace, strings.ToLower(g.kind)+"/"+g.name)
		}
	}
	e.checkObserved(t)
	before := e.versions(t)

	plan := e.plan(t, items...)
	checkReasons(t, "plan", plan.Report(), want)
	audited := advise(t, auditorConfig(t, e.Cluster), report.New(report.DriftReport, time.Now(), append(items, e.item("Deployment", "free", verdict.Drifted)), 0))
	for _, item := range audited.Items {
		if _, guarded := want[item.Kind+"/"+item.Name]; item.Rollout.Eligible == guarded {
			t.Errorf("an audit says of %s/%s: %+v", item.Kind, item.Name, item.Rollout)
		}
	}
	audited.Items = slices.DeleteFunc(audited.Items, func(item report.Item) bool { return item.Rollout.Eligible })
	for i := range audited.Items {
		audited.Items[i].Rollout.Result = report.Skipped // a plan's word
	}
	checkReasons(t, "audit", audited, want)
	forced := *plan
	forced.Steps = slices.Clone(plan.Steps)
	for i := range forced.Steps {
		forced.Steps[i].Result = report.Planned
	}
	checkReasons(t, "run", e.run(t.Context(), t, &forced), want)
	if diff := cmp.Diff(before, e.versions(t)); diff != "" {
		t.Errorf("workloads have changed (-before +after):\n%s", diff)
	}
}

func checkReasons(t *testing.T, what string, r *report.Report, want map[string]string) {
	t.Helper()
	if len(r.Items) != len(want) {
		t.Errorf("%s: %d items, want %d", what, len(r.Items), len(want))
	}
	for _, item := range r.Items {
		name := item.Kind + "/" + item.Name
		if item.Rollout.Result != report.Skipped || !strings.Contains(item.Rollout.Reason, want[name]) {
			t.Errorf("%s: %s is %s: %s; want it Skipped: %s", what, name, item.Rollout.Result, item.Rollout.Reason, want[name])
		}
	}
}

// checkObserved waits until every controller has looked at its workload, so
// that it is not skipped for that.
func (e *engine) checkObserved(t *testing.T) {
	t.Helper()
	err := cluster.Poll(t.Context(), "the controllers to look at every workload", func(ctx context.Context) error {
		out, err := e.Kubectl(ctx, "", "-n", e.namespace, "get", "deployments,statefulsets,daemonsets",
			"-o", `jsonpath={range .items[*]}{.metadata.name} {.metadata.generation} {.status.observedGeneration}{"\n"}{end}`)
		if err != nil {
			return err
		}
		for line := range strings.Lines(out) {
			if f := strings.Fields(line); len(f) != 3 || f[1] != f[2] {
				return fmt.Errorf("%s has not been looked at", line)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// versions are the generations of the namespace's workloads, which any write
// by a rollout would raise.
func (e *engine) versions(t *testing.T) string {
	t.Helper()
	out, err := e.Kubectl(t.Context(), "", "-n", e.namespace, "get", "deployments,statefulsets,daemonsets",
		"-o", `jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.generation} {.metadata.annotations}{"\n"}{end}`)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRolloutWithDowntimeAllowed(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	g := guarded{kind: "Deployment", name: "recreate", spec: "replicas: 1, strategy: {type: Recreate}"}
	apply(t, e.Cluster, e.namespace, g.yaml())
	rolledOut(t, e.Cluster, e.namespace, "deployment/recreate")
	e.opts.Guards.AllowDowntime = true
	done := e.run(t.Context(), t, e.plan(t, e.item("Deployment", "recreate", verdict.Drifted)))
	checkResults(t, done, map[string]report.Result{"Deployment/recreate": report.RolledOut})
}

func TestRolloutSparesNamespaces(t *testing.T) {
	t.Run("that opted out", func(t *testing.T) {
		t.Parallel()
		e := newEngine(t)
		deployWeb(t, e.Cluster, e.namespace, 1, "web")
		if _, err := e.Kubectl(t.Context(), "", "annotate", "namespace", e.namespace, "sidecar-drift.io/rollout=disabled"); err != nil {
			t.Fatal(err)
		}
		checkReasons(t, "plan", e.plan(t, e.item("Deployment", "web", verdict.Drifted)).Report(), map[string]string{"Deployment/web": "of namespace " + e.namespace})
	})
	t.Run("that are terminating", func(t *testing.T) {
		t.Parallel()
		e := newEngine(t)
		held := guarded{kind: "Deployment", name: "web", metadata: "finalizers: [example.com/hold]"}
		apply(t, e.Cluster, e.namespace, held.yaml())
		namespaces := e.Client().CoreV1().Namespaces()
		if err := namespaces.Delete(t.Context(), e.namespace, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		checkReasons(t, "plan", e.plan(t, e.item("Deployment", "web", verdict.Drifted)).Report(), map[string]string{"Deployment/web": "is terminating"})
		if _, err := e.Kubectl(t.Context(), "", "-n", e.namespace, "patch", "deployment/web", "--type=merge", "-p", `{"metadata":{"finalizers":null}}`); err != nil {
			t.Fatal(err)
		}
	})
}

// What the audit says keeps workloads from being rolled out, too, whatever is
// asked for.
func TestRolloutNever(t *testing.T) {
	c, injector := fenced(t), testIstio(t)
	namespace := namespaceWith(t, c, injected)
	apply(t, c, namespace, `
apiVersion: v1
kind: ServiceAccount
metadata: {name: web}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: blocked}
spec:
  selector: {matchLabels: {app: blocked}}
  template: {metadata: {labels: {app: blocked}}, spec: {serviceAccountName: web, containers: [{name: app, image: "app:1"}]}}
---
apiVersion: v1
kind: Pod
metadata:
  name: arena-7
  ownerReferences: [{apiVersion: games.example.com/v1, kind: GameServer, name: arena, uid: 8d9e7f3c-0000-4000-8000-000000000000, controller: true}]
spec: {containers: [{name: app, image: "app:1"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: bare}
spec: {containers: [{name: app, image: "app:1"}]}
`)
	rolledOut(t, c, namespace, "deployment/blocked")
	remove("serviceaccount", "web")(t, c, namespace)
	if err := injector.Update(t.Context(), istio.Values("1.28.0", "150m")...); err != nil {
		t.Fatal(err)
	}
	before := versionsIn(t, c, namespace)
	want := map[string]string{
		"Deployment/blocked": `Blocked and never rolled out: pods "blocked-`,
		"GameServer/arena":   "owners of kind GameServer are not rolled out",
		"Pod/bare":           "a Pod of its own",
	}
	for _, args := range [][]string{{"--all"}, {"--strategy", "evict"}, {"--strategy", "evict", "--all", "--allow-downtime", "--allow-orphaned", "--retry"}} {
		checkReasons(t, strings.Join(args, " "), rolloutCommand(t, c, 0, append(args, "-n", namespace, "--confirm")...), want)
	}
	if diff := cmp.Diff(before, versionsIn(t, c, namespace)); diff != "" {
		t.Errorf("something has changed (-before +after):\n%s", diff)
	}
}

// Impersonation asks, and acts, as somebody else.
func TestRolloutByImpersonation(t *testing.T) {
	c, injector := fenced(t), testIstio(t)
	namespace := namespaceWith(t, c, injected)
	deployWeb(t, c, namespace, 1, "web")
	if err := injector.Update(t.Context(), istio.Values("1.28.0", "150m")...); err != nil {
		t.Fatal(err)
	}
	as := func(account string) []string {
		return []string{"--kubeconfig", c.Kubeconfig(), "--as", "system:serviceaccount:" + installation + ":" + account, "-n", namespace}
	}
	checkReasons(t, "as the auditor", rolloutCommand(t, c, 0, as("sidecar-drift-auditor")...),
		map[string]string{"Deployment/web": "you may not patch deployments.apps in namespace " + namespace})
	checkResults(t, rolloutCommand(t, c, 0, append(as("sidecar-drift-rollout"), "--confirm")...),
		map[string]report.Result{"Deployment/web": report.RolledOut})
	auditNamespace(t, c, namespace, "Deployment/web InSync 1")
}
