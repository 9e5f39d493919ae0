package acceptance

import (
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

var full = flag.Bool("full", false, "run long tests in their full length")

// Many workloads (300 in full) are rolled out ten at a time, each once, none
// left.
func TestRolloutOfManyDeployments(t *testing.T) {
	manyDeployments := 24
	if *full {
		manyDeployments = 300
	}
	c, injector := fenced(t), testIstio(t)
	namespace := namespaceWith(t, c, injected)
	var manifests strings.Builder
	for i := range manyDeployments {
		fmt.Fprintf(&manifests, `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: d-%03[1]d}
spec:
  selector: {matchLabels: {app: d-%03[1]d}}
  template: {metadata: {labels: {app: d-%03[1]d}}, spec: {containers: [{name: app, image: "app:1"}]}}
`, i)
	}
	if _, err := c.Kubectl(t.Context(), manifests.String(), "-n", namespace, "apply", "--server-side", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Kubectl(t.Context(), "", "-n", namespace, "wait", "deployment", "--all", "--for=condition=Available", "--timeout=5m"); err != nil {
		t.Fatal(err)
	}
	if err := injector.Update(t.Context(), istio.Values("1.28.0", "150m")...); err != nil {
		t.Fatal(err)
	}
	r := rolloutCommand(t, c, 0, "-n", namespace, "--confirm", "--parallel-rollouts", "10")
	if len(r.Items) != manyDeployments {
		t.Errorf("%d workloads in the report, want %d", len(r.Items), manyDeployments)
	}
	for _, item := range r.Items {
		if item.Rollout.Result != report.RolledOut {
			t.Errorf("%s is %s: %s", item.Name, item.Rollout.Result, item.Rollout.Reason)
		}
	}
	sets, err := c.Kubectl(t.Context(), "", "-n", namespace, "get", "replicasets", "-o", "name")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(sets, "\n"); n != 2*manyDeployments {
		t.Errorf("%d ReplicaSets for %d Deployments, want two each: one restart", n, manyDeployments)
	}
}
