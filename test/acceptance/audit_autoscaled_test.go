package acceptance

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
)

// A VerticalPodAutoscaler sizes each Pod anew: such differences are reported,
// and never rolled out, as that would go on for ever.
func TestAuditOfAutoscaledPods(t *testing.T) {
	c := fenced(t)
	proxy := startInjector(t, c, "proxy", "proxy:1")
	size := 0
	// As VPA's admission controller patches Pods.
	proxy.setMore(func() []injector.Operation {
		size++
		return []injector.Operation{
			{Op: "add", Path: "/metadata/annotations", Value: map[string]string{"vpaUpdates": "Pod resources updated by web", "vpaObservedContainers": "app"}},
			{Op: "add", Path: "/spec/containers/0/resources", Value: corev1.ResourceRequirements{}},
			{Op: "add", Path: "/spec/containers/0/resources/requests", Value: map[string]string{"cpu": fmt.Sprintf("%dm", 100+size)}},
		}
	})
	namespace := injectedNamespace(t, c, 1)
	deployWeb(t, c, namespace, 2, "web")
	web := itemOf(t, auditNamespace(t, c, namespace, "Deployment/web InSync 2"), "Deployment", "web")
	if r := web.Revisions[0]; len(r.Autoscaled) == 0 || r.Autoscaled[0].Path != "resources.requests.cpu" || !strings.Contains(r.Reason, "--include-autoscaled") {
		t.Errorf("%+v, want the resources reported beside the verdict", r)
	}
	if r := rolloutCommand(t, c, 0, "-n", namespace, "--confirm"); len(r.Items) > 0 {
		t.Errorf("there is something to roll out: %+v", r.Items)
	}
	// Counted, they move with every question.
	checkReasons(t, "counted", rolloutCommand(t, c, 0, "-n", namespace, "--confirm", "--include-autoscaled"),
		map[string]string{"Deployment/web": "Unstable and never rolled out"})

	proxy.setImage("proxy:2")
	drifted := itemOf(t, auditNamespace(t, c, namespace, "Deployment/web Drifted 2"), "Deployment", "web")
	if diff := cmp.Diff([]string{`container/proxy image: "proxy:1" → "proxy:2"`}, changeLines(drifted.Revisions[0].Changes)); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	checkResults(t, rolloutCommand(t, c, 0, "-n", namespace, "--confirm"), map[string]report.Result{"Deployment/web": report.RolledOut})
	if after := itemOf(t, auditNamespace(t, c, namespace, "Deployment/web InSync 2"), "Deployment", "web"); after.State != verdict.InSync {
		t.Errorf("afterwards it is %s", after.State)
	}
}

