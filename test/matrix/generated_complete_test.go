package matrix

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/structured-merge-diff/v6/schema"
)

// TestEveryLeafHasARow fails when Kubernetes has a field that has neither a row
// nor an exception.
func TestEveryLeafHasARow(t *testing.T) {
	for _, l := range leaves() {
		if l.exception() == "" && len(l.rows()) == 0 {
			t.Errorf("%s has no row and no exception", l.path())
		}
	}
}

// TestLeavesMatchSchema compares the leaves, and by what the items above them are
// told apart, with the schema of the API.
func TestLeavesMatchSchema(t *testing.T) {
	var ours []string
	for _, l := range leaves() {
		path := ""
		for _, f := range l.fields {
			path += "." + f.name
			if f.items {
				path += "[" + strings.Join(f.keys, ",") + "]"
			}
		}
		ours = append(ours, path)
	}
	slices.Sort(ours)
	if diff := cmp.Diff(schemaLeaves(t), ours); diff != "" {
		t.Errorf("leaves (-schema +generated):\n%s", diff)
	}
}

// schemaLeaves are the leaves below a Pod's spec as the OpenAPI schema has them.
func schemaLeaves(t *testing.T) []string {
	t.Helper()
	pod := &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}}
	value, err := applyconfigurations.NewTypeConverter(scheme.Scheme).ObjectToTyped(pod)
	if err != nil {
		t.Fatal(err)
	}
	all := value.Schema()
	var found []string
	var walk func(ref schema.TypeRef, path string)
	walk = func(ref schema.TypeRef, path string) {
		atom, _ := all.Resolve(ref)
		if items := atom.List; items != nil && atom.Scalar == nil {
			if item, _ := all.Resolve(items.ElementType); item.Map != nil && item.Scalar == nil {
				atom, path = item, path+"["+strings.Join(items.Keys, ",")+"]"
			}
		}
		if atom.Map == nil || atom.Scalar != nil || len(atom.Map.Fields) == 0 {
			found = append(found, path)
			return
		}
		for _, field := range atom.Map.Fields {
			walk(field.Type, path+"."+field.Name)
		}
	}
	root, _ := all.Resolve(value.TypeRef())
	spec, _ := root.Map.FindField("spec")
	walk(spec.Type, "")
	slices.Sort(found)
	return found
}

// TestTablesOfLeavesAreUsed fails when a table names what the API does not have.
func TestTablesOfLeavesAreUsed(t *testing.T) {
	all := leaves()
	names := map[string]bool{"": true, "*bool": true}
	for _, l := range all {
		names[l.path()], names[l.holds.Name()], names[l.item().Name()] = true, true, true
		for _, f := range l.fields {
			names[f.owner], names[f.id()] = true, true
		}
	}
	for _, table := range [][]string{
		slices.Collect(maps.Keys(needs)), slices.Collect(maps.Keys(values)), slices.Collect(maps.Keys(manifests)),
		slices.Collect(maps.Keys(mapKeys)), slices.Collect(maps.Keys(otherKeys)),
	} {
		for _, name := range table {
			if !names[name] {
				t.Errorf("there is no %s", name)
			}
		}
	}
	excepted := slices.Concat(slices.Collect(maps.Values(exceptions))...)
	for _, name := range append(excepted, slices.Collect(maps.Keys(besides))...) {
		if !slices.ContainsFunc(all, func(l leaf) bool { return l.named(name) }) {
			t.Errorf("there is no %s", name)
		}
	}
}
