package acceptance

import (
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

// gitOpsManifest is what stands in a GitOps tool's repository.
const gitOpsManifest = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}, annotations: {note: mine}}, spec: {containers: [{name: app, image: "app:1"}]}}
`

// A GitOps tool owns the template by server-side apply and applies its manifest
// again and again. Our annotations are not among what it owns: they stay, no
// second rollout follows, and nothing loops.
func TestRolloutBesideGitOps(t *testing.T) {
	for tool, manager := range map[string]string{"Argo CD": "argocd-controller", "Flux": "kustomize-controller"} {
		t.Run(tool, func(t *testing.T) {
			c, injector := fenced(t), testIstio(t)
			namespace := namespaceWith(t, c, injected)
			sync := func() {
				t.Helper()
				if _, err := c.Kubectl(t.Context(), gitOpsManifest, "-n", namespace, "apply", "--server-side", "--force-conflicts", "--field-manager="+manager, "-f", "-"); err != nil {
					t.Fatal(err)
				}
				rolledOut(t, c, namespace, "deployment/web")
			}
			sync()
			if err := injector.Update(t.Context(), istio.Values("1.28.0", "150m")...); err != nil {
				t.Fatal(err)
			}
			checkResults(t, rolloutCommand(t, c, 0, "-n", namespace, "--confirm"), map[string]report.Result{"Deployment/web": report.RolledOut})
			pods := uids(t, c, namespace, "app=web")
			for range 3 {
				sync()
			}
			if kept := intersection(pods, uids(t, c, namespace, "app=web")); len(kept) != len(pods) {
				t.Errorf("%d of %d Pods are left after the manifest was applied again", len(kept), len(pods))
			}
			if left := rolloutCommand(t, c, 0, "-n", namespace, "--confirm"); len(left.Items) != 0 {
				t.Errorf("a second run has something to do: %+v", left.Items)
			}
		})
	}
}

// A tool that takes back what is not in its manifest costs one more rollout of
// the workload's own, and no more: the new Pods are as fresh.
func TestRolloutBesideGitOpsThatTakesBack(t *testing.T) {
	c, injector := fenced(t), testIstio(t)
	namespace := namespaceWith(t, c, injected)
	apply(t, c, namespace, gitOpsManifest)
	rolledOut(t, c, namespace, "deployment/web")
	if err := injector.Update(t.Context(), istio.Values("1.28.0", "150m")...); err != nil {
		t.Fatal(err)
	}
	rolloutCommand(t, c, 0, "-n", namespace, "--confirm")
	for range 2 {
		if _, err := c.Kubectl(t.Context(), gitOpsManifest, "-n", namespace, "replace", "-f", "-"); err != nil {
			t.Fatal(err)
		}
		rolledOut(t, c, namespace, "deployment/web")
		if left := rolloutCommand(t, c, 0, "-n", namespace, "--confirm"); len(left.Items) != 0 {
			t.Errorf("there is something to do again: %+v", left.Items)
		}
	}
	auditNamespace(t, c, namespace, "Deployment/web InSync 2")
}

// Flux takes back what kubectl's and others' field managers wrote, but for those
// that it knows as its own clients: --field-manager makes us one
// (fluxcd/flux2 discussion 2526). Eviction leaves nothing to take back.
func TestRolloutUnderAnotherFieldManager(t *testing.T) {
	c, injector := fenced(t), testIstio(t)
	namespace := namespaceWith(t, c, injected)
	apply(t, c, namespace, gitOpsManifest)
	rolledOut(t, c, namespace, "deployment/web")
	if err := injector.Update(t.Context(), istio.Values("1.28.0", "150m")...); err != nil {
		t.Fatal(err)
	}
	rolloutCommand(t, c, 0, "-n", namespace, "--confirm", "--field-manager", "flux-client-side-apply")
	out, err := c.Kubectl(t.Context(), "", "-n", namespace, "get", "deployment", "web", "--show-managed-fields",
		"-o", `jsonpath={range .metadata.managedFields[*]}{.manager} {.fieldsV1}{"\n"}{end}`)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out) {
		ours := strings.Contains(line, "sidecarRollout.rollout.timestamp") || strings.Contains(line, "sidecar-drift.io/last-rollout")
		if manager, _, _ := strings.Cut(line, " "); ours != (manager == "flux-client-side-apply") {
			t.Errorf("manager %s: %s", manager, line)
		}
	}
}
