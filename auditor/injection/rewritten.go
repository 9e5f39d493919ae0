package injection

import (
	"bytes"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// probers is the variable of Istio's proxy in which the injector keeps the probes and hooks
// of other containers that it has rewritten, for the agent, which makes them
// (istio.io/istio pkg/kube/inject/app_probe.go).
const probers = "ISTIO_KUBE_APP_PROBERS"

// handlers are what a probe or a hook is made of, of which it has one.
var handlers = []string{"httpGet", "tcpSocket", "grpc"}

type tree = map[string]any

// unrewritten returns a reconstructed spec with the probes and hooks that its creator submitted,
// where the live Pod says what they were: the injector takes rewritten ones for its own, and
// the agent would make none.
func unrewritten(spec []byte, live jsontree.Node) []byte {
	record := recordOf(live)
	if record == "" {
		return spec
	}
	var originals map[string]tree
	var made, is tree
	if decodeInto([]byte(record), &originals) != nil || decodeInto(spec, &made) != nil || decodeInto(live.Get("spec").Raw(), &is) != nil {
		return spec
	}
	for _, lists := range []string{"containers", "initContainers"} {
		running := byName(is[lists])
		for name, container := range byName(made[lists]) {
			hooks, _ := container["lifecycle"].(tree)
			were, _ := running[name]["lifecycle"].(tree)
			restore := func(of, was tree, field, path string) {
				handler, _ := of[field].(tree)
				rewritten, _ := was[field].(tree)
				get, _ := rewritten["httpGet"].(tree)
				original := originals[path]
				if handler == nil || original == nil || get["path"] != path {
					return
				}
				for _, kind := range handlers {
					delete(handler, kind)
					if action := original[kind]; action != nil {
						handler[kind] = action
					}
				}
			}
			restore(container, running[name], "readinessProbe", "/app-health/"+name+"/readyz")
			restore(container, running[name], "livenessProbe", "/app-health/"+name+"/livez")
			restore(container, running[name], "startupProbe", "/app-health/"+name+"/startupz")
			restore(hooks, were, "preStop", "/app-lifecycle/"+name+"/prestopz")
			restore(hooks, were, "postStart", "/app-lifecycle/"+name+"/poststartz")
		}
	}
	restored, err := json.Marshal(made)
	if err != nil {
		return spec
	}
	return restored
}

// recordOf is what Istio's injector has kept; empty: nothing.
func recordOf(live jsontree.Node) string {
	for _, lists := range []string{"containers", "initContainers"} {
		for container := range live.Get("spec", lists).Children() {
			for variable := range container.Get("env").Children() {
				if variable.Get("name").String() == probers {
					return variable.Get("value").String()
				}
			}
		}
	}
	return ""
}

// decodeInto reads JSON, of which numbers stay as they are.
func decodeInto(document []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	return decoder.Decode(into)
}

func byName(list any) map[string]tree {
	items, _ := list.([]any)
	named := map[string]tree{}
	for _, item := range items {
		if object, ok := item.(tree); ok {
			named[fmt.Sprint(object["name"])] = object
		}
	}
	return named
}

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
