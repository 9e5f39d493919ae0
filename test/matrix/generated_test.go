package matrix

import (
	"flag"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

var full = flag.Bool("full", false, "run every row, not one in 64 of the generated and the first of each group whose Pods are golden; ten rounds to a sweep, not three; ask twice before the change, and as the controllers each time, not only after it")

// leafOf begins the groups of generated rows.
const leafOf = "every leaf of "

// generatedRows are rows for each field that an injector can set: one in which it
// is changed, and one in which it is set.
func generatedRows() []row {
	count := map[string]int{}
	return slices.DeleteFunc(allGeneratedRows(), func(r row) bool {
		count[r.group]++
		return !*full && count[r.group]%64 != 1
	})
}

func allGeneratedRows() []row {
	var rows []row
	for _, l := range leaves() {
		if l.exception() == "" {
			rows = append(rows, l.rows()...)
		}
	}
	return rows
}

// leaf is a field below a Pod's spec that holds no fields of its own: a scalar, or
// a list or a map of scalars.
type leaf struct {
	fields []apiField
	// holds is the field's type, or what it points to if pointer.
	holds   reflect.Type
	pointer bool
}

// apiField is a field on the way to a leaf.
type apiField struct {
	owner, name string
	// items: it is a list of objects, which go by their keys; without keys, the
	// list is atomic.
	items bool
	keys  []string
}

func (f apiField) id() string { return f.owner + "." + f.name }

// leaves are those of the API's types.
func leaves() []leaf {
	var found []leaf
	var walk func(t reflect.Type, above []apiField)
	walk = func(t reflect.Type, above []apiField) {
		for _, field := range fieldsOf(t) {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			at := apiField{owner: t.Name(), name: name}
			holds, pointer := field.Type, field.Type.Kind() == reflect.Pointer
			if pointer {
				holds = holds.Elem()
			}
			below := holds
			if holds.Kind() == reflect.Slice && isObject(holds.Elem()) {
				at.items, at.keys, below = true, keysOf(at, field), holds.Elem()
			}
			fields := append(slices.Clip(above), at)
			if isObject(below) {
				walk(below, fields)
				continue
			}
			found = append(found, leaf{fields, holds, pointer})
		}
	}
	walk(reflect.TypeFor[corev1.PodSpec](), nil)
	return found
}

// fieldsOf returns the fields that a struct has in JSON.
func fieldsOf(t reflect.Type) []reflect.StructField {
	var fields []reflect.StructField
	for i := range t.NumField() {
		field := t.Field(i)
		if field.Anonymous && strings.HasPrefix(field.Tag.Get("json")+",", ",") {
			fields = append(fields, fieldsOf(field.Type)...)
			continue
		}
		fields = append(fields, field)
	}
	return fields
}

// isObject reports whether a type has fields in JSON.
func isObject(t reflect.Type) bool {
	switch t {
	case reflect.TypeFor[resource.Quantity](), reflect.TypeFor[intstr.IntOrString](), reflect.TypeFor[metav1.Time](), reflect.TypeFor[metav1.FieldsV1]():
		return false
	}
	return t.Kind() == reflect.Struct
}

// keysOf returns by which of their fields a list's items are told apart: the
// patchMergeKey, but for those whose struct tag does not say all.
func keysOf(at apiField, field reflect.StructField) []string {
	if keys := otherKeys[at.id()]; keys != nil {
		return keys
	}
	if key := field.Tag.Get("patchMergeKey"); key != "" {
		return []string{key}
	}
	return nil
}

// path is the leaf's path below spec, without keys.
func (l leaf) path() string {
	var names []string
	for _, f := range l.fields {
		names = append(names, f.name)
	}
	return strings.Join(names, ".")
}

// named reports whether a name is one of the leaf or of a field on the way to it:
// "Type.field", or some fields of the path, where "spec" is above all.
func (l leaf) named(name string) bool {
	return strings.Contains(".spec."+l.path()+".", "."+name+".") ||
		slices.ContainsFunc(l.fields, func(f apiField) bool { return f.id() == name })
}

// exception returns why there is no row for the leaf; empty: there is.
func (l leaf) exception() string {
	for reason, names := range exceptions {
		if slices.ContainsFunc(names, l.named) {
			return reason
		}
	}
	return ""
}

func (l leaf) rows() []row {
	values := l.values()
	var rows []row
	if values[0] != nil {
		rows = append(rows, l.row("", l.spec(values[0]), l.spec(values[1])))
	}
	if without := l.spec(nil); !l.in(without) {
		rows = append(rows, l.row(", set", without, l.spec(values[1])))
	}
	return rows
}

// row is one whose injector adds one spec before, and the other then.
func (l leaf) row(suffix string, before, then map[string]any) row {
	r := row{
		manifest: pinned, state: verdict.Drifted,
		before: always(operations(before)...), then: always(operations(then)...),
		changes: slices.Compact([]string{l.place(before), l.place(then)}),
	}
	slices.Sort(r.changes)
	name := l.path()
	switch kind := l.fields[0].name; kind {
	case "containers", "initContainers", "volumes":
		r.group = map[string]string{
			"containers": leafOf + "a sidecar", "initContainers": leafOf + "a native sidecar", "volumes": leafOf + "a volume",
		}[kind]
		name = strings.TrimPrefix(name, kind+".")
		r.orphaned = name == "name" && kind != "volumes" // the container goes, another comes
	default:
		r.group = leafOf + "the Pod"
	}
	if r.name = name + suffix; manifests[l.path()] != "" {
		r.manifest = manifests[l.path()] + pinned
	}
	return r
}

// values returns two values that the leaf can have; the first is nil where there
// is but one that is not the default.
func (l leaf) values() [2]any {
	last := l.fields[len(l.fields)-1]
	name := l.item().Name()
	if l.pointer && name == "bool" {
		name = "*bool"
	}
	found, ok := [2]any{}, false
	for _, name := range []string{l.path(), last.id(), name} {
		if found, ok = values[name]; ok {
			break
		}
	}
	if !ok {
		panic(fmt.Sprintf("no values of %s (%s, a %s)", l.path(), last.id(), name))
	}
	for i, value := range found {
		switch {
		case value == nil:
		case l.holds.Kind() == reflect.Slice:
			found[i] = []any{value}
		case l.holds.Kind() == reflect.Map:
			found[i] = map[string]any{l.mapKey(): value}
		}
	}
	return found
}

// item is what the leaf holds, or its items are.
func (l leaf) item() reflect.Type {
	if kind := l.holds.Kind(); kind == reflect.Slice || kind == reflect.Map {
		return l.holds.Elem()
	}
	return l.holds
}

func (l leaf) mapKey() string {
	if key := mapKeys[l.fields[len(l.fields)-1].id()]; key != "" {
		return key
	}
	return mapKeys[l.holds.Name()]
}

// spec is what is added to a Pod's spec so that the leaf has the value, nil: none,
// with all that the API requires beside it.
func (l leaf) spec(value any) map[string]any {
	root := map[string]any{}
	at := root
	for i, f := range l.fields {
		need, ok := needs[f.id()]
		if !ok {
			need = needs[f.owner]
		}
		if need != "" {
			fill(at, object(need))
		}
		if i == len(l.fields)-1 {
			if value != nil {
				at[f.name] = value
			}
			break
		}
		at = below(at, f)
	}
	for name, need := range besides {
		if l.named(name) {
			fill(root, object(need))
		}
	}
	return root
}

// below returns the object, or the list's first item, of a field, and makes it.
func below(at map[string]any, f apiField) map[string]any {
	if !f.items {
		if at[f.name] == nil {
			at[f.name] = map[string]any{}
		}
		return at[f.name].(map[string]any)
	}
	if at[f.name] == nil {
		at[f.name] = []any{map[string]any{}}
	}
	return at[f.name].([]any)[0].(map[string]any)
}

// fill adds what is missing.
func fill(object, more map[string]any) {
	for name, value := range more {
		switch there := object[name].(type) {
		case nil:
			object[name] = value
		case map[string]any:
			fill(there, value.(map[string]any))
		case []any:
			first, isObject := there[0].(map[string]any)
			if isObject {
				fill(first, value.([]any)[0].(map[string]any))
			}
		}
	}
}

// in reports whether a spec has the leaf.
func (l leaf) in(spec map[string]any) bool {
	at := spec
	for _, f := range l.fields[:len(l.fields)-1] {
		at = below(at, f)
	}
	return at[l.fields[len(l.fields)-1].name] != nil
}

// place is where a change of the leaf must be reported, with the keys that its
// items have in this spec.
func (l leaf) place(spec map[string]any) string {
	path, at := "", spec
	for i, f := range l.fields {
		path += "." + f.name
		last := i == len(l.fields)-1
		if last && l.holds.Kind() == reflect.Map {
			path += "." + l.mapKey()
		}
		if last || f.items && f.keys == nil {
			break
		}
		at = below(at, f)
		if f.items {
			path += itemKey(at, f.keys)
		}
		if i == len(l.fields)-2 && slices.Contains(f.keys, l.fields[i+1].name) {
			break // another key is another item
		}
	}
	switch kind, rest, _ := strings.Cut(strings.TrimPrefix(path, "."), "["); kind {
	case "containers", "initContainers":
		name, rest, _ := strings.Cut(rest, "]")
		return strings.TrimSpace(strings.TrimSuffix(kind, "s") + "/" + name + " " + strings.TrimPrefix(rest, "."))
	case "volumes":
		return "volumes [" + rest
	}
	return "pod" + strings.Replace(path, ".", " ", 1)
}

// itemKey is an item's key as paths have it; TCP goes without saying.
func itemKey(item map[string]any, keys []string) string {
	var values []string
	for _, key := range keys {
		if value := item[key]; value != nil && value != "TCP" {
			values = append(values, fmt.Sprint(value))
		}
	}
	return "[" + strings.Join(values, "/") + "]"
}

// operations add a spec to that of a Pod.
func operations(spec map[string]any) []injector.Operation {
	var all []injector.Operation
	for _, field := range slices.Sorted(maps.Keys(spec)) {
		switch field {
		case "containers", "volumes":
			for _, item := range spec[field].([]any) {
				all = append(all, add("/spec/"+field+"/-", item))
			}
		default:
			all = append(all, add("/spec/"+field, spec[field]))
		}
	}
	return all
}
