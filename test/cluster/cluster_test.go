package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/binaries"
)

func TestVersionIsTheReleasedOne(t *testing.T) {
	set, err := binaries.Kubernetes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	version, err := shared.Client().Discovery().ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := "kube-apiserver "+version.GitVersion, set.Programs()[0]; got != want {
		t.Errorf("the API server is %s, want %s", got, want)
	}
	if got := "v" + version.Major + "." + version.Minor + "."; !strings.HasPrefix(version.GitVersion, got) {
		t.Errorf("major and minor say %s, the version %s", got, version.GitVersion)
	}
}

// workloads holds one of each controller that rolls out Pods; db has a claim.
const workloads = `
apiVersion: v1
kind: Namespace
metadata: {name: workloads}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: workloads}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: app, image: app}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: workloads}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {containers: [{name: app, image: app}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: workloads}
spec:
  replicas: 2
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: app, image: app}]}
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once, namespace: workloads}
spec:
  template:
    spec: {restartPolicy: Never, containers: [{name: app, image: app}]}
`

func TestWorkloadsRollOut(t *testing.T) {
	ctx := t.Context()
	if err := shared.Apply(ctx, workloads); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{
		"rollout status deployment/web --timeout=5m",
		"rollout status daemonset/agent --timeout=5m",
		"rollout status statefulset/db --timeout=5m",
		"wait --for=condition=complete job/once --timeout=5m",
		"rollout restart deployment/web",
		"rollout status deployment/web --timeout=5m",
	} {
		if _, err := shared.Kubectl(ctx, "", append(strings.Fields(command), "--namespace=workloads")...); err != nil {
			t.Fatal(err)
		}
	}
	// The old Pods are deleted: kwok ends their grace period.
	err := cluster.Poll(ctx, "the old Pods to go", func(ctx context.Context) error {
		pods, err := shared.Client().CoreV1().Pods("workloads").List(ctx, metav1.ListOptions{LabelSelector: "app=web"})
		if err == nil && len(pods.Items) != 3 {
			err = fmt.Errorf("there are %d", len(pods.Items))
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	// And does not delete them once more, by their names, which their successors may have.
	log, err := os.ReadFile(filepath.Join(shared.LogDir(), "kwok.log"))
	if err != nil {
		t.Fatal(err)
	}
	deleted := 0
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, `"Delete pod"`) {
			deleted++
		}
		if strings.Contains(line, "failed to delete pod") {
			t.Errorf("kwok deletes a Pod that has gone: %s", line)
		}
	}
	if deleted < 3 {
		t.Errorf("kwok says that it deleted %d Pods, want 3 at least", deleted)
	}
}

func TestServiceAccountHasItsOwnRightsOnly(t *testing.T) {
	ctx := t.Context()
	if err := shared.Apply(ctx, `
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader, namespace: default}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: default}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: reader, namespace: default}]
`); err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := shared.ServiceAccountKubeconfig(ctx, "default", "reader")
	if err != nil {
		t.Fatal(err)
	}
	fromFile, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	direct, err := shared.ServiceAccountConfig(ctx, "default", "reader")
	if err != nil {
		t.Fatal(err)
	}
	for name, config := range map[string]*rest.Config{"direct": direct, "from its file": fromFile} {
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		err = cluster.Poll(ctx, "the role to be in force", func(ctx context.Context) error {
			_, err := client.CoreV1().ConfigMaps("default").List(ctx, metav1.ListOptions{})
			return err
		})
		if err != nil {
			t.Errorf("%s: list ConfigMaps: %v", name, err)
		}
		if _, err := client.CoreV1().Secrets("default").List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("%s: list Secrets: got %v, want Forbidden", name, err)
		}
	}
}

func TestKubectlTellsWhy(t *testing.T) {
	_, err := shared.Kubectl(t.Context(), "", "get", "pod", "absent")
	if err == nil || !strings.Contains(err.Error(), `pods "absent" not found`) {
		t.Errorf("got %v, want kubectl's own message", err)
	}
}

func TestExternalClusterIsLeftAlone(t *testing.T) {
	ctx := t.Context()
	t.Setenv(cluster.ExternalKubeconfigVariable, shared.Kubeconfig())
	t.Setenv("PATH", filepath.Dir(shared.KubectlPath())+":"+os.Getenv("PATH"))
	c, err := cluster.Start(ctx, cluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !c.External() {
		t.Error("External is false")
	}
	if err := c.Apply(ctx, `{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "external"}}`); err != nil {
		t.Error(err)
	}
	if err := c.InstallManifests(ctx, t.TempDir(), 1); !errors.Is(err, cluster.ErrExternal) {
		t.Errorf("InstallManifests: got %v, want %v", err, cluster.ErrExternal)
	}
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	namespace, err := shared.Client().CoreV1().Namespaces().Get(ctx, "external", metav1.GetOptions{})
	if err != nil || namespace.Status.Phase != corev1.NamespaceActive {
		t.Errorf("after Stop the cluster answers %v, %v", namespace, err)
	}
}

func TestStartRefusesADirectoryThatExists(t *testing.T) {
	dir := t.TempDir()
	if _, err := cluster.Start(t.Context(), cluster.Options{Dir: dir}); !errors.Is(err, os.ErrExist) {
		t.Errorf("got %v, want %v", err, os.ErrExist)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Error(err)
	}
}