// Pods that were made before their VerticalPodAutoscaler have no annotation: the
// autoscaler itself says that they are its own.
func TestAuditOfPodsThatAnAutoscalerCovers(t *testing.T) {
	c := fenced(t)
	proxy := startInjector(t, c, "proxy", "proxy:1")
	namespace := injectedNamespace(t, c, 1)
	deployWeb(t, c, namespace, 2, "web")
	resize := injector.Operation{Op: "add", Path: "/spec/containers/1/resources", Value: map[string]any{"requests": map[string]string{"cpu": "150m"}}}
	proxy.setMore(func() []injector.Operation { return []injector.Operation{resize} })

	installed, stranger := auditorConfig(t, c), account(t, c, namespace, readPods, readReplicaSets, createPods)
	audit := func(config *rest.Config, counted bool) *report.Report {
		t.Helper()
		r, err := audit.Run(t.Context(), config, audit.Options{
			Selection: inventory.Selection{Namespace: namespace}, IncludeAutoscaled: counted, Log: logr.Discard(),
		})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	const change = `container/proxy resources.requests.cpu: none → "150m"`
	drifted := func(when string, r *report.Report, note string) {
		t.Helper()
		web := itemOf(t, r, "Deployment", "web").Revisions[0]
		if diff := cmp.Diff([]string{change}, changeLines(web.Changes)); web.State != verdict.Drifted || len(web.Autoscaled) > 0 || diff != "" {
			t.Errorf("%s: %s, %d changes are the autoscaler's, changes (-want +got):\n%s", when, web.State, len(web.Autoscaled), diff)
		}
		// Who may not read what admission is made of is told that, too.
		got := strings.Join(slices.DeleteFunc(r.Notes, func(n string) bool { return strings.HasPrefix(n, "Webhooks and policies could not be read") }), "\n")
		if (note == "") != (got == "") || !strings.Contains(got, note) {
			t.Errorf("%s: notes %q, want %q", when, got, note)
		}
	}
	inSync := func(when string, r *report.Report) {
		t.Helper()
		web := itemOf(t, r, "Deployment", "web").Revisions[0]
		if diff := cmp.Diff([]string{change}, changeLines(web.Autoscaled)); web.State != verdict.InSync || len(web.Changes) > 0 || diff != "" {
			t.Errorf("%s: %s, changes %v, the autoscaler's (-want +got):\n%s", when, web.State, changeLines(web.Changes), diff)
		}
	}
	drifted("no kind", audit(installed, false), "")
	drifted("no kind, no right", audit(stranger, false), "")

	installAutoscalerKind(t, c)
	drifted("no autoscaler", audit(installed, false), "")
	drifted("no right", audit(stranger, false), `cannot list resource "verticalpodautoscalers"`)

	autoscale := func(spec string) {
		t.Helper()
		apply(t, c, namespace, fmt.Sprintf(`
apiVersion: autoscaling.k8s.io/v1
kind: VerticalPodAutoscaler
metadata: {name: web}
spec: {targetRef: {apiVersion: apps/v1, kind: Deployment, name: web}, %s}
`, spec))
	}
	autoscale(`updatePolicy: {updateMode: Initial}`)
	inSync("covered", audit(installed, false))
	drifted("covered and counted", audit(installed, true), "")
	if r := rolloutCommand(t, c, 0, "-n", namespace, "--confirm"); len(r.Items) > 0 {
		t.Errorf("there is something to roll out: %+v", r.Items)
	}
	autoscale(`updatePolicy: {updateMode: Auto}, resourcePolicy: {containerPolicies: [{containerName: proxy, mode: "Off"}]}`)
	drifted("covered but for the sidecar", audit(installed, false), "")
	autoscale(`updatePolicy: {updateMode: "Off"}, resourcePolicy: null`)
	drifted("switched off", audit(installed, false), "")

	// The fresh Pod's annotation is enough.
	proxy.setMore(func() []injector.Operation {
		return []injector.Operation{resize, {Op: "add", Path: "/metadata/annotations", Value: map[string]string{"vpaUpdates": "Pod resources updated by web"}}}
	})
	inSync("only the fresh Pod is annotated", audit(installed, false))
}

// Datadog's autoscaler refers to its workload as VerticalPodAutoscalers do; others are named
// by those who have them.
func TestAuditOfPodsThatOtherAutoscalersCover(t *testing.T) {
	c := fenced(t)
	proxy := startInjector(t, c, "proxy", "proxy:1")
	namespace := injectedNamespace(t, c, 1)
	deployWeb(t, c, namespace, 1, "web")
	proxy.setMore(func() []injector.Operation {
		return []injector.Operation{{Op: "add", Path: "/spec/containers/1/resources", Value: map[string]any{"requests": map[string]string{"cpu": "150m"}}}}
	})
	serveKind(t, c, "datadoghq.com", "v1alpha2", "DatadogPodAutoscaler", "")
	serveKind(t, c, "example.test", "v1", "Rightsizer", "")
	clusterWide(t, c, `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: rightsizers}
rules: [{apiGroups: [example.test], resources: [rightsizers], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: rightsizers}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: rightsizers}
subjects: [{kind: ServiceAccount, name: sidecar-drift-auditor, namespace: sidecar-drift}]
`)
	kubeconfig, err := c.ServiceAccountKubeconfig(t.Context(), install.Namespace, install.AuditorAccount)
	if err != nil {
		t.Fatal(err)
	}
	object := func(apiVersion, kind, spec string) {
		t.Helper()
		apply(t, c, namespace, fmt.Sprintf("{apiVersion: %s, kind: %s, metadata: {name: web}, spec: {%s}}", apiVersion, kind, spec))
	}
	noted := ""
	state := func(when string, want verdict.State, flags ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), testProduct(t).CLI, append([]string{"audit", "--kubeconfig", kubeconfig, "-n", namespace, "-o", "json"}, flags...)...)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		var found report.Report
		if err := json.Unmarshal(out, &found); err != nil {
			t.Fatal(err)
		}
		if got := itemOf(t, &found, "Deployment", "web"); got.State != want || (noted == "") != (len(found.Notes) == 0) || !strings.Contains(strings.Join(found.Notes, "; "), noted) {
			t.Errorf("%s: %s, notes %q, want %s and %q", when, got.State, found.Notes, want, noted)
		}
	}
	const web = "{apiVersion: apps/v1, kind: Deployment, name: web}"
	rightsizers := []string{"--autoscaler", "resource=rightsizers.v1.example.test,targetRef=spec.workload,unless=spec.mode=Recommend"}
	state("covered by none", verdict.Drifted, rightsizers...)
	object("datadoghq.com/v1alpha2", "DatadogPodAutoscaler", "targetRef: "+web)
	state("covered by Datadog's", verdict.InSync)
	object("datadoghq.com/v1alpha2", "DatadogPodAutoscaler", "targetRef: "+web+", applyPolicy: {mode: Preview}")
	state("Datadog's previews", verdict.Drifted)
	object("example.test/v1", "Rightsizer", "workload: "+web)
	state("covered by one that nobody named", verdict.Drifted)
	state("covered by one that was named", verdict.InSync, rightsizers...)
	state("counted", verdict.Drifted, append(rightsizers, "--include-autoscaled")...)
	object("example.test/v1", "Rightsizer", "workload: "+web+", mode: Recommend")
	state("it recommends", verdict.Drifted, rightsizers...)
	noted = "rightsizer.example.test"
	state("a kind that there is not", verdict.Drifted, "--autoscaler", "resource=rightsizer.v1.example.test")
}

// installAutoscalerKind makes the API server know VerticalPodAutoscalers for one
// test.
func installAutoscalerKind(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	serveKind(t, c, "autoscaling.k8s.io", "v1", "VerticalPodAutoscaler", `{api-approved.kubernetes.io: "https://github.com/kubernetes/kubernetes/pull/63797"}`)
}

// serveKind makes the API server know a kind of namespaced objects for one test.
func serveKind(t *testing.T, c *cluster.Cluster, group, version, kind, annotations string) {
	t.Helper()
	singular := strings.ToLower(kind)
	plural := singular + "s"
	if annotations == "" {
		annotations = "{}"
	}
	clusterWide(t, c, fmt.Sprintf(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: %[4]s.%[1]s
  annotations: %[6]s
spec:
  group: %[1]s
  names: {kind: %[3]s, listKind: %[3]sList, plural: %[4]s, singular: %[5]s}
  scope: Namespaced
  versions:
    - name: %[2]s
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`, group, version, kind, plural, singular, annotations))
	err := cluster.Poll(t.Context(), "the kind "+kind, func(ctx context.Context) error {
		_, err := c.Kubectl(ctx, "", "get", plural+"."+group, "-A")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
