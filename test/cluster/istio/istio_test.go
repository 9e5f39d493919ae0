package istio_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/clustertest"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

var shared *cluster.Cluster

func TestMain(m *testing.M) {
	// The injector is a process on this machine, which only our own cluster can
	// reach.
	os.Unsetenv(cluster.ExternalKubeconfigVariable)
	os.Exit(clustertest.Main(m, cluster.Options{}, func(ctx context.Context, c *cluster.Cluster) error {
		shared = c
		return c.Apply(ctx, `{"apiVersion": "v1", "kind": "Namespace",
			"metadata": {"name": "shop", "labels": {"istio-injection": "enabled"}}}`)
	}))
}

func TestDeploymentIsInjectedAndBecomesReady(t *testing.T) {
	start(t, istio.Options{Set: []string{"values.global.hub=docker.io/istio", "values.global.tag=1.27.0"}})
	if err := shared.Apply(t.Context(), `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: app, image: "nginx:1.29"}]}
`); err != nil {
		t.Fatal(err)
	}
	if _, err := shared.Kubectl(t.Context(), "", "rollout", "status", "--namespace=shop", "deployment/web", "--timeout=5m"); err != nil {
		t.Fatal(err)
	}
	pods, err := shared.Client().CoreV1().Pods("shop").List(t.Context(), metav1.ListOptions{LabelSelector: "app=web"})
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range pods.Items {
		if got, want := proxy(t, pod.Spec.Containers).Image, "docker.io/istio/proxyv2:1.27.0"; got != want {
			t.Errorf("Pod %s has a proxy of image %s, want %s", pod.Name, got, want)
		}
	}
}

func TestUpdateIsInForceWhenItReturns(t *testing.T) {
	injector := start(t, istio.Options{Set: []string{"values.global.tag=1.27.0"}})
	for i := range 3 {
		tag, cpu := fmt.Sprintf("1.28.%d", i), fmt.Sprintf("%dm", 100+i)
		if err := injector.Update(t.Context(), "values.global.tag="+tag, "values.global.proxy.resources.requests.cpu="+cpu); err != nil {
			t.Fatal(err)
		}
		container := proxy(t, create(t, nil).Spec.Containers)
		if !strings.HasSuffix(container.Image, ":"+tag) {
			t.Errorf("after an update to tag %s the image is %s", tag, container.Image)
		}
		if got := container.Resources.Requests.Cpu().String(); got != cpu {
			t.Errorf("after an update to CPU request %s it is %s", cpu, got)
		}
	}
}

// A value that changes no Pod without a probe must not make Update wait.
func TestUpdateOfProbeRewriting(t *testing.T) {
	injector := start(t, istio.Options{})
	probe := &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
		Path: "/healthz", Port: intstr.FromInt32(8080),
	}}}
	for _, rewrite := range []bool{false, true, true, false} {
		if err := injector.Update(t.Context(), fmt.Sprintf("values.sidecarInjectorWebhook.rewriteAppHTTPProbe=%t", rewrite)); err != nil {
			t.Fatal(err)
		}
		got := create(t, probe).Spec.Containers
		if rewritten := app(t, got).LivenessProbe.HTTPGet.Path != "/healthz"; rewritten != rewrite {
			t.Errorf("rewriteAppHTTPProbe=%t: rewritten is %t", rewrite, rewritten)
		}
	}
}

func TestNativeSidecarIsAnInitContainer(t *testing.T) {
	start(t, istio.Options{NativeSidecars: true})
	container := proxy(t, create(t, nil).Spec.InitContainers)
	if container.RestartPolicy == nil || *container.RestartPolicy != corev1.ContainerRestartPolicyAlways {
		t.Errorf("restartPolicy is %v, want Always", container.RestartPolicy)
	}
}

func TestPodsAreRefusedWhileTheInjectorIsDown(t *testing.T) {
	injector := start(t, istio.Options{Set: []string{"values.global.tag=1.27.0"}})
	if err := injector.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := tryCreate(t, nil); !apierrors.IsInternalError(err) || !strings.Contains(err.Error(), "failed calling webhook") {
		t.Errorf("got %v, want failed calling webhook", err)
	}
	if err := injector.Update(t.Context(), "values.global.tag=1.28.0"); err != nil {
		t.Fatal(err)
	}
	if err := injector.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if image := proxy(t, create(t, nil).Spec.Containers).Image; !strings.HasSuffix(image, ":1.28.0") {
		t.Errorf("after a restart the image is %s", image)
	}
}

func TestMalformedValueIsRefused(t *testing.T) {
	injector := start(t, istio.Options{})
	for _, value := range []string{"values.global[tag", "values.global.proxy.excludeInboundPorts=9000", "meshConfig.ingressControllerMode=NONSENSE"} {
		err := injector.Update(t.Context(), value)
		if err == nil || !strings.Contains(err.Error(), value) {
			t.Errorf("got %v, want an error that names %s", err, value)
		}
	}
}

// start starts an injector for one test.
func start(t *testing.T, opts istio.Options) *istio.Injector {
	t.Helper()
	injector, err := istio.Start(t.Context(), shared, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := injector.Uninstall(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return injector
}

// create returns what a new Pod would be, from a dry run.
func create(t *testing.T, liveness *corev1.Probe) *corev1.Pod {
	t.Helper()
	pod, err := tryCreate(t, liveness)
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

func tryCreate(t *testing.T, liveness *corev1.Probe) (*corev1.Pod, error) {
	return shared.Client().CoreV1().Pods("shop").Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "probe-"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app", LivenessProbe: liveness}}},
	}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
}

func proxy(t *testing.T, containers []corev1.Container) corev1.Container {
	t.Helper()
	return named(t, istio.ProxyContainer, containers)
}

func app(t *testing.T, containers []corev1.Container) corev1.Container {
	t.Helper()
	return named(t, "app", containers)
}

func named(t *testing.T, name string, containers []corev1.Container) corev1.Container {
	t.Helper()
	for _, container := range containers {
		if container.Name == name {
			return container
		}
	}
	t.Fatalf("none of the %d containers is %s", len(containers), name)
	return corev1.Container{}
}
