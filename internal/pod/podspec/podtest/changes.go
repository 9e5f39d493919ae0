package podtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// keys are the lists of a container and of a volume whose items have a merge
// key, as contract and API documentation say; sets are lists of unique scalars.
var (
	keys = map[string][]string{
		"volumes":         {"name"},
		"env":             {"name"},
		"claims":          {"name"},
		"ports":           {"containerPort", "protocol"},
		"volumeMounts":    {"mountPath"},
		"volumeDevices":   {"devicePath"},
		"ownerReferences": {"uid"},
	}
	sets = []string{"bindMountOptions", "finalizers"}
)

// Change is a change of one value of a tree.
type Change struct {
	What string
	// Paths are where a report should say so, sorted.
	Paths []string
}

// Changes makes every change of one value of the tree, calls visit while it is
// made, and takes it back: each leaf with another value, and without one; each
// item of a keyed list left out. The named fields at its top are left alone.
func Changes(tree map[string]any, visit func(Change), except ...string) {
	changer{visit}.object(tree, "", except...)
}

type changer struct{ visit func(Change) }

func (c changer) object(object map[string]any, path string, except ...string) {
	for _, field := range slices.Sorted(maps.Keys(object)) {
		if slices.Contains(except, field) {
			continue
		}
		at := strings.TrimPrefix(path+"."+field, ".")
		switch value := object[field].(type) {
		case map[string]any:
			c.object(value, at)
		case []any:
			switch {
			case keys[field] != nil:
				c.keyed(object, field, value, at)
			case slices.Contains(sets, field):
				c.set(value, at)
			default:
				c.atomic(object, field, value, at)
			}
		default:
			c.scalar(object, field, at)
		}
	}
}

func (c changer) scalar(object map[string]any, field, at string) {
	old := object[field]
	object[field] = another(old)
	c.visit(Change{What: "another " + at, Paths: []string{at}})
	delete(object, field)
	c.visit(Change{What: "no " + at, Paths: []string{at}})
	object[field] = old
}

func (c changer) atomic(object map[string]any, field string, list []any, at string) {
	object[field] = append(slices.Clone(list), list[0])
	c.visit(Change{What: "longer " + at, Paths: []string{at}})
	object[field] = []any{list[1], list[0]}
	c.visit(Change{What: "reordered " + at, Paths: []string{at}})
	delete(object, field)
	c.visit(Change{What: "no " + at, Paths: []string{at}})
	object[field] = list
	for i, item := range list {
		if inner, ok := item.(map[string]any); ok {
			below := changer{func(change Change) {
				c.visit(Change{What: fmt.Sprintf("in item %d of %s: %s", i, at, change.What), Paths: []string{at}})
			}}
			below.object(inner, "")
			continue
		}
		list[i] = another(item)
		c.visit(Change{What: fmt.Sprintf("another item %d of %s", i, at), Paths: []string{at}})
		list[i] = item
	}
}

func (c changer) set(list []any, at string) {
	for i, item := range list {
		list[i] = another(item)
		paths := []string{fmt.Sprintf("%s[%v]", at, item), fmt.Sprintf("%s[%v]", at, list[i])}
		slices.Sort(paths)
		c.visit(Change{What: "another item of " + at, Paths: paths})
		list[i] = item
	}
}

func (c changer) keyed(object map[string]any, field string, list []any, at string) {
	for i := range list {
		item := list[i].(map[string]any)
		path := at + itemKey(field, item)
		for _, key := range keys[field] {
			old := item[key]
			item[key] = another(old)
			paths := []string{path, at + itemKey(field, item)}
			slices.Sort(paths)
			c.visit(Change{What: fmt.Sprintf("another %s of %s", key, path), Paths: paths})
			item[key] = old
		}
		object[field] = slices.Delete(slices.Clone(list), i, i+1)
		c.visit(Change{What: "no " + path, Paths: []string{path}})
		object[field] = list
		c.object(item, path, keys[field]...)
	}
}

// itemKey is the key of a list's item as paths have it.
func itemKey(field string, item map[string]any) string {
	var values []string
	for _, key := range keys[field] {
		values = append(values, fmt.Sprint(item[key]))
	}
	return "[" + strings.Join(values, "/") + "]"
}

func another(value any) any {
	switch value := value.(type) {
	case string:
		return value + "x"
	case float64:
		return value + 1
	case bool:
		return !value
	}
	panic(fmt.Sprintf("a value of type %T", value))
}
