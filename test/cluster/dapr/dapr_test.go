package dapr_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/clustertest"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/dapr"
)

const (
	controllers          = metav1.NamespaceSystem
	replicaSetController = "replicaset-controller"
)

var shared *cluster.Cluster

func TestMain(m *testing.M) {
	// The injector is a process on this machine, which only our own cluster can
	// reach.
	os.Unsetenv(cluster.ExternalKubeconfigVariable)
	os.Exit(clustertest.Main(m, cluster.Options{}, func(ctx context.Context, c *cluster.Cluster) error {
		shared = c
		return c.Apply(ctx, `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: somebody, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: somebody, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
subjects: [{kind: ServiceAccount, name: somebody, namespace: shop}]
`)
	}))
}

func TestDeploymentIsInjectedAndBecomesReady(t *testing.T) {
	start(t, dapr.Options{SidecarImage: "daprd:1.14.0"})
	if err := shared.Apply(t.Context(), `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}, annotations: {dapr.io/enabled: "true", dapr.io/app-id: web}}
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
		if got, want := imageOf(&pod), "daprd:1.14.0"; got != want {
			t.Errorf("Pod %s has a sidecar of image %q, want %s", pod.Name, got, want)
		}
	}
}

// Dapr tells who creates a Pod by the UID of the account, which who impersonates it
// does not have, unless it is impersonated, too.
func TestForWhomDaprInjects(t *testing.T) {
	ids := map[string]string{}
	for name, namespace := range map[string]string{replicaSetController: controllers, "somebody": "shop"} {
		account, err := shared.Client().CoreV1().ServiceAccounts(namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		ids[name] = string(account.UID)
	}
	somebody, err := shared.ServiceAccountConfig(t.Context(), "shop", "somebody")
	if err != nil {
		t.Fatal(err)
	}
	as := func(uid string) *rest.Config {
		config := shared.RESTConfig()
		config.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:" + controllers + ":" + replicaSetController, UID: uid}
		return config
	}
	type asker struct {
		name   string
		config *rest.Config
	}
	var (
		admin    = asker{"an administrator", shared.RESTConfig()}
		other    = asker{"somebody", somebody}
		byName   = asker{"a controller, impersonated by name", as("")}
		byUID    = asker{"a controller, impersonated by name and UID", as(ids[replicaSetController])}
		allowed  = dapr.Options{AllowedServiceAccounts: []string{"shop:somebody"}}
		prefixed = dapr.Options{AllowedServiceAccountsPrefixNames: []string{controllers + ":replicaset-*"}}
	)
	injector := start(t, dapr.Options{})
	for _, test := range []struct {
		name     string
		opts     dapr.Options
		injected []asker
	}{
		{"as installed", dapr.Options{}, []asker{admin, byUID}},
		{"allowedServiceAccounts", allowed, []asker{admin, byUID, other}},
		{"allowedServiceAccountsPrefixNames", prefixed, []asker{admin, byUID, byName}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := injector.Configure(t.Context(), test.opts); err != nil {
				t.Fatal(err)
			}
			for _, a := range []asker{admin, other, byName, byUID} {
				injected := imageOf(create(t, a.config)) != ""
				if want := slices.ContainsFunc(test.injected, func(b asker) bool { return b.name == a.name }); injected != want {
					t.Errorf("a Pod that %s creates: injected is %t, want %t", a.name, injected, want)
				}
			}
		})
	}
}

func TestConfigureIsInForceWhenItReturns(t *testing.T) {
	injector := start(t, dapr.Options{})
	for i := range 3 {
		opts := dapr.Options{SidecarImage: fmt.Sprintf("daprd:1.14.%d", i), TrustAnchors: fmt.Sprint("authority ", i)}
		if err := injector.Configure(t.Context(), opts); err != nil {
			t.Fatal(err)
		}
		pod := create(t, shared.RESTConfig())
		if got := imageOf(pod); got != opts.SidecarImage {
			t.Errorf("the image is %s, want %s", got, opts.SidecarImage)
		}
		if got := sidecar(pod).Env; !slices.Contains(got, corev1.EnvVar{Name: "DAPR_TRUST_ANCHORS", Value: opts.TrustAnchors}) {
			t.Errorf("the variables are %v, want trust anchors %q", got, opts.TrustAnchors)
		}
	}
}

func TestPodsAreCreatedWithoutASidecarWhileTheInjectorIsDown(t *testing.T) {
	injector := start(t, dapr.Options{})
	if err := injector.Stop(); err != nil {
		t.Fatal(err)
	}
	if image := imageOf(create(t, shared.RESTConfig())); image != "" {
		t.Errorf("there is a sidecar of image %s", image)
	}
	if err := injector.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if imageOf(create(t, shared.RESTConfig())) == "" {
		t.Error("after a restart there is no sidecar")
	}
}

// start starts an injector for one test.
func start(t *testing.T, opts dapr.Options) *dapr.Injector {
	t.Helper()
	injector, err := dapr.Start(t.Context(), shared, opts)
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

// create returns what a new Pod that asks for Dapr would be, from a dry run.
func create(t *testing.T, as *rest.Config) *corev1.Pod {
	t.Helper()
	client, err := kubernetes.NewForConfig(as)
	if err != nil {
		t.Fatal(err)
	}
	pod, err := client.CoreV1().Pods("shop").Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: "probe-",
			Annotations:  map[string]string{"dapr.io/enabled": "true", "dapr.io/app-id": "probe"},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app"}}},
	}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

// imageOf is the sidecar's; empty if there is none.
func imageOf(pod *corev1.Pod) string { return sidecar(pod).Image }

func sidecar(pod *corev1.Pod) corev1.Container {
	for _, container := range pod.Spec.Containers {
		if container.Name == dapr.SidecarContainer {
			return container
		}
	}
	return corev1.Container{}
}
