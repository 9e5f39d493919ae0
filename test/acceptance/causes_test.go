package acceptance

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
)

// Whose a change is, the daemon finds out with the rights of the component, and keeps; one
// look of audit and explain finds it, too. Who lacks a right is told what was not seen.
func TestCausesAreNamed(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	system := namespaceWith(t, c, nil)
	namespace, _ := startOwnInjector(t, c, func(r injector.Request) []injector.Operation {
		image := "proxy:1"
		if template, err := r.Client.CoreV1().ConfigMaps(system).Get(context.Background(), "template", metav1.GetOptions{}); err == nil && template.Data["image"] != "" {
			image = template.Data["image"]
		}
		return []injector.Operation{injector.AddContainer(corev1.Container{Name: "proxy", Image: image})}
	})
	apply(t, c, system, `
apiVersion: v1
kind: ConfigMap
metadata: {name: template}
data: {image: "proxy:1"}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: injector}
rules: [{apiGroups: [""], resources: [configmaps], resourceNames: [template], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: injector}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: injector}
subjects: [{kind: ServiceAccount, name: default}]
`)
	deployWeb(t, c, system, 1, "injector")
	kubectl := func(args ...string) {
		t.Helper()
		if out, err := c.Kubectl(t.Context(), "", args...); err != nil {
			t.Fatalf("kubectl %v: %v\n%s", args, err, out)
		}
	}
	kubectl("annotate", "mutatingwebhookconfiguration", "test-injector-"+namespace, "meta.helm.sh/release-namespace="+system)
	allowCauses(t, c, namespace)
	kubectl("-n", system, "create", "role", "sidecar-drift-causes", "--verb=list", "--resource=configmaps,services")
	kubectl("-n", system, "create", "rolebinding", "sidecar-drift-causes", "--role=sidecar-drift-causes", "--serviceaccount=sidecar-drift:sidecar-drift-auditor")
	deployWeb(t, c, namespace, 1, "web")

	home := newHome(t, c)
	d := home.audits(t, "--causes", "--interval", "5s", "--include-namespace", namespace, "--lease-duration", "10s")
	becomes(t, 0, "sidecar_drift_ratio", nil, d)
	_, err := c.Client().CoreV1().ConfigMaps(system).Patch(t.Context(), "template", types.MergePatchType, []byte(`{"data":{"image":"proxy:2"}}`), metav1.PatchOptions{FieldManager: "team-mesh"})
	if err != nil {
		t.Fatal(err)
	}
	write := fmt.Sprintf("team-mesh updated ConfigMap %s/template (data.image), ", system)
	var found report.History
	err = cluster.PollSeldom(t.Context(), "the journal to say whose change it is", func(ctx context.Context) error {
		var err error
		if found, err = home.history(ctx, t); err != nil {
			return err
		}
		if len(found.Changes) != 1 || found.Changes[0].By == "" {
			return fmt.Errorf("it says %+v", found)
		}
		return nil
	}, d.Process)
	if err != nil {
		t.Fatal(err)
	}
	change := found.Changes[0]
	if !strings.Contains(change.By, write) || change.Writes[0].Name != "template" || change.Writes[0].Manager != "team-mesh" {
		t.Errorf("by %s: %+v", change.By, change.Writes)
	}
	out, err := exec.CommandContext(t.Context(), testProduct(t).CLI, "history", "show", change.ID, "--kubeconfig", c.Kubeconfig(), "--installation-namespace", home.namespace).Output()
	if err != nil || !strings.Contains(string(out), "Writes that may have made it:") {
		t.Errorf("history show: %v\n%s", err, out)
	}

	inThisOrder(t, auditedCauses(t, c, namespace), "#1 proxy image 1 → 2", "by: ", write, "web Drifted")
	inThisOrder(t, explainCommand(t, c, "-n", namespace, "deploy/web"),
		"1 Pod of Deployment "+namespace+"/web is not what admission would make of it today: proxy image 1 → 2. This began ",
		"Whose change it is: ", write, "Whatever re-creates a Pod", "sidecar-drift rollout deployment/web --namespace "+namespace,
		"Deployment "+namespace+"/web: Drifted")

	kubectl("-n", system, "delete", "rolebinding", "sidecar-drift-causes")
	err = cluster.Poll(t.Context(), "the right to be taken away", func(context.Context) error {
		if text := auditedCauses(t, c, namespace); !strings.Contains(text, "configmaps in "+system+" (forbidden)") || strings.Contains(text, "team-mesh") {
			return fmt.Errorf("it says\n%s", text)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// allowCauses binds what the component binds, under names of the test's own.
func allowCauses(t *testing.T, c *cluster.Cluster, name string) {
	t.Helper()
	manifests, err := os.ReadFile(base + "/components/causes/rbac.yaml")
	if err != nil {
		t.Fatal(err)
	}
	clusterWide(t, c, strings.ReplaceAll(string(manifests), "name: sidecar-drift-causes", "name: causes-"+name))
}

// auditedCauses is what the auditor's account is told of a namespace.
func auditedCauses(t *testing.T, c *cluster.Cluster, namespace string) string {
	t.Helper()
	kubeconfig, err := c.ServiceAccountKubeconfig(t.Context(), install.Namespace, install.AuditorAccount)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), testProduct(t).CLI, "audit", "--causes", "--kubeconfig", kubeconfig, "-n", namespace).Output()
	if err != nil {
		t.Fatalf("audit --causes: %v", err)
	}
	return strings.Join(strings.Fields(string(out)), " ")
}
