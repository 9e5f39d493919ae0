package acceptance

import (
	"context"
	"maps"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

// Istio's injector rewrites probes and hooks. Of a Pod without a template, which is
// reconstructed from the live one, those are known that it keeps in the proxy; where it keeps
// none, nothing is said of a Pod that the API server does not take.
func TestProbesOfPodsWithoutATemplate(t *testing.T) {
	c := testCluster(t)
	present := testIstio(t)
	t.Cleanup(func() {
		if err := present.Configure(context.Background(), istio.Options{Set: istio.Values("1.27.0", "100m")}); err != nil {
			t.Error(err)
		}
	})
	namespace := namespaceWith(t, c, injected)
	apply(t, c, namespace, `
{apiVersion: v1, kind: Pod, metadata: {name: http}, spec: {containers: [{name: app, image: "app:1", ports: [{name: web, containerPort: 80}], livenessProbe: {httpGet: {path: /live, port: web, httpHeaders: [{name: X, value: "1"}]}, periodSeconds: 7}}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: https}, spec: {containers: [{name: app, image: "app:1", readinessProbe: {httpGet: {path: /, port: 443, scheme: HTTPS}, timeoutSeconds: 3}}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: tcp}, spec: {containers: [{name: app, image: "app:1", livenessProbe: {tcpSocket: {port: 8080}}}, {name: other, image: "other:1", readinessProbe: {exec: {command: [ok]}}}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: grpc}, spec: {containers: [{name: app, image: "app:1", startupProbe: {grpc: {port: 8080, service: s}}}], initContainers: [{name: native, image: "native:1", restartPolicy: Always, readinessProbe: {tcpSocket: {port: 9090}}}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: hooks}, spec: {containers: [{name: app, image: "app:1", lifecycle: {preStop: {httpGet: {path: /bye, port: 8080}}, postStart: {exec: {command: [hello]}}}}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: kept, annotations: {sidecar.istio.io/rewriteAppHTTPProbers: "false"}}, spec: {containers: [{name: app, image: "app:1", livenessProbe: {tcpSocket: {port: 8080}}}]}}
`)
	found := auditOf(t, c, inventory.Selection{Namespace: namespace})
	if want := map[verdict.State]int{verdict.InSync: 6}; !maps.Equal(found.Summary.Workloads, want) {
		t.Errorf("they are %v, want %v:\n%s", found.Summary.Workloads, want, details(found))
	}

	// What is rewritten no more differs just there.
	if err := present.Configure(t.Context(), istio.Options{Set: istio.Values("1.28.0", "100m")}); err != nil {
		t.Fatal(err)
	}
	found = auditOf(t, c, inventory.Selection{Namespace: namespace})
	for _, item := range found.Items {
		for _, revision := range item.Revisions {
			for _, change := range revision.Changes {
				if change.Path != "image" {
					t.Errorf("Pod %s: %s differs: %s → %s", item.Name, change.Place(), change.From, change.To)
				}
			}
		}
	}
	if found.Summary.Workloads[verdict.Drifted] != 6 {
		t.Errorf("after another image they are %v, want all drifted:\n%s", found.Summary.Workloads, details(found))
	}
}

// Of an injector that keeps nothing of what it rewrites, a Pod that cannot be reconstructed is no
// time bomb, and one that it makes invalid is.
func TestRewrittenBeyondReconstruction(t *testing.T) {
	c := testCluster(t)
	rewriting, err := injector.Start(t.Context(), c, injector.Options{
		Name: "rewriting", Namespaces: "rewriting", Webhook: "rewriting.example.com", Configuration: "rewriting",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := rewriting.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	handler := corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/checks", Port: intstr.FromInt32(15020)}}
	rewriting.Inject(func(r injector.Request) []injector.Operation {
		operations := []injector.Operation{injector.AddContainer(corev1.Container{Name: "proxy", Image: "proxy:1"})}
		if probe := r.Pod.Spec.Containers[0].LivenessProbe; probe != nil && probe.TCPSocket != nil {
			operations = append(operations, injector.Operation{Op: "replace", Path: "/spec/containers/0/livenessProbe", Value: corev1.Probe{ProbeHandler: handler}})
		}
		return operations
	})
	namespace := namespaceWith(t, c, map[string]string{injector.NamespaceLabel: "rewriting"})
	apply(t, c, namespace, `
{apiVersion: v1, kind: Pod, metadata: {name: rewritten}, spec: {containers: [{name: app, image: "app:1", livenessProbe: {tcpSocket: {port: 8080}}}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: plain}, spec: {containers: [{name: app, image: "app:1"}]}}
`)
	found := auditOf(t, c, inventory.Selection{Namespace: namespace})
	if state, reason := itemOf(t, found, "Pod", "rewritten").State, reasonOf(t, found, "Pod", "rewritten"); state != verdict.Unknown ||
		!strings.Contains(reason, `spec.containers[name="app"].livenessProbe.tcpSocket.port`) {
		t.Errorf("the Pod whose probe was rewritten is %s: %s", state, reason)
	}
	if state := itemOf(t, found, "Pod", "plain").State; state != verdict.InSync {
		t.Errorf("the other one is %s:\n%s", state, details(found))
	}
	rewriting.Inject(func(injector.Request) []injector.Operation {
		return []injector.Operation{injector.AddContainer(corev1.Container{Name: "No Name", Image: "proxy:1"})}
	})
	if state := itemOf(t, auditOf(t, c, inventory.Selection{Namespace: namespace}), "Pod", "plain").State; state != verdict.Blocked {
		t.Errorf("what the injector makes invalid is %s", state)
	}
}
