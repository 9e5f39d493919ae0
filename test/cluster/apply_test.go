package cluster_test

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestApply: what is wrong is refused and keeps nothing behind it from the cluster; a
// kind may have been defined a moment ago.
func TestApply(t *testing.T) {
	ctx := t.Context()
	const definition = `{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "greetings.example.com"},
		"spec": {"group": "example.com", "scope": "Namespaced", "names": {"kind": "Greeting", "plural": "greetings"}, "versions": [
			{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}]}}`
	if err := shared.Define(ctx, "greetings.example.com", definition); err != nil {
		t.Fatal(err)
	}
	err := shared.Apply(ctx, `
{apiVersion: v1, kind: ConfigMap, metadata: {name: misspelt}, dta: {a: b}}
---
{apiVersion: example.com/v1, kind: Farewell, metadata: {name: unknown}}
---
apiVersion: v1
kind: List
items: [{apiVersion: v1, kind: ConfigMap, metadata: {name: spelt}, data: {a: b}}]
---
{apiVersion: example.com/v1, kind: Greeting, metadata: {name: hello}}
`)
	if err == nil || !strings.Contains(err.Error(), "apply ConfigMap misspelt: ") || !strings.Contains(err.Error(), "dta") || !strings.Contains(err.Error(), "Farewell unknown") {
		t.Errorf("misspelt and unknown objects: %v", err)
	}
	maps := shared.Client().CoreV1().ConfigMaps("default")
	applied, err := maps.Get(ctx, "spelt", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if by := applied.ManagedFields; len(by) != 1 || by[0].Manager != "kubectl" || by[0].Operation != metav1.ManagedFieldsOperationApply {
		t.Errorf("it was applied by %v", by)
	}
	if _, err := shared.Kubectl(ctx, "", "get", "greeting", "hello", "-n", "default"); err != nil {
		t.Error(err)
	}
	for range 2 { // what is gone already is no error
		if err := shared.Delete(ctx, `{apiVersion: v1, kind: ConfigMap, metadata: {name: spelt}}`); err != nil {
			t.Error(err)
		}
	}
	if _, err := maps.Get(ctx, "spelt", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("after it was deleted: %v", err)
	}
}
