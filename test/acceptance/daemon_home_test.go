package acceptance

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
)

// home is a namespace where the daemons of one test keep what an installation has one of:
// the Lease, the ConfigMap, the lock of rollouts, Events. They run as the installed
// identities, which have the same rights in it as in the installation's.
type home struct {
	*cluster.Cluster
	namespace string
}

func newHome(t *testing.T, c *cluster.Cluster) home {
	t.Helper()
	h := home{c, namespaceWith(t, c, nil)}
	var rights strings.Builder
	for _, file := range []string{"base/auditor-rbac.yaml", "components/rollout/rbac.yaml", "components/auto-rollout/rbac.yaml"} {
		manifests, err := os.ReadFile(base + "/" + file)
		if err != nil {
			t.Fatal(err)
		}
		objects, err := cluster.Objects(string(manifests))
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range objects {
			if kind := object.GetKind(); kind != "Role" && kind != "RoleBinding" {
				continue
			}
			object.SetNamespace(h.namespace)
			if err := json.NewEncoder(&rights).Encode(object.Object); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := c.Apply(t.Context(), rights.String()); err != nil {
		t.Fatal(err)
	}
	return h
}

// audits starts a daemon that audits.
func (h home) audits(t *testing.T, args ...string) *daemon {
	t.Helper()
	return startDaemon(t, h.Cluster, append(args, "--namespace", h.namespace)...)
}

// rollsOut starts a daemon as the identity that may restart workloads.
func (h home) rollsOut(t *testing.T, args ...string) *daemon {
	t.Helper()
	return runDaemon(t, h.Cluster, h.kubeconfig(t), append(args, "--namespace", h.namespace, "--lock-namespace", h.namespace)...)
}

// history is what the command says of the journal that is kept there.
func (h home) history(ctx context.Context, t *testing.T) (report.History, error) {
	t.Helper()
	var kept report.History
	out, err := exec.CommandContext(ctx, testProduct(t).CLI, "history", "--kubeconfig", h.Kubeconfig(), "--installation-namespace", h.namespace, "-o", "json").Output()
	if err != nil {
		return kept, err
	}
	return kept, json.Unmarshal(out, &kept)
}

func (h home) kubeconfig(t *testing.T) string {
	t.Helper()
	kubeconfig, err := h.ServiceAccountKubeconfig(t.Context(), install.Namespace, install.RolloutAccount)
	if err != nil {
		t.Fatal(err)
	}
	return kubeconfig
}
