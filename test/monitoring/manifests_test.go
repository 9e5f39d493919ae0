//go:build monitoring

package monitoring

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/binaries"
)

// render is what kustomize makes of a directory of manifests, whole and document
// by document.
func render(ctx context.Context, c *cluster.Cluster, parts ...string) (string, []*unstructured.Unstructured, error) {
	text, err := c.Kubectl(ctx, "", "kustomize", filepath.Join(append([]string{manifests}, parts...)...))
	if err != nil {
		return "", nil, err
	}
	objects, err := cluster.Objects(text)
	return text, objects, err
}

func find(objects []*unstructured.Unstructured, kind, name string) (*unstructured.Unstructured, error) {
	for _, object := range objects {
		if object.GetKind() == kind && object.GetName() == name {
			return object, nil
		}
	}
	return nil, fmt.Errorf("the manifests hold no %s %s", kind, name)
}

// honorsLabels reads from the ServiceMonitor how the auditor is to be scraped.
func honorsLabels(ctx context.Context, c *cluster.Cluster) (bool, error) {
	_, objects, err := render(ctx, c, "prometheus")
	if err != nil {
		return false, err
	}
	monitor, err := find(objects, "ServiceMonitor", "sidecar-drift-auditor")
	if err != nil {
		return false, err
	}
	endpoints, _, err := unstructured.NestedSlice(monitor.Object, "spec", "endpoints")
	if err != nil || len(endpoints) != 1 {
		return false, fmt.Errorf("the ServiceMonitor has the endpoints %v, want one (%w)", endpoints, err)
	}
	honor, _, err := unstructured.NestedBool(endpoints[0].(map[string]any), "honorLabels")
	return honor, err
}

// The operator's real definitions accept the objects, strictly.
func TestManifestsPassAServerSideDryRun(t *testing.T) {
	c := shared.cluster
	for _, kind := range []string{"servicemonitors", "podmonitors", "prometheusrules"} {
		definition, err := binaries.PrometheusOperator.File(t.Context(), "example/prometheus-operator-crd/monitoring.coreos.com_"+kind+".yaml")
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Define(t.Context(), kind+".monitoring.coreos.com", string(definition)); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"prometheus", "grafana"} {
		text, _, err := render(t.Context(), c, dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Kubectl(t.Context(), text, "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-"); err != nil {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// The overlay is the default installation and what the two directories hold.
func TestOverlayHoldsTheObjects(t *testing.T) {
	names := func(parts ...string) []string {
		_, objects, err := render(t.Context(), shared.cluster, parts...)
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		for _, object := range objects {
			found = append(found, object.GetKind()+"/"+object.GetName())
			if object.GetLabels()["app.kubernetes.io/name"] != "sidecar-drift" {
				t.Errorf("%s/%s lacks the label app.kubernetes.io/name", object.GetKind(), object.GetName())
			}
		}
		slices.Sort(found)
		return found
	}
	added := []string{
		"ConfigMap/sidecar-drift-dashboard", "PodMonitor/sidecar-drift-certs", "PodMonitor/sidecar-drift-webhook", "PrometheusRule/sidecar-drift", "ServiceMonitor/sidecar-drift-auditor",
	}
	if diff := cmp.Diff(added, slices.Sorted(slices.Values(slices.Concat(names("prometheus"), names("grafana"))))); diff != "" {
		t.Errorf("what monitoring adds (-want +got):\n%s", diff)
	}
	want := slices.Sorted(slices.Values(slices.Concat(names(), added)))
	if diff := cmp.Diff(want, names("overlays", "monitoring")); diff != "" {
		t.Errorf("the overlay (-want +got):\n%s", diff)
	}
}

// The monitors find what they are for, and that only.
func TestMonitorsSelect(t *testing.T) {
	_, objects, err := render(t.Context(), shared.cluster, "overlays", "monitoring")
	if err != nil {
		t.Fatal(err)
	}
	nested := func(object map[string]any, path ...string) map[string]string {
		found, _, err := unstructured.NestedStringMap(object, path...)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	// portsOf are the names of an object's ports.
	portsOf := func(object map[string]any, path ...string) []string {
		found, _, err := unstructured.NestedSlice(object, path...)
		if err != nil {
			t.Fatal(err)
		}
		var named []string
		for _, port := range found {
			name, _, _ := unstructured.NestedString(port.(map[string]any), "name")
			named = append(named, name)
		}
		return named
	}
	for _, want := range []struct{ monitor, name, selected string }{
		{"ServiceMonitor", "sidecar-drift-auditor", "Service"},
		{"PodMonitor", "sidecar-drift-webhook", "Deployment"},
		{"PodMonitor", "sidecar-drift-certs", "Deployment"},
	} {
		monitor, err := find(objects, want.monitor, want.name)
		if err != nil {
			t.Fatal(err)
		}
		selector := labels.SelectorFromSet(nested(monitor.Object, "spec", "selector", "matchLabels"))
		for _, object := range objects {
			if object.GetKind() != want.selected {
				continue
			}
			has, holder, path := object.GetLabels(), object.Object, []string{"spec", "ports"}
			if want.selected == "Deployment" {
				has = nested(object.Object, "spec", "template", "metadata", "labels")
				containers, _, _ := unstructured.NestedSlice(object.Object, "spec", "template", "spec", "containers")
				holder, path = containers[0].(map[string]any), []string{"ports"}
			}
			ports := portsOf(holder, path...)
			switch selected := selector.Matches(labels.Set(has)); {
			case selected != (object.GetName() == want.name):
				t.Errorf("%s %s selects %s: %t", want.monitor, want.name, object.GetName(), selected)
			case selected && !slices.Contains(ports, "metrics"):
				t.Errorf("%s %s has the ports %v, and none is named metrics", want.selected, want.name, ports)
			}
		}
	}
}
