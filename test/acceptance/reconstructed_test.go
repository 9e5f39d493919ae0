package acceptance

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

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
