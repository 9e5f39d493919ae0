package matrix

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/injector"
)

// row is one line of the matrix: a Deployment is created under one injection
// template and audited under another.
type row struct {
	group, name  string
	before, then []injector.Operation
	state        verdict.State
	// changes are the places that must be reported, "PART PATH", and no other.
	changes []string
}

// object is a JSON object in a table.
func object(text string) map[string]any {
	var o map[string]any
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		panic(fmt.Sprintf("%s: %v", text, err)) // a mistake in the table
	}
	return o
}

func merged(base map[string]any, more string) map[string]any {
	o := maps.Clone(base)
	maps.Copy(o, object(more))
	return o
}

func add(path string, value any) injector.Operation {
	return injector.Operation{Op: "add", Path: path, Value: value}
}

var sidecar = object(`{"name":"proxy","image":"proxy:1"}`)

func within(part string, paths []string) []string {
	changes := make([]string, len(paths))
	for i, path := range paths {
		changes[i] = strings.TrimSpace(part + " " + path)
	}
	return changes
}

// inContainer is a row whose sidecar has fields before and other fields then.
func inContainer(name, before, then string, paths ...string) row {
	return row{
		group: "a field of a sidecar", name: name, state: verdict.Drifted,
		before:  []injector.Operation{add("/spec/containers/-", merged(sidecar, before))},
		then:    []injector.Operation{add("/spec/containers/-", merged(sidecar, then))},
		changes: within("container/proxy", paths),
	}
}

// inNative is inContainer for a native sidecar.
func inNative(name, before, then string, paths ...string) row {
	native := merged(sidecar, `{"restartPolicy":"Always"}`)
	return row{
		group: "a field of a native sidecar", name: name, state: verdict.Drifted,
		before:  []injector.Operation{add("/spec/initContainers", []any{merged(native, before)})},
		then:    []injector.Operation{add("/spec/initContainers", []any{merged(native, then)})},
		changes: within("initContainer/proxy", paths),
	}
}

// inVolume is a row whose sidecar comes with a volume v of one source before and
// another then.
func inVolume(name, before, then string, paths ...string) row {
	with := func(source string) []injector.Operation {
		return []injector.Operation{
			add("/spec/containers/-", sidecar),
			add("/spec/volumes/-", merged(object(`{"name":"v"}`), source)),
		}
	}
	return row{
		group: "a field of a volume", name: name, state: verdict.Drifted,
		before: with(before), then: with(then), changes: within("volumes", paths),
	}
}

// inPod is a row whose sidecar comes with a field of the Pod's spec; empty: none.
func inPod(field, before, then string, paths ...string) row {
	with := func(value string) []injector.Operation {
		operations := []injector.Operation{add("/spec/containers/-", sidecar)}
		if value != "" {
			operations = append(operations, add("/spec/"+field, json.RawMessage(value)))
		}
		return operations
	}
	return row{
		group: "a field of the Pod", name: field, state: verdict.Drifted,
		before: with(before), then: with(then), changes: within("pod", paths),
	}
}

// inApp is a row whose app container is edited beside a sidecar.
func inApp(field, before, then string, paths ...string) row {
	with := func(value string) []injector.Operation {
		operations := []injector.Operation{add("/spec/containers/-", sidecar)}
		if value != "" {
			operations = append(operations, add("/spec/containers/0/"+field, json.RawMessage(value)))
		}
		return operations
	}
	return row{
		group: "an edit of the app's container", name: field, state: verdict.Drifted,
		before: with(before), then: with(then), changes: within("app/app", paths),
	}
}

// harmless is a row in which nothing must be reported.
func harmless(name string, before, then []injector.Operation) row {
	return row{group: "no drift", name: name, before: before, then: then, state: verdict.InSync}
}

// whole is a row about containers as such.
func whole(name string, state verdict.State, before, then []injector.Operation, changes ...string) row {
	return row{group: "containers that come and go", name: name, before: before, then: then, state: state, changes: changes}
}

// containers adds them behind the app's, in this order.
func containers(all ...string) []injector.Operation {
	var operations []injector.Operation
	for _, container := range all {
		operations = append(operations, add("/spec/containers/-", object(container)))
	}
	return operations
}
