package acceptance

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

func explainCommand(t *testing.T, c *cluster.Cluster, args ...string) string {
	t.Helper()
	kubeconfig, err := c.ServiceAccountKubeconfig(t.Context(), install.Namespace, install.AuditorAccount)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), testProduct(t).CLI, append([]string{"explain", "--kubeconfig", kubeconfig}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("explain %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// inThisOrder checks that a text has these parts, one after the other, however
// they are spaced.
func inThisOrder(t *testing.T, text string, parts ...string) {
	t.Helper()
	rest := strings.Join(strings.Fields(text), " ")
	for _, part := range parts {
		_, after, found := strings.Cut(rest, part)
		if !found {
			t.Errorf("%q is not in this place of\n%s", part, text)
			return
		}
		rest = after
	}
}

// The evidence of a verdict, as the installed auditor may read it: Pods, stamps,
// owners, differences, and what admission asks, in its order.
func TestExplain(t *testing.T) {
	c, injector := testCluster(t), testIstio(t)
	testProduct(t)
	namespace := namespaceWith(t, c, injected)
	deployWeb(t, c, namespace, 2, "web")
	inThisOrder(t, explainCommand(t, c, "-n", namespace, "deploy/web"),
		"Deployment "+namespace+"/web: InSync", "left alone: in sync", "Revision web-", ": InSync", "Sidecars istio-init, istio-proxy",
		"and 1 alike: InSync", "Stamp v1:", "Creator kube-controller-manager (Update); containers declared: app", "Differs in nothing",
	)
	if err := injector.Update(t.Context(), istio.Values("1.28.0", "150m")...); err != nil {
		t.Fatal(err)
	}
	pod := podsOf(t, c, namespace, "app=web")[0].Name
	if _, err := c.Kubectl(t.Context(), "", "-n", namespace, "set", "image", "pod/"+pod, "app=app:2"); err != nil {
		t.Fatal(err)
	}
	clusterWide(t, c, strings.Replace(denyPolicy(namespace, "CREATE", `""`, "pods", "not you"),
		`"false"`, `"request.userInfo.username != 'nobody'"`, 1))
	drifted := explainCommand(t, c, "-n", namespace, "deploy/web")
	inThisOrder(t, drifted, "web: Drifted", "Rollout left alone: would bring up another image of the app", "Differs at 4 places:", "container/istio-proxy", "image:")
	inThisOrder(t, drifted, "Pod "+namespace+"/"+pod, "Edited by kubectl-set (Update)")
	inThisOrder(t, drifted, "Admission of a new Pod, in this order:",
		"asked MutatingWebhook istio-sidecar-injector/"+webhookOfIstio+" Fail, Never",
		"not asked MutatingWebhook istio-sidecar-injector/object.sidecar-injector.istio.io",
		"asked MutatingWebhook zz-sidecar-drift/stamp.sidecar-drift.io Ignore, IfNeeded",
		"asked ValidatingAdmissionPolicy deny-create-"+namespace+" Fail, looks at who asks",
		"maybe asked ValidatingAdmissionPolicy sidecar-drift-dry-run-only Fail, its match conditions (CEL) decide, looks at who asks",
		"not asked ValidatingAdmissionPolicy sidecar-drift-rollout-only Fail, its rules do not cover the creation of Pods",
	)
}
