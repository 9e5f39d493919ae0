package acceptance

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// injected labels a namespace so that Istio injects its Pods.
var injected = map[string]string{"istio-injection": "enabled"}

// namespaceWith makes a namespace with these labels for one test.
func namespaceWith(t *testing.T, c *cluster.Cluster, labels map[string]string) string {
	t.Helper()
	namespace, err := c.Client().CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "test-", Labels: labels},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The test's own context is done by now.
		err := c.Client().CoreV1().Namespaces().Delete(context.Background(), namespace.Name, metav1.DeleteOptions{})
		if err != nil {
			t.Error(err)
		}
	})
	err = cluster.Poll(t.Context(), "the default ServiceAccount of "+namespace.Name, func(ctx context.Context) error {
		_, err := c.Client().CoreV1().ServiceAccounts(namespace.Name).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return namespace.Name
}

// apply applies YAML to a namespace, as kubectl does.
func apply(t *testing.T, c *cluster.Cluster, namespace, yaml string) {
	t.Helper()
	if _, err := c.Kubectl(t.Context(), yaml, "-n", namespace, "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
}

// rolledOut waits until workloads (deployment/web) have all of their Pods.
func rolledOut(t *testing.T, c *cluster.Cluster, namespace string, workloads ...string) {
	t.Helper()
	for _, workload := range workloads {
		if _, err := c.Kubectl(t.Context(), "", "-n", namespace, "rollout", "status", workload, "--timeout", "5m"); err != nil {
			t.Fatal(err)
		}
	}
}

// deployWeb runs Deployments of one container app each, and waits for them.
func deployWeb(t *testing.T, c *cluster.Cluster, namespace string, replicas int, names ...string) {
	t.Helper()
	for _, name := range names {
		apply(t, c, namespace, fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  replicas: %[2]d
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec: {containers: [{name: app, image: "app:1"}]}
`, name, replicas))
	}
	for _, name := range names {
		rolledOut(t, c, namespace, "deployment/"+name)
	}
}

// podsOf returns the Pods with this label (app=web).
func podsOf(t *testing.T, c *cluster.Cluster, namespace, label string) []corev1.Pod {
	t.Helper()
	list, err := c.Client().CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: label})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// containerNames returns "init1,init2|app,sidecar".
func containerNames(pod corev1.Pod) string {
	var init, main []string
	for _, c := range pod.Spec.InitContainers {
		init = append(init, c.Name)
	}
	for _, c := range pod.Spec.Containers {
		main = append(main, c.Name)
	}
	return strings.Join(init, ",") + "|" + strings.Join(main, ",")
}
