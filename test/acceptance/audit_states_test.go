package acceptance

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/fingerprint"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

func TestAuditRightAfterCreation(t *testing.T) {
	c := testCluster(t)
	testIstio(t)
	testProduct(t)
	namespace := workloadsOfEveryKind(t, c, injected)
	for range 2 {
		r := auditNamespace(t, c, namespace, inEveryState("InSync")...)
		if r.Summary.Drift() != 0 || r.Summary.Pods["InSync"] != 11 {
			t.Errorf("summary %+v", r.Summary)
		}
		for _, item := range r.Items {
			for _, revision := range item.Revisions {
				if len(revision.Stamps) != 1 || revision.Stamps[0].Stamp != revision.Fresh {
					t.Errorf("%s/%s: stamps %v, fresh %s", item.Kind, item.Name, revision.Stamps, revision.Fresh)
				}
				if diff := cmp.Diff([]string{"istio-init", "istio-proxy"}, revision.Sidecars); diff != "" {
					t.Errorf("%s/%s: sidecars (-want +got):\n%s", item.Kind, item.Name, diff)
				}
				if got, want := revision.Approximate, item.Kind == "Pod"; got != want {
					t.Errorf("%s/%s: approximate is %v", item.Kind, item.Name, got)
				}
			}
		}
	}
}

func TestAuditWithoutInjection(t *testing.T) {
	c := testCluster(t)
	testIstio(t)
	testProduct(t)
	namespace := workloadsOfEveryKind(t, c, nil)
	r := auditNamespace(t, c, namespace, inEveryState("NotInjected")...)
	if fresh := itemOf(t, r, "Deployment", "web").Revisions[0].Fresh; fresh != fingerprint.None {
		t.Errorf("fresh stamp %s", fresh)
	}
}

// Pods made before the stamper was there have no stamp, and are judged all the
// same.
func TestAuditOfUnstampedPods(t *testing.T) {
	c := testCluster(t)
	testIstio(t)
	testProduct(t)
	namespace := workloadsOfEveryKind(t, c, map[string]string{
		"istio-injection": "enabled", "sidecar-drift.io/stamp": "disabled",
	})
	r := auditNamespace(t, c, namespace, inEveryState("InSync")...)
	web := itemOf(t, r, "Deployment", "web").Revisions[0]
	if len(web.Stamps) != 1 || web.Stamps[0].Stamp != "" || !stampPattern.MatchString(web.Fresh) {
		t.Errorf("without a stamper: stamps %v, fresh %s", web.Stamps, web.Fresh)
	}
	label(t, c, namespace, `{"sidecar-drift.io/stamp": null}`, hasStamp)
	auditNamespace(t, c, namespace, inEveryState("InSync")...)
}

