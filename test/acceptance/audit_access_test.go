package acceptance

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// account makes a ServiceAccount with the given rules of a ClusterRole, and
// returns its configuration.
func account(t *testing.T, c *cluster.Cluster, namespace string, rules ...string) *rest.Config {
	t.Helper()
	apply(t, c, namespace, `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"auditor"}}`)
	clusterWide(t, c, fmt.Sprintf(`
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: auditor-%[1]s}
rules: [%[2]s]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: auditor-%[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: auditor-%[1]s}
subjects: [{kind: ServiceAccount, name: auditor, namespace: %[1]s}]
`, namespace, strings.Join(rules, ", ")))
	config, err := c.ServiceAccountConfig(t.Context(), namespace, "auditor")
	if err != nil {
		t.Fatal(err)
	}
	return config
}

const (
	readPods        = `{apiGroups: [""], resources: [pods], verbs: [get, list]}`
	readReplicaSets = `{apiGroups: [apps], resources: [replicasets], verbs: [get, list]}`
	createPods      = `{apiGroups: [""], resources: [pods], verbs: [create]}`
)

// Without its rights an audit would say nothing: it ends with what is missing.
func TestAuditWithoutRights(t *testing.T) {
	c := testCluster(t)
	for _, test := range []struct {
		name  string
		rules []string
		want  []string
	}{
		{"none", nil, []string{"list pods in namespace", `cannot list resource "pods"`, "sidecar-drift-audit"}},
		{"owners", []string{readPods, createPods}, []string{"list replicasets.apps in namespace", `cannot list resource "replicasets"`, "sidecar-drift-audit"}},
		{"dry runs", []string{readPods, readReplicaSets}, []string{"create pods (dry run)", `cannot create resource "pods"`, "sidecar-drift-audit"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			namespace := namespaceWith(t, c, nil)
			deployWeb(t, c, namespace, 1, "web")
			config := account(t, c, namespace, test.rules...)
			_, err := audit.Run(t.Context(), config, audit.Options{
				Selection: inventory.Selection{Namespace: namespace}, Log: logr.Discard(),
			})
			if err == nil {
				t.Fatal("the audit had no error")
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error does not say %q: %v", part, err)
				}
			}
		})
	}
}

// Where only some namespaces are open to the identity, the others are Unknown.
func TestAuditWithRightsInOneNamespace(t *testing.T) {
	c := testCluster(t)
	open, closed := namespaceWith(t, c, nil), namespaceWith(t, c, nil)
	deployWeb(t, c, open, 1, "web")
	deployWeb(t, c, closed, 1, "shut")
	config := account(t, c, open, readPods, readReplicaSets)
	apply(t, c, open, fmt.Sprintf(`
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: dry-run}
rules: [%s]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: dry-run}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: dry-run}
subjects: [{kind: ServiceAccount, name: auditor, namespace: %s}]
`, createPods, open))
	r, err := audit.Run(t.Context(), config, audit.Options{
		Selection: inventory.Selection{IncludeNamespaces: []string{open, closed}}, Log: logr.Discard(),
	})
	if err != nil {
		t.Fatal(err)
	}
	checkStates(t, r, "Deployment/web NotInjected 1", "Deployment/shut Unknown 1")
	if reason := reasonOf(t, r, "Deployment", "shut"); !strings.Contains(reason, `cannot create resource "pods"`) {
		t.Errorf("reason %q", reason)
	}
}

// Who may not audit is told what of the installation is open to him, and that works.
func TestAuditSaysWhichWaysAreOpen(t *testing.T) {
	c := testCluster(t)
	namespace := namespaceWith(t, c, nil)
	deployWeb(t, c, namespace, 1, "web")
	account(t, c, namespace, `{apiGroups: [""], resources: [serviceaccounts], resourceNames: [sidecar-drift-auditor], verbs: [impersonate]}`)
	kubeconfig, err := c.ServiceAccountKubeconfig(t.Context(), namespace, "auditor")
	if err != nil {
		t.Fatal(err)
	}
	program := testProduct(t).CLI
	run := func(line ...string) (string, int) {
		command := exec.CommandContext(t.Context(), line[0], line[1:]...)
		out, _ := command.CombinedOutput()
		return string(out), command.ProcessState.ExitCode()
	}
	said, code := run(program, "audit", "-n", namespace, "--kubeconfig", kubeconfig)
	if code != 2 || strings.Contains(said, "port-forward") || strings.Contains(said, "kubectl get reports") {
		t.Errorf("exit code %d, and ways that are not open:\n%s", code, said)
	}
	_, way, _ := strings.Cut(said, "You may act as the installation's account, which may:\n  sidecar-drift ")
	said, code = run(append([]string{program}, strings.Fields(way)...)...)
	if code != 0 || !strings.Contains(said, "1 workload, 1 Pod") {
		t.Errorf("%q: exit code %d:\n%s", way, code, said)
	}
}
