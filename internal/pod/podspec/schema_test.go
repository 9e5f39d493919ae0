package podspec

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/structured-merge-diff/v6/schema"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
)

// typedPod is the Pod as the API server's own field manager sees it.
func typedPod(t testing.TB, pod *corev1.Pod) *typed.TypedValue {
	t.Helper()
	pod.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
	value, err := applyconfigurations.NewTypeConverter(scheme.Scheme).ObjectToTyped(pod)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// schemaFields collects, by field name, how the schema treats every list and
// map below a Pod's spec. Below an atomic list only lists that keep their
// order are of interest: nothing there is owned by itself.
type schemaFields struct {
	schema  *schema.Schema
	seen    map[string]bool
	lists   map[string]map[string]string // field → keys → a path that has it
	maps    map[string]map[bool]string   // field → atomic → a path that has it
	ordered map[string]string            // field → a path below an atomic list
}

func (f *schemaFields) walk(ref schema.TypeRef, field, path string, atomic bool) {
	atom, ok := f.schema.Resolve(ref)
	if !ok {
		return
	}
	if ref.NamedType != nil {
		visit := fmt.Sprint(*ref.NamedType, " ", field, " ", atomic)
		if f.seen[visit] {
			return
		}
		f.seen[visit] = true
	}
	switch {
	case atom.List != nil:
		f.list(*atom.List, field, path, atomic)
	case atom.Map != nil && atom.Scalar == nil: // both: quantities and the like
		if !atomic {
			add(f.maps, field, atom.Map.ElementRelationship == schema.Atomic, path)
		}
		for _, child := range atom.Map.Fields {
			f.walk(child.Type, child.Name, path+"."+child.Name, atomic)
		}
		f.walk(atom.Map.ElementType, field+"/*", path+".*", atomic)
	}
}

func (f *schemaFields) list(list schema.List, field, path string, atomic bool) {
	keys := ""
	if list.ElementRelationship == schema.Associative {
		keys = strings.Join(list.Keys, ",")
		if keys == "" {
			keys = "(set)"
		}
	}
	switch {
	case !atomic:
		add(f.lists, field, keys, path)
	case keys == "":
		f.ordered[field] = path
	}
	f.walk(list.ElementType, field, path+"[]", atomic || keys == "")
}

func add[K comparable](fields map[string]map[K]string, field string, what K, path string) {
	if fields[field] == nil {
		fields[field] = map[K]string{}
	}
	fields[field][what] = path
}

func fieldsOfSpec(t *testing.T) schemaFields {
	t.Helper()
	value := typedPod(t, &corev1.Pod{})
	fields := schemaFields{
		schema:  value.Schema(),
		seen:    map[string]bool{},
		lists:   map[string]map[string]string{},
		maps:    map[string]map[bool]string{},
		ordered: map[string]string{},
	}
	pod, _ := fields.schema.Resolve(value.TypeRef())
	for _, field := range pod.Map.Fields {
		if field.Name == "spec" {
			fields.walk(field.Type, field.Name, field.Name, false)
		}
	}
	if len(fields.lists) < 30 || len(fields.maps) < 80 || len(fields.ordered) < 5 {
		t.Fatalf("the walk found only %d lists, %d maps and %d lists below atomic ones",
			len(fields.lists), len(fields.maps), len(fields.ordered))
	}
	return fields
}

// TestTablesMatchSchema fails when a version of Kubernetes adds a list or map
// that the tables of this package do not know.
func TestTablesMatchSchema(t *testing.T) {
	fields := fieldsOfSpec(t)
	for _, field := range slices.Sorted(maps.Keys(fields.lists)) {
		for keys, path := range fields.lists[field] {
			if ours := tableKeys(field); keys != ours {
				t.Errorf("the list %q goes by %q in the table, by %q in the schema (%s)", field, ours, keys, path)
			}
		}
	}
	for _, field := range slices.Sorted(maps.Keys(fields.ordered)) {
		if ours := tableKeys(field); ours != "" {
			t.Errorf("the list %q goes by %q in the table, and is ordered in the schema (%s)", field, ours, fields.ordered[field])
		}
	}
	for _, field := range slices.Sorted(maps.Keys(fields.maps)) {
		for atomic, path := range fields.maps[field] {
			if got := atomicMap([]byte(field)); got != atomic {
				t.Errorf("atomicMap(%q) = %v, the schema says %v (%s)", field, got, atomic, path)
			}
		}
	}
}

// tableKeys are the keys of a list in the order of FieldsV1.
func tableKeys(field string) string {
	if setList([]byte(field)) {
		return "(set)"
	}
	first, second := listKeys([]byte(field))
	return strings.TrimSuffix(first+","+second, ",")
}
