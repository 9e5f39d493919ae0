package chart

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

const manifests = "../../manifests"

// Chart and kustomization are one installation, with any two components and with all of
// them, in either order, in which each two are, too; and the API server takes all that
// they ever are.
func TestKustomizationsAreTheChart(t *testing.T) {
	chosen := [][]component{{}, components, slices.Collect(reversed(components))}
	for i, a := range components {
		for _, b := range components[i:] {
			chosen = append(chosen, []component{a, b})
		}
	}
	seen := map[string]*unstructured.Unstructured{} // by what they say
	rendered := map[string]map[string]any{}         // by their values
	for _, these := range chosen {
		names, values := together(these...)
		t.Run(strings.Join(names, ","), func(t *testing.T) {
			key := fmt.Sprint(slices.Sorted(slices.Values(values)))
			want, ok := rendered[key]
			if !ok {
				want = byName(t, helmObjects(t, values))
				rendered[key] = want
			}
			objects := kustomizeObjects(t, names)
			for _, object := range objects {
				text, err := json.Marshal(object)
				if err != nil {
					t.Fatal(err)
				}
				seen[string(text)] = object
			}
			if diff := cmp.Diff(want, byName(t, objects)); diff != "" {
				t.Errorf("-chart +kustomization:\n%s", diff)
			}
		})
	}
	t.Run("are taken", func(t *testing.T) {
		installKinds(t)
		admin, err := client.New(testCluster.RESTConfig(), client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range slices.Sorted(maps.Keys(seen)) {
			checkTaken(t, admin, seen[text])
		}
	})
}

func reversed(all []component) func(func(component) bool) {
	return func(yield func(component) bool) {
		for _, c := range slices.Backward(all) {
			if !yield(c) {
				return
			}
		}
	}
}

// helmObjects are those of the chart, with the namespace that kustomizations bring
// and the example of a configuration that they have.
func helmObjects(t *testing.T, values []string) []*unstructured.Unstructured {
	t.Helper()
	values = append(slices.Clone(values), "namespace.create=true")
	for i, value := range values {
		if strings.HasPrefix(value, "configuration=") {
			values[i] = "configuration=" + exampleConfiguration(t)
		}
	}
	files, err := Render(t.Context(), filepath.Join(manifests, "chart"), values...)
	if err != nil {
		t.Fatal(err)
	}
	var objects []*unstructured.Unstructured
	for _, file := range files {
		decoded, err := cluster.Objects(strings.Join(file.Documents, "---\n"))
		if err != nil {
			t.Fatalf("%s: %v", file.Template, err)
		}
		objects = append(objects, decoded...)
	}
	return objects
}

// exampleConfiguration is that of the component, as JSON.
func exampleConfiguration(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(manifests, "components", "auto-rollout", "configuration.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var configuration map[string]any
	if err := yaml.Unmarshal(text, &configuration); err != nil {
		t.Fatal(err)
	}
	delete(configuration, "apiVersion")
	delete(configuration, "kind")
	text, err = json.Marshal(configuration)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// kustomizeObjects are those of the default installation with components, in a
// kustomization as a user would write it.
func kustomizeObjects(t *testing.T, names []string) []*unstructured.Unstructured {
	t.Helper()
	dir := t.TempDir()
	root, err := filepath.Abs(manifests)
	if err != nil {
		t.Fatal(err)
	}
	there, err := filepath.Rel(dir, root)
	if err != nil {
		t.Fatal(err)
	}
	text := "resources: [" + there + "]\ncomponents:\n"
	for _, name := range names {
		text += "  - " + filepath.Join(there, "components", name) + "\n"
	}
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return kustomize(t, dir)
}

func kustomize(t *testing.T, dir string) []*unstructured.Unstructured {
	t.Helper()
	made, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	text, err := made.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	objects, err := cluster.Objects(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// byName returns what objects say, by kind, namespace and name, without that in which
// the two may differ: labels of Helm, and the order of what has none.
func byName(t *testing.T, objects []*unstructured.Unstructured) map[string]any {
	t.Helper()
	named := map[string]any{}
	for _, object := range objects {
		o := object.DeepCopy()
		labels := o.GetLabels()
		for _, key := range []string{"app.kubernetes.io/instance", "app.kubernetes.io/version", "app.kubernetes.io/managed-by", "helm.sh/chart"} {
			delete(labels, key)
		}
		o.SetLabels(labels)
		switch o.GetKind() {
		case "Deployment":
			sortPodTemplate(t, o)
		case "ConfigMap":
			decodeData(t, o)
		case "ServiceMonitor":
			plain(t, o)
		}
		key := o.GetKind() + " " + o.GetNamespace() + "/" + o.GetName()
		if named[key] != nil {
			t.Errorf("%s is there twice", key)
		}
		named[key] = o.Object
	}
	return named
}

// sortPodTemplate sorts arguments, but for the command, and mounts and volumes by
// their names.
func sortPodTemplate(t *testing.T, deployment *unstructured.Unstructured) {
	t.Helper()
	pod, _, err := unstructured.NestedMap(deployment.Object, "spec", "template", "spec")
	if err != nil {
		t.Fatal(err)
	}
	byName := func(a, b any) int {
		return strings.Compare(a.(map[string]any)["name"].(string), b.(map[string]any)["name"].(string))
	}
	if volumes, ok := pod["volumes"].([]any); ok {
		slices.SortFunc(volumes, byName)
	}
	container := pod["containers"].([]any)[0].(map[string]any)
	if mounts, ok := container["volumeMounts"].([]any); ok {
		slices.SortFunc(mounts, byName)
	}
	if args, ok := container["args"].([]any); ok {
		slices.SortFunc(args[1:], func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
	}
	if err := unstructured.SetNestedMap(deployment.Object, pod, "spec", "template", "spec"); err != nil {
		t.Fatal(err)
	}
}

// plain takes away what the chart gives a ServiceMonitor of an auditor that wants a token:
// in a kustomization that is the user's own patch, docs/service.md#who-may-read-metrics-and-page.
func plain(t *testing.T, monitor *unstructured.Unstructured) {
	t.Helper()
	endpoints, _, err := unstructured.NestedSlice(monitor.Object, "spec", "endpoints")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"scheme", "tlsConfig", "authorization"} {
		delete(endpoints[0].(map[string]any), key)
	}
	if err := unstructured.SetNestedSlice(monitor.Object, endpoints, "spec", "endpoints"); err != nil {
		t.Fatal(err)
	}
}

// decodeData has data be what it says.
func decodeData(t *testing.T, configMap *unstructured.Unstructured) {
	t.Helper()
	data, _, err := unstructured.NestedStringMap(configMap.Object, "data")
	if err != nil {
		t.Fatal(err)
	}
	decoded := map[string]any{}
	for key, text := range data {
		var value any
		if err := yaml.Unmarshal([]byte(text), &value); err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		decoded[key] = value
	}
	configMap.Object["data"] = decoded
}

// checkTaken checks that the API server would take an object with every field of it.
func checkTaken(t *testing.T, admin client.Client, object *unstructured.Unstructured) {
	t.Helper()
	create(t, admin, object.GetNamespace())
	if err := client.WithFieldValidation(admin, metav1.FieldValidationStrict).
		Apply(t.Context(), client.ApplyConfigurationFromUnstructured(object.DeepCopy()), client.DryRunAll, client.FieldOwner("chart")); err != nil {
		t.Errorf("%s %s: %v", object.GetKind(), object.GetName(), err)
	}
}

// create has a namespace be there.
func create(t *testing.T, admin client.Client, namespace string) {
	t.Helper()
	if namespace == "" {
		return
	}
	object := &unstructured.Unstructured{}
	object.SetAPIVersion("v1")
	object.SetKind("Namespace")
	object.SetName(namespace)
	if err := client.IgnoreAlreadyExists(admin.Create(context.WithoutCancel(t.Context()), object)); err != nil {
		t.Fatal(err)
	}
}
