package acceptance

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sidecar-drift/sidecar-drift/internal/memorylimit"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/fingerprint"
)

// rendered returns the base's objects of a kind, by name.
func rendered[T any](t *testing.T, objects []*unstructured.Unstructured, kind string) map[string]T {
	t.Helper()
	found := map[string]T{}
	for _, object := range objects {
		if object.GetKind() != kind {
			continue
		}
		var typed T
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &typed); err != nil {
			t.Fatal(err)
		}
		found[object.GetName()] = typed
	}
	return found
}

// TestManifestsAreHardened: every Deployment's Pods have no more than they need,
// and a NetworkPolicy says what may reach them.
func TestManifestsAreHardened(t *testing.T) {
	objects := render(t, testCluster(t), base)
	policies := rendered[networkingv1.NetworkPolicy](t, objects, "NetworkPolicy")
	deployments := rendered[appsv1.Deployment](t, objects, "Deployment")
	if len(deployments) != 3 {
		t.Errorf("%d Deployments", len(deployments))
	}
	for name, deployment := range deployments {
		t.Run(name, func(t *testing.T) {
			checkPod(t, deployment.Spec.Template.Spec)
			policy := policies[name]
			if !labels.SelectorFromSet(policy.Spec.PodSelector.MatchLabels).Matches(labels.Set(deployment.Spec.Template.Labels)) ||
				len(policy.Spec.PodSelector.MatchLabels) == 0 {
				t.Errorf("the NetworkPolicy selects %v", policy.Spec.PodSelector.MatchLabels)
			}
			ports := map[string]bool{}
			for _, port := range deployment.Spec.Template.Spec.Containers[0].Ports {
				ports[port.Name] = true
			}
			for _, rule := range policy.Spec.Ingress {
				for _, port := range rule.Ports {
					if !ports[port.Port.StrVal] {
						t.Errorf("the NetworkPolicy opens %v, which is no port", port.Port)
					}
				}
			}
		})
	}
	if egress := policies["sidecar-drift-webhook"].Spec.Egress; len(egress) > 0 ||
		!slices.Contains(policies["sidecar-drift-webhook"].Spec.PolicyTypes, networkingv1.PolicyTypeEgress) {
		t.Errorf("the stamper may reach %v", egress)
	}
}

func checkPod(t *testing.T, pod corev1.PodSpec) {
	t.Helper()
	if pod.EnableServiceLinks == nil || *pod.EnableServiceLinks {
		t.Error("the addresses of Services are in the environment")
	}
	if !*pod.SecurityContext.RunAsNonRoot || pod.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("security context %+v", pod.SecurityContext)
	}
	for _, container := range pod.Containers {
		context := container.SecurityContext
		if *context.AllowPrivilegeEscalation || !*context.ReadOnlyRootFilesystem || !slices.Contains(context.Capabilities.Drop, "ALL") {
			t.Errorf("container %s has the security context %+v", container.Name, context)
		}
		if container.Resources.Limits.Memory().IsZero() || !slices.ContainsFunc(container.Env, func(variable corev1.EnvVar) bool {
			return variable.Name == memorylimit.Variable && variable.ValueFrom.ResourceFieldRef.Resource == "limits.memory"
		}) {
			t.Errorf("container %s does not know its limit of memory", container.Name)
		}
	}
}

// TestStampIsNeverWhatAPodIsRefusedFor: the API server takes so many bytes of
// annotations, and the stamp would be more. It shows that the bound is its own:
// one byte less than it takes is created, with no byte more.
func TestStampIsNeverWhatAPodIsRefusedFor(t *testing.T) {
	c := testCluster(t)
	testProduct(t)
	namespace := namespaceWith(t, c, nil)
	const most = 256 << 10
	create := func(name string, size int) error {
		_, err := c.Kubectl(t.Context(), fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":%q,"annotations":{"a":%q}},`+
			`"spec":{"containers":[{"name":"app","image":"app:1"}]}}`, name, strings.Repeat("x", size-1)), "-n", namespace, "create", "-f", "-")
		return err
	}
	if err := create("full", most); err != nil {
		t.Fatal(err)
	}
	if stamp, stamped := podNamed(t, c, namespace, "full").Annotations[fingerprint.StampAnnotation]; stamped {
		t.Errorf("stamp %q", stamp)
	}
	if err := create("roomy", most-1024); err != nil {
		t.Fatal(err)
	}
	if stamp := podNamed(t, c, namespace, "roomy").Annotations[fingerprint.StampAnnotation]; stamp != fingerprint.None {
		t.Errorf("a Pod with room has the stamp %q", stamp)
	}
	if err := create("overfull", most+1); err == nil || !strings.Contains(err.Error(), "annotations") {
		t.Errorf("the API server takes more annotations than it says: %v", err)
	}
}

// TestForgedPodsThroughTheAPIServer: Pods made to harm are created, if the API
// server takes them, and others carry their stamps meanwhile.
func TestForgedPodsThroughTheAPIServer(t *testing.T) {
	c := testCluster(t)
	testProduct(t)
	namespace := namespaceWith(t, c, nil)
	variables := make([]string, 40_000)
	for i := range variables {
		variables[i] = fmt.Sprintf(`{"name":"v%d"}`, i)
	}
	forged := `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"forged"},"spec":{"containers":[{"name":"app","image":"app:1","env":[` +
		strings.Join(variables, ",") + `]}]}}`
	const senders = 4
	created := make(chan error)
	for range senders {
		go func() {
			_, err := c.Kubectl(t.Context(), forged, "-n", namespace, "create", "--dry-run=server", "-f", "-", "-o", "name")
			created <- err
		}()
	}
	deployWeb(t, c, namespace, 3, "web")
	for _, pod := range podsOf(t, c, namespace, "app=web") {
		if stamp := pod.Annotations[fingerprint.StampAnnotation]; stamp != fingerprint.None {
			t.Errorf("Pod %s has the stamp %q", pod.Name, stamp)
		}
	}
	for range senders {
		if err := <-created; err != nil {
			t.Error(err)
		}
	}
}
