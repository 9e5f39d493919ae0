package acceptance

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// accountOfServe may do what the auditor may, in another namespace and under
// another name.
const accountOfServe = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: %[2]s, namespace: %[1]s}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: %[2]s-of-%[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: sidecar-drift-audit}
subjects: [{kind: ServiceAccount, name: %[2]s, namespace: %[1]s}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: %[2]s, namespace: %[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
subjects: [{kind: ServiceAccount, name: %[2]s, namespace: %[1]s}]
`

// readiness asks a daemon's /readyz.
func readiness(ctx context.Context, address string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

// The auditor in another namespace is fenced, and works. Under a name that the
// policies are not about it neither audits nor gets ready, and asking has created
// nothing.
func TestServeNeedsTheFence(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	serve := func(account string) (namespace, health string, d *daemon) {
		namespace = namespaceWith(t, c, nil)
		clusterWide(t, c, fmt.Sprintf(accountOfServe, namespace, account))
		deployWeb(t, c, namespace, 1, "web")
		kubeconfig, err := c.ServiceAccountKubeconfig(t.Context(), namespace, account)
		if err != nil {
			t.Fatal(err)
		}
		port, err := cluster.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		health = fmt.Sprintf("127.0.0.1:%d", port)
		return namespace, health, runDaemon(t, c, kubeconfig, "--namespace", namespace, "--include-namespace", namespace, "--health-probe-bind-address", health)
	}
	_, fencedHealth, inForce := serve("sidecar-drift-auditor")
	namespace, health, open := serve("watcher")

	becomes(t, 0, "sidecar_drift_ratio", nil, inForce)
	if status, err := readiness(t.Context(), fencedHealth); err != nil || status != http.StatusOK {
		t.Errorf("the fenced auditor: /readyz %d (%v), want 200", status, err)
	}
	err := cluster.Poll(t.Context(), "the daemon to say that it waits", func(context.Context) error {
		if logged(t, open, "sidecar-drift-dry-run-only is not in force for this identity") == 0 {
			return errors.New("it does not say so")
		}
		return nil
	}, open.Process)
	if err != nil {
		t.Fatal(err)
	}
	if status, err := readiness(t.Context(), health); err != nil || status != http.StatusInternalServerError {
		t.Errorf("/readyz %d (%v), want 500", status, err)
	}
	if _, absent, err := open.value(t.Context(), "sidecar_drift_ratio", nil); err != nil || !absent {
		t.Errorf("it has audited (%v)", err)
	}
	var pods corev1.PodList
	if err := asAdmin(t, c).List(t.Context(), &pods, client.InNamespace(namespace)); err != nil {
		t.Fatal(err)
	}
	for _, pod := range pods.Items {
		if strings.HasPrefix(pod.Name, "sidecar-drift") {
			t.Errorf("Pod %s was created", pod.Name)
		}
	}
}
