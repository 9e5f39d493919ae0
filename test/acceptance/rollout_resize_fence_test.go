package acceptance

import (
	"errors"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidecar-drift/sidecar-drift/auditor/fence"
)

// resizeAs patches a Pod's subresource.
func resizeAs(t *testing.T, who client.Client, pod *corev1.Pod, patch string) error {
	t.Helper()
	return who.SubResource("resize").Patch(t.Context(), pod.DeepCopy(), client.RawPatch(types.StrategicMergePatchType, []byte(patch)), client.FieldOwner("sidecar-drift-resize"))
}

// The fence leaves of the right to resize Pods the resources of containers that were
// injected, as the stamp says, and the API server takes what it lets pass.
func TestRolloutMayResizeWhatWasInjected(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	rollout, admin, namespace := asAccount(t, c, "sidecar-drift-rollout"), asAdmin(t, c), newNamespace(t, c)
	grantEverything(t, c, namespace)
	amounts := corev1.ResourceRequirements{Requests: corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("64Mi"),
	}}
	pod := newPod(namespace)
	app := pod.Spec.Containers[0]
	app.Name, app.Resources = "app", amounts
	proxy, native := app, app
	proxy.Name, native.Name, native.RestartPolicy = "proxy", "native", new(corev1.ContainerRestartPolicyAlways)
	pod.Spec.Containers, pod.Spec.InitContainers = []corev1.Container{app, proxy}, []corev1.Container{native}
	pod.Spec.NodeSelector = map[string]string{"nowhere": ""} // nobody says that its node cannot resize
	create(t, admin, pod)
	const ofProxy = `{"spec":{"containers":[{"name":"proxy","resources":{"requests":{"cpu":"200m"}}}]}}`
	annotate := func(parts string) {
		t.Helper()
		if err := merge(t, admin, pod, `{"metadata":{"annotations":{"sidecar-drift.io/parts":`+parts+`}}}`); err != nil {
			t.Fatal(err)
		}
	}
	annotate("null")
	checkRefused(t, resizeAs(t, rollout, pod, ofProxy), rolloutPolicy, "says which of its containers were injected")
	annotate(`"{\"container/proxy\":\"0123456789ab\",\"initContainer/native\":\"0123456789ab\"}"`)
	for what, patch := range map[string]string{
		"a container of the app": `{"spec":{"containers":[{"name":"app","resources":{"requests":{"cpu":"200m"}}}]}}`,
		"that and an injected":   `{"spec":{"containers":[{"name":"app","resources":{"requests":{"cpu":"200m"}}},{"name":"proxy","resources":{"requests":{"cpu":"200m"}}}]}}`,
		"the Pod as a whole":     `{"spec":{"resources":{"requests":{"cpu":"2"}}}}`,
	} {
		t.Run(what, func(t *testing.T) {
			checkRefused(t, resizeAs(t, rollout, pod, patch), rolloutPolicy, "nothing of a Pod but the resources of containers")
		})
	}
	// The API server drops these, and notes their manager all the same.
	for _, patch := range []string{`{"metadata":{"labels":{"evil":"1"}}}`, `{"spec":{"containers":[{"name":"proxy","image":"evil"}]}}`} {
		checkRefused(t, resizeAs(t, rollout, pod, patch), rolloutPolicy, "managers (managedFields) of a Pod")
	}
	// As kubectl's --subresource=resize by somebody else before.
	if err := resizeAs(t, admin, pod, `{"spec":{"containers":[{"name":"proxy","resources":{"requests":{"cpu":"150m"}}}]}}`); err != nil {
		t.Fatal(err)
	}
	for _, patch := range []string{
		ofProxy,
		`{"spec":{"containers":[{"name":"proxy","resources":{"requests":{"cpu":"300m","memory":"128Mi"}}}],"initContainers":[{"name":"native","resources":{"requests":{"cpu":"1"},"limits":{"memory":"1Gi"}}}]}}`,
		// What the API server drops of such a patch changes nothing.
		`{"metadata":{"managedFields":[{}]},"spec":{"containers":[{"name":"proxy","resources":{"requests":{"cpu":"340m"}}}]}}`,
	} {
		if err := resizeAs(t, rollout, pod, patch); err != nil {
			t.Errorf("%s: %v, want it allowed", patch, err)
		}
	}
	if err := admin.Get(t.Context(), client.ObjectKeyFromObject(pod), pod); err != nil {
		t.Fatal(err)
	}
	if got := pod.Spec.Containers[1]; got.Image != proxy.Image || got.Resources.Requests.Cpu().String() != "340m" || pod.Labels["evil"] != "" {
		t.Errorf("the container is now %+v, labels %v", got, pod.Labels)
	}
	if !slices.ContainsFunc(pod.ManagedFields, func(e metav1.ManagedFieldsEntry) bool {
		return e.Subresource == "" && e.FieldsV1 != nil && strings.Contains(e.FieldsV1.String(), `"f:image"`)
	}) {
		t.Errorf("its creator manages nothing any more: %v", pod.ManagedFields)
	}
	if err := fence.ProveRolloutOnly(t.Context(), kubernetesAs(t, c, installation, "sidecar-drift-rollout"), namespace); err != nil {
		t.Errorf("prove it: %v", err)
	}
	err := fence.ProveRolloutOnly(t.Context(), c.Client(), namespace)
	if open, is := errors.AsType[*fence.OpenError](err); !is || open.Policy != rolloutPolicy {
		t.Errorf("as the administrator: %v, want it not to be in force", err)
	}
}
