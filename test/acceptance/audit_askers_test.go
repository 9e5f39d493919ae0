package acceptance

import (
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// A policy that refuses the auditor alone makes nothing a time bomb for certain:
// the verdict is called approximate and names it, and who may ask as the Pods'
// controller gets the controller's answer.
func TestAuditOfAPolicyThatLooksAtWhoAsks(t *testing.T) {
	c := testCluster(t)
	testIstio(t)
	testProduct(t)
	namespace := namespaceWith(t, c, injected)
	deployWeb(t, c, namespace, 1, "web")
	clusterWide(t, c, strings.Replace(denyPolicy(namespace, "CREATE", `""`, "pods", "not you"),
		`"false"`, `"request.userInfo.username.startsWith('system:serviceaccount:kube-system:')"`, 1))
	refuses(t, c, namespace, "not you")

	blocked := auditOf(t, c, inventory.Selection{Namespace: namespace})
	checkStates(t, blocked, "Deployment/web Blocked 1")
	revision := itemOf(t, blocked, "Deployment", "web").Revisions[0]
	for _, part := range []string{
		"denied request: not you; deny-create-" + namespace + " looks at who creates a Pod",
		"docs/install.md#asking-as-the-controller",
	} {
		if !revision.Approximate || !strings.Contains(revision.Reason, part) {
			t.Errorf("approximate: %t; reason %q, want %q", revision.Approximate, revision.Reason, part)
		}
	}

	asController, err := audit.Run(t.Context(), c.RESTConfig(), audit.Options{Selection: inventory.Selection{Namespace: namespace}})
	if err != nil {
		t.Fatal(err)
	}
	if item := itemOf(t, asController, "Deployment", "web"); item.State != verdict.InSync {
		t.Errorf("asked as the controller: %s, want InSync:\n%s", item.State, details(asController))
	}
}
