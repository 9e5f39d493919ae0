package acceptance

import (
	"encoding/json"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/fingerprint"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/clustertest"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

var stampPattern = regexp.MustCompile(`^v1:[0-9a-f]{64}$`)

func TestStampOfAnInjectedPod(t *testing.T) {
	c, _, product := testCluster(t), testIstio(t), testProduct(t)
	namespace := namespaceWith(t, c, injected)
	deployWeb(t, c, namespace, 2, "web")

	pods := podsOf(t, c, namespace, "app=web")
	for _, pod := range pods {
		if got := containerNames(pod); got != "istio-init|app,istio-proxy" {
			t.Fatalf("containers %s", got)
		}
		checkParts(t, pod, "container/istio-proxy", "initContainer/istio-init", "metadata", "order", "volumes")
		checkStampFromFile(t, c, product, pod)
	}
	if a, b := pods[0].Annotations, pods[1].Annotations; a[fingerprint.StampAnnotation] != b[fingerprint.StampAnnotation] {
		t.Errorf("two Pods of one revision have the stamps %s and %s",
			a[fingerprint.StampAnnotation], b[fingerprint.StampAnnotation])
	}
}

// checkParts checks the form of a Pod's stamp and the names of its parts.
func checkParts(t *testing.T, pod corev1.Pod, want ...string) {
	t.Helper()
	if stamp := pod.Annotations[fingerprint.StampAnnotation]; !stampPattern.MatchString(stamp) {
		t.Errorf("stamp %q", stamp)
	}
	var parts map[string]string
	if err := json.Unmarshal([]byte(pod.Annotations[fingerprint.PartsAnnotation]), &parts); err != nil {
		t.Fatalf("parts %q: %v", pod.Annotations[fingerprint.PartsAnnotation], err)
	}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(parts))); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
}

// checkStampFromFile: the stored Pod has the fingerprint that the stamper saw,
// though in-tree plugins, the scheduler and the kubelet wrote to it since.
func checkStampFromFile(t *testing.T, c *cluster.Cluster, product *install.Product, pod corev1.Pod) {
	t.Helper()
	stored, err := c.Kubectl(t.Context(), "", "-n", pod.Namespace, "get", "pod", pod.Name, "-o", "json", "--show-managed-fields")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), product.CLI, "fingerprint", "-f", "-", "-o", "json")
	cmd.Stdin = strings.NewReader(stored)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var fingerprints []struct {
		Name, Namespace, Stamp string
		Parts                  json.RawMessage
	}
	if err := json.Unmarshal(out, &fingerprints); err != nil || len(fingerprints) != 1 {
		t.Fatalf("fingerprint printed %s (%v)", out, err)
	}
	got := fingerprints[0]
	if got.Name != pod.Name || got.Namespace != pod.Namespace || got.Stamp != pod.Annotations[fingerprint.StampAnnotation] {
		t.Errorf("fingerprint of the stored Pod %s/%s is %s, its stamp %s",
			got.Namespace, got.Name, got.Stamp, pod.Annotations[fingerprint.StampAnnotation])
	}
}

func TestStampOfAPodWithoutInjection(t *testing.T) {
	c := testCluster(t)
	testIstio(t)
	testProduct(t)
	namespace := namespaceWith(t, c, nil)
	deployWeb(t, c, namespace, 1, "web")
	for _, pod := range podsOf(t, c, namespace, "app=web") {
		if got := pod.Annotations[fingerprint.StampAnnotation]; got != fingerprint.None {
			t.Errorf("stamp %q, parts %s", got, pod.Annotations[fingerprint.PartsAnnotation])
		}
	}
}

// A stamp is never a condition: Pods are created without one when the stamper
// is down, and forged annotations are overwritten when it is up.
func TestStamperDown(t *testing.T) {
	c := testCluster(t)
	testIstio(t)
	product := testProduct(t)
	namespace := namespaceWith(t, c, injected)
	if err := product.StopStamper(); err != nil {
		t.Fatalf("SIGTERM does not end the stamper with exit code 0: %v", err)
	}
	deployWeb(t, c, namespace, 1, "unstamped")
	for _, pod := range podsOf(t, c, namespace, "app=unstamped") {
		if stamp, stamped := pod.Annotations[fingerprint.StampAnnotation]; stamped {
			t.Errorf("stamp %q by a stamper that is down", stamp)
		}
	}
	if err := product.StartStamper(t.Context()); err != nil {
		t.Fatal(err)
	}
	apply(t, c, namespace, `
apiVersion: v1
kind: Pod
metadata:
  name: forged
  annotations: {sidecar-drift.io/stamp: "v1:none", sidecar-drift.io/parts: "{}"}
spec: {containers: [{name: app, image: "app:1"}]}
`)
	pod := podNamed(t, c, namespace, "forged")
	checkParts(t, pod, "container/istio-proxy", "initContainer/istio-init", "metadata", "order", "volumes")
}

func podNamed(t *testing.T, c *cluster.Cluster, namespace, name string) corev1.Pod {
	t.Helper()
	list, err := c.Kubectl(t.Context(), "", "-n", namespace, "get", "pod", name, "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	var pod corev1.Pod
	if err := json.Unmarshal([]byte(list), &pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

func TestStampOfANativeSidecar(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, cluster.Options{})
	if _, err := istio.Start(t.Context(), c, istio.Options{Set: istio.Values("1.27.0", "100m"), NativeSidecars: true}); err != nil {
		t.Fatal(err)
	}
	product, err := install.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := product.Stop(); err != nil {
			t.Error(err)
		}
	})
	namespace := namespaceWith(t, c, injected)
	deployWeb(t, c, namespace, 1, "web")
	for _, pod := range podsOf(t, c, namespace, "app=web") {
		if got := containerNames(pod); got != "istio-init,istio-proxy|app" {
			t.Fatalf("containers %s", got)
		}
		checkParts(t, pod, "initContainer/istio-init", "initContainer/istio-proxy", "metadata", "order", "volumes")
		checkStampFromFile(t, c, product, pod)
	}
}
