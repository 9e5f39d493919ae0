package acceptance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
)

// previewCommand runs "sidecar-drift audit" under the auditor's identity.
func previewCommand(t *testing.T, c *cluster.Cluster, args ...string) string {
	t.Helper()
	kubeconfig, err := c.ServiceAccountKubeconfig(t.Context(), install.Namespace, install.AuditorAccount)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), testProduct(t).CLI, append([]string{"audit", "--kubeconfig", kubeconfig}, args...)...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		t.Fatalf("audit %v: %v\n%s", args, err, &errOut)
	}
	if strings.Contains(errOut.String(), "rollout") {
		t.Errorf("a preview is offered for rollout: %s", &errOut)
	}
	return out.String()
}

// A preview says what labels and annotations would change before anything
// carries them: the state, the fields, and what would be refused.
func TestAuditPreview(t *testing.T) {
	c := testCluster(t)
	testIstio(t)
	testProduct(t)
	namespace, plain := namespaceWith(t, c, injected), namespaceWith(t, c, nil)
	deployWeb(t, c, namespace, 1, "web")
	deployWeb(t, c, plain, 1, "plain")
	before := versionsIn(t, c, namespace)
	decode := func(out string) *report.Report {
		t.Helper()
		var r report.Report
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatal(err)
		}
		return &r
	}

	r := decode(previewCommand(t, c, "-n", namespace, "-o", "json", "--with-annotation", "sidecar.istio.io/proxyCPU=300m"))
	web := itemOf(t, r, "Deployment", "web")
	if web.State != verdict.Drifted || web.Rollout.Eligible {
		t.Errorf("%s, %+v, want Drifted and not eligible", web.State, web.Rollout)
	}
	// One annotation, and Istio sets no other resource any more: this is what
	// a preview is for.
	if diff := cmp.Diff([]string{
		`container/istio-proxy resources.limits.cpu: "2" → none`,
		`container/istio-proxy resources.limits.memory: "1Gi" → none`,
		`container/istio-proxy resources.requests.cpu: "100m" → "300m"`,
		`container/istio-proxy resources.requests.memory: "128Mi" → none`,
		`initContainer/istio-init resources.limits.cpu: "2" → none`,
		`initContainer/istio-init resources.limits.memory: "1Gi" → none`,
		`initContainer/istio-init resources.requests.cpu: "100m" → "300m"`,
		`initContainer/istio-init resources.requests.memory: "128Mi" → none`,
	}, changeLines(web.Revisions[0].Changes)); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(&report.Preview{Annotations: map[string]string{"sidecar.istio.io/proxyCPU": "300m"}}, r.Preview); diff != "" {
		t.Errorf("preview (-want +got):\n%s", diff)
	}

	added := decode(previewCommand(t, c, "-n", plain, "-o", "json", "--with-label", "sidecar.istio.io/inject=true"))
	if item := itemOf(t, added, "Deployment", "plain"); item.State != verdict.Missing {
		t.Errorf("with the label that asks for injection: %s, want Missing", item.State)
	}
	removed := previewCommand(t, c, "-n", namespace, "--with-label", "sidecar.istio.io/inject=false")
	for _, want := range []string{"Orphaned", "Preview with label sidecar.istio.io/inject=false: 1 workload"} {
		if !strings.Contains(removed, want) {
			t.Errorf("%q is not in\n%s", want, removed)
		}
	}
	selected := previewCommand(t, c, "-n", namespace, "--with-label", "istio-injection=disabled")
	if want := "Webhooks that also select namespaces by a previewed label ("; !strings.Contains(selected, want) || !strings.Contains(selected, webhookOfIstio) {
		t.Errorf("%q and %s are not in\n%s", want, webhookOfIstio, selected)
	}

	clusterWide(t, c, strings.Replace(denyPolicy(plain, "CREATE", `""`, "pods", "no gold here"),
		`"false"`, `"!has(object.metadata.labels) || !('tier' in object.metadata.labels)"`, 1))
	err := cluster.Poll(t.Context(), "the policy", func(context.Context) error {
		refused := itemOf(t, decode(previewCommand(t, c, "-n", plain, "-o", "json", "--with-label", "tier=gold")), "Deployment", "plain")
		if refused.State != verdict.Blocked || !strings.Contains(refused.Revisions[0].Reason, "no gold here") {
			return fmt.Errorf("%s: %s", refused.State, refused.Revisions[0].Reason)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := versionsIn(t, c, namespace); got != before {
		t.Errorf("something has changed:\n%s\n%s", before, got)
	}
}
