package injection

import (
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// Lost returns a field that the creator of a live Pod submitted, and that the Pod has not: admission
// has put something else in its place, and what it was is not known. Empty: there is none.
func Lost(live jsontree.Node) string {
	var pod tree
	if decodeInto(live.Raw(), &pod) != nil {
		return ""
	}
	var entries []metav1.ManagedFieldsEntry
	if managed := live.Get("metadata", "managedFields"); !managed.Exists() || json.Unmarshal(managed.Raw(), &entries) != nil {
		return ""
	}
	lost := ""
	for _, entry := range entries {
		var owned fieldpath.Set
		if entry.FieldsV1 == nil || entry.Subresource != "" || owned.FromJSON(entry.FieldsV1.GetRawReader()) != nil {
			continue
		}
		owned.Leaves().Iterate(func(path fieldpath.Path) {
			if lost == "" && path[0].FieldName != nil && *path[0].FieldName == "spec" && !has(pod, path) {
				lost = path.String()[1:]
			}
		})
	}
	return lost
}

// has reports whether there is something at a path.
func has(value any, path fieldpath.Path) bool {
	for _, element := range path {
		switch {
		case element.FieldName != nil:
			object, _ := value.(tree)
			member, is := object[*element.FieldName]
			if !is {
				return false
			}
			value = member
		case element.Key != nil:
			items, _ := value.([]any)
			found := false
			for _, item := range items {
				if object, ok := item.(tree); ok && keyed(object, element) {
					value, found = item, true
					break
				}
			}
			if !found {
				return false
			}
		default: // an item of a set, or of a list by its place, is none that is put elsewhere
			return true
		}
	}
	return true
}

// keyed reports whether an item of a list has the key.
func keyed(item tree, element fieldpath.PathElement) bool {
	for _, field := range *element.Key {
		value, is := item[field.Name]
		if !is || fmt.Sprint(value) != fmt.Sprint(field.Value.Unstructured()) {
			return false
		}
	}
	return true
}
