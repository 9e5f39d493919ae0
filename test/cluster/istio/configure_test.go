package istio_test

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

func TestMeshConfigurationIsInForceWhenUpdateReturns(t *testing.T) {
	injector := start(t, istio.Options{})
	for i := range 3 {
		if err := injector.Update(t.Context(), fmt.Sprintf("meshConfig.defaultConfig.concurrency=%d", i+1)); err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf(`"concurrency":%d`, i+1)
		if got := variable(proxy(t, create(t, nil).Spec.Containers), "PROXY_CONFIG"); !strings.Contains(got, want) {
			t.Errorf("PROXY_CONFIG is %s, want %s in it", got, want)
		}
	}
}

func TestProxyConfigsAreInForceWhenConfigureReturns(t *testing.T) {
	const resource = `
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: {name: flag, namespace: shop}
spec: {environmentVariables: {FLAG: %s}}
`
	injector := start(t, istio.Options{ProxyConfigs: fmt.Sprintf(resource, "first")})
	for _, want := range []string{"first", "second", "third"} {
		if err := injector.Configure(t.Context(), istio.Options{ProxyConfigs: fmt.Sprintf(resource, want)}); err != nil {
			t.Fatal(err)
		}
		if got := variable(proxy(t, create(t, nil).Spec.Containers), "FLAG"); got != want {
			t.Errorf("FLAG is %q, want %q", got, want)
		}
	}
	err := injector.Configure(t.Context(), istio.Options{ProxyConfigs: strings.Replace(resource, "ProxyConfig", "Sidecar", 1)})
	if err == nil || !strings.Contains(err.Error(), "ProxyConfig") {
		t.Errorf("got %v, want an error that says what is no ProxyConfig", err)
	}
}

func TestSwitchToNativeSidecars(t *testing.T) {
	injector := start(t, istio.Options{})
	proxy(t, create(t, nil).Spec.Containers)
	if err := injector.Configure(t.Context(), istio.Options{NativeSidecars: true}); err != nil {
		t.Fatal(err)
	}
	proxy(t, create(t, nil).Spec.InitContainers)
}

func TestEachRevisionInjectsItsOwnPods(t *testing.T) {
	start(t, istio.Options{Set: []string{"values.global.tag=1.27.0"}})
	start(t, istio.Options{Revision: "canary", Set: []string{"values.global.tag=1.28.0"}})
	if image := proxy(t, create(t, nil).Spec.Containers).Image; !strings.HasSuffix(image, ":1.27.0") {
		t.Errorf("the default revision injects %s", image)
	}
	pod, err := shared.Client().CoreV1().Pods(metav1.NamespaceDefault).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "probe-", Labels: map[string]string{"istio.io/rev": "canary"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app"}}},
	}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		t.Fatal(err)
	}
	container := proxy(t, pod.Spec.Containers)
	if !strings.HasSuffix(container.Image, ":1.28.0") {
		t.Errorf("the canary injects %s", container.Image)
	}
	if got, want := variable(container, "CA_ADDR"), "istiod-canary.istio-system.svc:15012"; got != want {
		t.Errorf("CA_ADDR is %s, want %s", got, want)
	}
}

func variable(container corev1.Container, name string) string {
	for _, v := range container.Env {
		if v.Name == name {
			return v.Value
		}
	}
	return ""
}
