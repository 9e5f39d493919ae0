package acceptance

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
)

// Every Pod is shaped as its real controller shaped it: nothing mutates the Pods
// of this namespace but the API server's own plugins.
func TestPodsAreShapedLikeTheirOwners(t *testing.T) {
	c := testCluster(t)
	namespace := workloadsOfEveryKind(t, c, map[string]string{"sidecar-drift.io/stamp": "disabled"})
	config := c.RESTConfig()
	config.ContentConfig = rest.ContentConfig{GroupVersion: &schema.GroupVersion{}, NegotiatedSerializer: scheme.Codecs}
	client, err := rest.UnversionedRESTClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	pods, err := inventory.Take(t.Context(), client, inventory.Selection{Namespace: namespace})
	if err != nil {
		t.Fatal(err)
	}
	err = pods.Revisions(t.Context(), func(r inventory.Revision) error {
		if r.Template == nil {
			return nil
		}
		submitted, err := injection.Shape(r, injection.Ordinal{})
		if err != nil {
			return err
		}
		shaped, err := c.Kubectl(t.Context(), string(submitted), "create", "--dry-run=server", "-o", "json", "-f", "-")
		if err != nil {
			return err
		}
		var want, got corev1.Pod
		if err := json.Unmarshal([]byte(shaped), &got); err != nil {
			return err
		}
		live, err := c.Client().CoreV1().Pods(namespace).Get(t.Context(), r.Pods[0].Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		want = *live
		asOrdinal(&want, got)
		if diff := cmp.Diff(want, got, ignored...); diff != "" {
			t.Errorf("%s, revision %s (-controller +shaped):\n%s", r.Workload, r.Name, diff)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// asOrdinal gives a StatefulSet's Pod the name and labels of another ordinal. Its claims
// are those of the first live Pod.
func asOrdinal(pod *corev1.Pod, other corev1.Pod) {
	if _, ok := pod.Labels["statefulset.kubernetes.io/pod-name"]; !ok {
		return
	}
	pod.Spec.Hostname = other.Name
	pod.Labels["statefulset.kubernetes.io/pod-name"] = other.Name
	pod.Labels["apps.kubernetes.io/pod-index"] = "2"
	pod.Spec.Volumes[0].PersistentVolumeClaim.ClaimName = "data-store-0"
}

// ignored is what the API server, the scheduler and the kubelet set, and what
// the shape leaves out on purpose.
var ignored = cmp.Options{
	cmpopts.IgnoreFields(metav1.ObjectMeta{}, "Name", "UID", "ResourceVersion", "CreationTimestamp", "ManagedFields", "Generation"),
	cmpopts.IgnoreFields(metav1.OwnerReference{}, "BlockOwnerDeletion"),
	cmpopts.IgnoreFields(corev1.Pod{}, "TypeMeta", "Status"),
	// Affinity and tolerations: those of DaemonSets.
	cmpopts.IgnoreFields(corev1.PodSpec{}, "NodeName", "Affinity", "Tolerations"),
	cmpopts.IgnoreSliceElements(func(v corev1.Volume) bool { return v.Projected != nil }),
	cmpopts.IgnoreSliceElements(func(m corev1.VolumeMount) bool {
		return m.MountPath == "/var/run/secrets/kubernetes.io/serviceaccount"
	}),
	cmpopts.EquateEmpty(),
}
