package causes

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/dapr"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

// systems are the injectors' namespaces.
var systems = []string{"istio-system", dapr.Namespace, "own-system", "otel-system", "kubeflow", "vault-system"}

// labelled are the apps' namespaces, with their labels.
var labelled = map[string]string{
	"mesh-a": "istio-injection: enabled", "mesh-b": "istio-injection: enabled", "mesh-c": "team: mesh",
	"dapr-a": "team: dapr", "own-a": injector.NamespaceLabel + ": own", "own-b": injector.NamespaceLabel + ": own",
	"otel-a": injector.NamespaceLabel + ": otel", "kubeflow-a": injector.NamespaceLabel + ": kubeflow", "vault-a": injector.NamespaceLabel + ": vault",
	"plain-a": "team: plain",
}

func apps() []string {
	var all []string
	for name := range labelled {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

func daprAnnotations(namespace string) map[string]string {
	if namespace != "dapr-a" {
		return nil
	}
	return map[string]string{"dapr.io/enabled": "true", "dapr.io/app-id": "web", "dapr.io/inject-pluggable-components": "true"}
}

// build makes the injectors, what they go by, and the apps.
func (w *world) build(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	var manifests strings.Builder
	w.startIstio(t)
	w.startDapr(t)
	for _, o := range []own{
		{name: "own", system: "own-system", mounts: "own-config", resources: "agents.own.example.com", answer: w.ownAnswer},
		{name: "otel", system: "otel-system", webhook: "mpod.kb.io", answer: w.otelAnswer},
		{name: "kubeflow", system: "kubeflow", webhook: "admission-webhook-deployment.kubeflow.org", answer: w.kubeflowAnswer},
		{name: "vault", system: "vault-system", mounts: "vault-config", resources: "secrets", answer: w.vaultAnswer},
	} {
		w.startOwn(t, o)
	}
	for _, name := range apps() {
		annotations := ""
		for key, value := range daprAnnotations(name) {
			annotations += fmt.Sprintf("%s: %q, ", key, value)
		}
		fmt.Fprintf(&manifests, `---
apiVersion: v1
kind: Namespace
metadata: {name: %[1]s, labels: {%[2]s}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: %[1]s}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}, annotations: {%[3]s}}
    spec: {containers: [{name: app, image: "app:1"}]}
`, name, labelled[name], annotations)
	}
	if err := w.Apply(ctx, manifests.String()); err != nil {
		t.Fatal(err)
	}
	for _, name := range apps() {
		if err := cluster.Poll(ctx, "the Pods of "+name, func(ctx context.Context) error { return w.running(ctx, name) }); err != nil {
			t.Fatal(err)
		}
	}
}

// definition is that of a kind, of which no more is said.
func definition(r resource) string {
	return fmt.Sprintf(`---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[1]s.%[2]s}
spec:
  group: %[2]s
  scope: Namespaced
  names: {kind: %[3]s, plural: %[1]s}
  versions:
  - name: %[4]s
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, x-kubernetes-preserve-unknown-fields: true}}}}
`, r.plural, r.group, r.kind, r.version)
}

// runs is an injector's Deployment with its account.
func (w *world) runs(t *testing.T, system, name, container, configMap string) {
	t.Helper()
	volumes := ""
	if configMap != "" {
		volumes = fmt.Sprintf("volumes: [{name: config, configMap: {name: %s}}], ", configMap)
	}
	err := w.Apply(t.Context(), fmt.Sprintf(`
apiVersion: v1
kind: ServiceAccount
metadata: {name: %[2]s, namespace: %[1]s}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[2]s, namespace: %[1]s}
spec:
  selector: {matchLabels: {app: %[2]s}}
  template:
    metadata: {labels: {app: %[2]s}}
    spec: {serviceAccountName: %[2]s, %[4]scontainers: [{name: %[3]s, image: "injector:1"}]}
`, system, name, container, volumes))
	if err != nil {
		t.Fatal(err)
	}
	if err := cluster.Poll(t.Context(), "the Pods of "+name, func(ctx context.Context) error { return w.running(ctx, system) }); err != nil {
		t.Fatal(err)
	}
}

// belongs says of a webhook configuration, which has a URL here, where its injector is, as
// Helm does.
func (w *world) belongs(t *testing.T, configuration, system string) {
	t.Helper()
	w.kubectl(t, "annotate", "mutatingwebhookconfiguration", configuration, "meta.helm.sh/release-namespace="+system)
}

// mesh is how Istio is configured.
type mesh struct {
	tag, cpu, level, template string
	proxyConfigs              map[string]string
	native                    bool
}

func (w *world) startIstio(t *testing.T) {
	t.Helper()
	w.mesh = mesh{tag: "1.27.0", cpu: "100m", level: "low", template: "1", proxyConfigs: map[string]string{}}
	var err error
	if w.istio, err = istio.Start(t.Context(), w.Cluster, w.mesh.options()); err != nil {
		t.Fatal(err)
	}
	w.belongs(t, "istio-sidecar-injector", "istio-system")
	for _, write := range []func(context.Context, *world, string) error{writeTemplate, writeMesh} {
		if err := write(t.Context(), w, "helm"); err != nil {
			t.Fatal(err)
		}
	}
	w.runs(t, "istio-system", "istiod", "discovery", "istio")
}

func (m mesh) options() istio.Options {
	o := istio.Options{NativeSidecars: m.native, Set: istio.Values(m.tag, m.cpu, "meshConfig.defaultConfig.proxyMetadata.LEVEL="+m.level,
		`values.sidecarInjectorWebhook.templates.custom={"spec":{"containers":[{"name":"custom-agent","image":"agent:`+m.template+`"}]}}`,
		"values.sidecarInjectorWebhook.defaultTemplates[0]=sidecar", "values.sidecarInjectorWebhook.defaultTemplates[1]=custom")}
	for _, text := range m.proxyConfigs {
		o.ProxyConfigs += text
	}
	return o
}

// configure has Istio go by what was written.
func (w *world) configure(ctx context.Context) error { return w.istio.Configure(ctx, w.mesh.options()) }

func writeTemplate(ctx context.Context, w *world, manager string) error {
	return w.write(ctx, manager, configMaps, "istio-system", "istio-sidecar-injector", fields{"data": fields{
		"values": fmt.Sprintf("tag: %s, cpu: %s", w.mesh.tag, w.mesh.cpu), "config": "template: " + w.mesh.template,
	}})
}

func writeMesh(ctx context.Context, w *world, manager string) error {
	return w.write(ctx, manager, configMaps, "istio-system", "istio", fields{"data": fields{"mesh": "level: " + w.mesh.level}})
}

func (w *world) startDapr(t *testing.T) {
	t.Helper()
	var err error
	if w.dapr, err = dapr.Start(t.Context(), w.Cluster, daprOptions("daprd:1.14.0")); err != nil {
		t.Fatal(err)
	}
	w.belongs(t, dapr.Configuration, dapr.Namespace)
	w.runs(t, dapr.Namespace, "dapr-sidecar-injector", "injector", "")
}

func daprOptions(image string) dapr.Options {
	return dapr.Options{SidecarImage: image, AllowedServiceAccountsPrefixNames: []string{"sidecar-drift:*"}}
}

// own is an injector of the tests.
type own struct {
	name, system, webhook string
	mounts, resources     string // the ConfigMap that its Pods mount, and what else it may read
	answer                injector.Answer
}

func (w *world) startOwn(t *testing.T, o own) {
	t.Helper()
	started, err := injector.Start(t.Context(), w.Cluster, injector.Options{Name: o.name, Namespaces: o.name, Webhook: o.webhook})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := started.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	w.runs(t, o.system, o.name, "injector", o.mounts)
	w.belongs(t, "test-injector-"+o.name, o.system)
	if o.mounts != "" {
		w.kubectl(t, "-n", o.system, "create", "role", o.name, "--verb=get", "--resource=configmaps", "--resource-name="+o.mounts)
		w.kubectl(t, "-n", o.system, "create", "rolebinding", o.name, "--role="+o.name, "--serviceaccount="+o.system+":"+o.name)
	}
	if o.resources != "" {
		w.kubectl(t, "-n", o.system, "create", "role", o.name+"-more", "--verb=get,list,watch", "--resource="+o.resources)
		w.kubectl(t, "-n", o.system, "create", "rolebinding", o.name+"-more", "--role="+o.name+"-more", "--serviceaccount="+o.system+":"+o.name)
	}
	started.Inject(o.answer)
}

// ownAnswer goes by a ConfigMap, a custom resource, and an annotation of the namespace.
func (w *world) ownAnswer(r injector.Request) []injector.Operation {
	ctx := context.Background()
	agent := corev1.Container{Name: "agent", Image: "agent:1"}
	if configured, err := r.Client.CoreV1().ConfigMaps("own-system").Get(ctx, "own-config", metav1.GetOptions{}); err == nil {
		if image := configured.Data["image"]; image != "" {
			agent.Image = image
		}
		if level := configured.Data["level"]; level != "" {
			agent.Env = append(agent.Env, corev1.EnvVar{Name: "LEVEL", Value: level})
		}
	}
	if text := w.textOf(agents, "own-system", "default", "spec", "port"); text != "" {
		agent.Env = append(agent.Env, corev1.EnvVar{Name: "PORT", Value: text})
	}
	if namespace, err := r.Client.CoreV1().Namespaces().Get(ctx, r.Namespace, metav1.GetOptions{}); err == nil {
		if level := namespace.Annotations["own.example.com/level"]; level != "" {
			agent.Env = append(agent.Env, corev1.EnvVar{Name: "OF_NAMESPACE", Value: level})
		}
	}
	return []injector.Operation{injector.AddContainer(agent)}
}

// otelAnswer goes by an Instrumentation of the Pod's namespace.
func (w *world) otelAnswer(r injector.Request) []injector.Operation {
	image := w.textOf(instrumentation, r.Namespace, "default", "spec", "java", "image")
	if image == "" {
		image = "java:1"
	}
	return []injector.Operation{injector.AddContainer(corev1.Container{Name: "otc-container", Image: image})}
}

// kubeflowAnswer goes by a PodDefault of the Pod's namespace.
func (w *world) kubeflowAnswer(r injector.Request) []injector.Operation {
	variables := []corev1.EnvVar{{Name: "INJECTED", Value: "yes"}}
	if value := w.textOf(podDefaults, r.Namespace, "default", "spec", "env"); value != "" {
		variables = append(variables, corev1.EnvVar{Name: "OF_DEFAULT", Value: value})
	}
	return []injector.Operation{{Op: "add", Path: "/spec/containers/0/env", Value: variables}}
}

// vaultAnswer goes by a Secret.
func (w *world) vaultAnswer(r injector.Request) []injector.Operation {
	agent := corev1.Container{Name: "vault-agent", Image: "vault:1"}
	if secret, err := r.Client.CoreV1().Secrets("vault-system").Get(context.Background(), "vault", metav1.GetOptions{}); err == nil {
		agent.Image = "vault:" + string(secret.Data["version"])
	}
	if configured, err := r.Client.CoreV1().ConfigMaps("vault-system").Get(context.Background(), "vault-config", metav1.GetOptions{}); err == nil {
		agent.Env = []corev1.EnvVar{{Name: "ADDRESS", Value: configured.Data["address"]}}
	}
	return []injector.Operation{injector.AddContainer(agent)}
}

// textOf is a text of a custom resource; empty where there is none.
func (w *world) textOf(r resource, namespace, name string, path ...string) string {
	object, err := w.dynamic.Resource(r.gvr()).Namespace(namespace).Get(context.Background(), name, metav1.GetOptions{})
	if err != nil {
		return ""
	}
	text, _, err := unstructured.NestedString(object.Object, path...)
	if err != nil {
		return ""
	}
	return text
}
