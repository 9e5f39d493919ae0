package acceptance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kubectl/pkg/polymorphichelpers"
	"k8s.io/kubectl/pkg/util"

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

// apply applies YAML to a namespace, as kubectl does. What is not there yet it creates as
// kubectl does; the rest is kubectl's, which takes much more of the processors.
func apply(t *testing.T, c *cluster.Cluster, namespace, yaml string) {
	t.Helper()
	objects, err := cluster.Objects(yaml)
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range objects {
		resource, err := c.Resource(object, namespace)
		if err != nil {
			t.Fatal(err)
		}
		_, err = resource.Get(t.Context(), object.GetName(), metav1.GetOptions{})
		switch {
		case err == nil:
			text, err := object.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Kubectl(t.Context(), string(text), "-n", namespace, "apply", "-f", "-"); err != nil {
				t.Fatal(err)
			}
			continue
		case !apierrors.IsNotFound(err):
			t.Fatal(err)
		}
		if err := util.CreateApplyAnnotation(object, unstructured.UnstructuredJSONScheme); err != nil {
			t.Fatal(err)
		}
		_, err = resource.Create(t.Context(), object, metav1.CreateOptions{FieldManager: "kubectl-client-side-apply", FieldValidation: metav1.FieldValidationStrict})
		if err != nil {
			t.Fatalf("create %s %s: %v", object.GetKind(), object.GetName(), err)
		}
	}
}

// rolledOut waits until workloads (deployment/web) have all of their Pods, by kubectl's
// own judgement.
func rolledOut(t *testing.T, c *cluster.Cluster, namespace string, workloads ...string) {
	t.Helper()
	for _, workload := range workloads {
		kind, name, _ := strings.Cut(workload, "/")
		kind = map[string]string{"deployment": "Deployment", "statefulset": "StatefulSet", "daemonset": "DaemonSet"}[kind]
		viewer, err := polymorphichelpers.StatusViewerFor(schema.GroupKind{Group: "apps", Kind: kind})
		if err != nil {
			t.Fatalf("%s: %v", workload, err)
		}
		asked := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "apps/v1", "kind": kind}}
		resource, err := c.Resource(asked, namespace)
		if err != nil {
			t.Fatal(err)
		}
		var failed error
		err = cluster.Poll(t.Context(), "the rollout of "+workload, func(ctx context.Context) error {
			object, err := resource.Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			var said string
			var done bool
			if said, done, failed = viewer.Status(object, 0); done || failed != nil {
				return nil //nolint:nilerr // it has failed for good
			}
			return errors.New(strings.TrimSpace(said))
		})
		if err := errors.Join(err, failed); err != nil {
			t.Fatalf("%s: %v", workload, err)
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

// podsOf returns the Pods with this label (app=web), without those that are being deleted:
// controllers count them no longer.
func podsOf(t *testing.T, c *cluster.Cluster, namespace, label string) []corev1.Pod {
	t.Helper()
	list, err := c.Client().CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: label})
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(list.Items, func(pod corev1.Pod) bool { return pod.DeletionTimestamp != nil })
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