func TestAuditAfterATemplateChange(t *testing.T) {
	c, injector := testCluster(t), testIstio(t)
	testProduct(t)
	namespace := workloadsOfEveryKind(t, c, injected)
	apply(t, c, namespace, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: aside}
spec:
  selector: {matchLabels: {app: aside}}
  template:
    metadata: {labels: {app: aside, sidecar.istio.io/inject: "false"}}
    spec: {containers: [{name: app, image: "app:1"}]}
`)
	rolledOut(t, c, namespace, "deployment/aside")
	if err := injector.Update(t.Context(), istio.Values("1.28.0", "150m")...); err != nil {
		t.Fatal(err)
	}
	r := auditNamespace(t, c, namespace, append(inEveryState("Drifted"), "Deployment/aside NotInjected 1")...)
	want := []string{
		`container/istio-proxy image: "istio/proxyv2:1.27.0" → "istio/proxyv2:1.28.0"`,
		`container/istio-proxy resources.requests.cpu: "100m" → "150m"`,
		`initContainer/istio-init image: "istio/proxyv2:1.27.0" → "istio/proxyv2:1.28.0"`,
		`initContainer/istio-init resources.requests.cpu: "100m" → "150m"`,
	}
	for _, item := range r.Items {
		if item.Name == "aside" {
			continue
		}
		if diff := cmp.Diff(want, changeLines(item.Revisions[0].Changes)); diff != "" {
			t.Errorf("changes of %s/%s (-want +got):\n%s", item.Kind, item.Name, diff)
		}
		eligible := item.Kind == "Deployment" || item.Kind == "StatefulSet" || item.Kind == "DaemonSet"
		if item.Rollout.Eligible != eligible || (item.Rollout.Reason == "") != eligible {
			t.Errorf("rollout of %s/%s: %+v", item.Kind, item.Name, item.Rollout)
		}
	}
	if r.Summary.Drift() != 100 {
		t.Errorf("drift of %v %%", r.Summary.Drift())
	}
}

// Istio rewrites the app's HTTP probes to go through its agent: a field of the
// app's own container, which its template sets.
func TestAuditOfARewrittenProbe(t *testing.T) {
	c, injector := testCluster(t), testIstio(t)
	testProduct(t)
	namespace := workloadsOfEveryKind(t, c, injected)
	if err := injector.Update(t.Context(), istio.Values("1.27.0", "100m", "values.sidecarInjectorWebhook.rewriteAppHTTPProbe=false")...); err != nil {
		t.Fatal(err)
	}
	r := auditOf(t, c, inventory.Selection{Namespace: namespace, Workloads: []inventory.WorkloadRef{{Kind: "Deployment", Namespace: namespace, Name: "web"}}})
	checkStates(t, r, "Deployment/web Drifted 2")
	var probe []string
	for _, line := range changeLines(itemOf(t, r, "Deployment", "web").Revisions[0].Changes) {
		if strings.HasPrefix(line, "app/app ") {
			probe = append(probe, line)
		}
	}
	want := []string{
		`app/app livenessProbe.httpGet.path: "/app-health/app/livez" → "/healthz"`,
		`app/app livenessProbe.httpGet.port: 15020 → 8080`,
	}
	if diff := cmp.Diff(want, probe); diff != "" {
		t.Errorf("changes of the app's container (-want +got):\n%s", diff)
	}
}

func TestAuditOfChangedInjection(t *testing.T) {
	c := testCluster(t)
	testIstio(t)
	testProduct(t)
	enabled := workloadsOfEveryKind(t, c, nil)
	label(t, c, enabled, `{"istio-injection":"enabled"}`, hasProxy)
	r := auditNamespace(t, c, enabled, inEveryState("Missing")...)
	if web := itemOf(t, r, "Deployment", "web"); !web.Rollout.Eligible {
		t.Errorf("rollout of a Deployment that misses its sidecar: %+v", web.Rollout)
	}

	disabled := workloadsOfEveryKind(t, c, injected)
	label(t, c, disabled, `{"istio-injection":null}`, hasNoProxy)
	r = auditNamespace(t, c, disabled, inEveryState("Orphaned")...)
	web := itemOf(t, r, "Deployment", "web")
	if diff := cmp.Diff([]string{"istio-init", "istio-proxy"}, web.Revisions[0].Loses); diff != "" {
		t.Errorf("loses (-want +got):\n%s", diff)
	}
	if web.Rollout.Eligible {
		t.Error("a Deployment that would lose its sidecar is eligible for a rollout")
	}
}

// What people and the cluster do to live Pods is not sidecar drift.
func TestAuditOfWhatIsNotDrift(t *testing.T) {
	c := testCluster(t)
	testIstio(t)
	testProduct(t)
	namespace := namespaceWith(t, c, injected)
	apply(t, c, namespace, `{"apiVersion":"v1","kind":"LimitRange","metadata":{"name":"defaults"},"spec":{"limits":[
		{"type":"Container","defaultRequest":{"cpu":"50m"},"default":{"cpu":"1"}}]}}`)
	admits(t, c, namespace, requests("50m"))
	deployWeb(t, c, namespace, 2, "web")
	pods := podsOf(t, c, namespace, "app=web")

	// Somebody changes the image of one Pod's app.
	if _, err := c.Kubectl(t.Context(), "", "-n", namespace, "set", "image", "pod/"+pods[0].Name, "app=app:2"); err != nil {
		t.Fatal(err)
	}
	// The namespace's defaults change.
	apply(t, c, namespace, `{"apiVersion":"v1","kind":"LimitRange","metadata":{"name":"defaults"},"spec":{"limits":[
		{"type":"Container","defaultRequest":{"cpu":"60m"},"default":{"cpu":"2"}}]}}`)
	admits(t, c, namespace, requests("60m"))
	auditNamespace(t, c, namespace, "Deployment/web InSync 2")

	// A completed and an evicted Pod stay behind under an old ReplicaSet.
	for i, phase := range []string{`{"phase":"Succeeded"}`, `{"phase":"Failed","reason":"Evicted"}`} {
		_, err := c.Client().CoreV1().Pods(namespace).Patch(t.Context(), pods[i].Name, types.MergePatchType,
			[]byte(`{"metadata":{"finalizers":["example.com/stays"]},"status":`+phase+`}`), metav1.PatchOptions{}, "status")
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Kubectl(t.Context(), "", "-n", namespace, "set", "image", "deployment/web", "app=app:3"); err != nil {
		t.Fatal(err)
	}
	rolledOut(t, c, namespace, "deployment/web")
	r := auditNamespace(t, c, namespace, "Deployment/web InSync 2")
	if r.Summary.NotJudged != 2 {
		t.Errorf("%d Pods not judged, want the completed and the evicted one", r.Summary.NotJudged)
	}
	if item := itemOf(t, r, "Deployment", "web"); len(item.Revisions) != 1 {
		t.Errorf("%d revisions, want the one that has live Pods", len(item.Revisions))
	}
}
