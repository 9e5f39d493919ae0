package matrix

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

// row is one line of the matrix: a workload is made under one admission and
// audited under another.
type row struct {
	group, name string
	// in is the workload's namespace; empty means plain.
	in string
	// kind and manifest make the workload; empty means a Deployment of one
	// container app. NAME, IN and ROW in the manifest are replaced.
	kind, manifest string
	// pods is how many Pods are waited for; 0 means 1. Pending ones do if pending,
	// and noPods tells that they come with made.
	pods            int
	pending, noPods bool
	// before and then are what injectors do to the Pods, before and after the
	// change.
	before, then answers
	// made is done once the Pods are there, and change between the audits.
	made, change step

	// state and changes, "PART PATH" and no other, are expected after the change.
	state   verdict.State
	changes []string
	// spent are those of the changes that no rollout must restart anything for.
	spent []string
	// approximate tells that the verdict must be called so.
	approximate bool
	// was is expected before the change, if not what a new Pod is.
	was *expectation
	// stays tells that the workload drifted and must not be rolled out; evicted,
	// that it can be by eviction alone; orphaned, that it is rolled out only if
	// sidecars, or what else was injected, may go.
	stays, evicted, orphaned bool
	// sidecarless tells that no container is injected, so that it is rolled out only
	// where that is asked for.
	sidecarless bool
	// left is expected after the rollout, if not what a new Pod is.
	left *expectation
	// asked is what is expected of questions that the Pods' controllers ask, if not
	// the same.
	asked *asked
}

// generated tells that the row is one of those made from the API's types.
func (r row) generated() bool { return strings.HasPrefix(r.group, leafOf) }

// onlySpent tells that nothing else differs, so that the row is rolled out only where
// that is asked for.
func (r row) onlySpent() bool { return len(r.spent) > 0 && len(r.spent) == len(r.changes) }

// expectation is what an audit must find.
type expectation struct {
	state   verdict.State
	changes []string
}

// answers are what injectors do to a row's Pods, by the injector's name.
type answers map[string]injector.Answer

// Injectors of the matrix, in the order in which they are called; again is called
// once more when others have changed the Pod after it, and late comes after the
// stamper. controllersOnly is called in the namespace of its name alone, and about
// Pods that a controller creates.
const (
	first           = "first"
	second          = "second"
	again           = "again"
	controllersOnly = "matrix-controllers"
	late            = "late"
)

// always has the first injector do the same to each Pod.
func always(operations ...injector.Operation) answers {
	return answers{first: same(operations...)}
}

func same(operations ...injector.Operation) injector.Answer {
	return func(injector.Request) []injector.Operation { return operations }
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
		before:  always(add("/spec/containers/-", merged(sidecar, before))),
		then:    always(add("/spec/containers/-", merged(sidecar, then))),
		changes: within("container/proxy", paths),
	}
}

// inNative is inContainer for a native sidecar.
func inNative(name, before, then string, paths ...string) row {
	native := merged(sidecar, `{"restartPolicy":"Always"}`)
	return row{
		group: "a field of a native sidecar", name: name, state: verdict.Drifted,
		before:  always(add("/spec/initContainers", []any{merged(native, before)})),
		then:    always(add("/spec/initContainers", []any{merged(native, then)})),
		changes: within("initContainer/proxy", paths),
	}
}

// inVolume is a row whose sidecar comes with a volume v of one source before and
// another then.
func inVolume(name, before, then string, paths ...string) row {
	with := func(source string) answers {
		return always(
			add("/spec/containers/-", sidecar),
			add("/spec/volumes/-", merged(object(`{"name":"v"}`), source)),
		)
	}
	return row{
		group: "a field of a volume", name: name, state: verdict.Drifted,
		before: with(before), then: with(then), changes: within("volumes", paths),
	}
}

// inPod is a row whose sidecar comes with a field of the Pod's spec; empty: none.
func inPod(field, before, then string, paths ...string) row {
	with := func(value string) answers {
		operations := []injector.Operation{add("/spec/containers/-", sidecar)}
		if value != "" {
			operations = append(operations, add("/spec/"+field, json.RawMessage(value)))
		}
		return always(operations...)
	}
	return row{
		group: "a field of the Pod", name: field, state: verdict.Drifted,
		before: with(before), then: with(then), changes: within("pod", paths),
	}
}

// inApp is a row whose app container is edited beside a sidecar.
func inApp(field, before, then string, paths ...string) row {
	with := func(value string) answers {
		return always(append(editApp(field, value), add("/spec/containers/-", sidecar))...)
	}
	return row{
		group: "an edit of the app's container", name: field, state: verdict.Drifted,
		before: with(before), then: with(then), changes: within("app/app", paths),
	}
}

// adds is the row, of which no container is injected.
func (r row) adds(state verdict.State) row {
	r.state, r.sidecarless = state, true
	return r
}

// editApp sets a field of the app's container; empty: leaves it.
func editApp(field, value string) []injector.Operation {
	if value == "" {
		return nil
	}
	return []injector.Operation{add("/spec/containers/0/"+field, json.RawMessage(value))}
}

// harmless is a row in which nothing must be reported.
func harmless(name string, before, then []injector.Operation) row {
	return row{group: "no drift", name: name, before: always(before...), then: always(then...), state: verdict.InSync}
}

// whole is a row about containers as such.
func whole(name string, state verdict.State, before, then []injector.Operation, changes ...string) row {
	return row{
		group: "containers that come and go", name: name, before: always(before...), then: always(then...),
		state: state, changes: changes, orphaned: state == verdict.Orphaned,
	}
}

// containers adds them behind the app's, in this order.
func containers(all ...string) []injector.Operation {
	var operations []injector.Operation
	for _, container := range all {
		operations = append(operations, add("/spec/containers/-", object(container)))
	}
	return operations
}

// takesAway is the row, of which nothing comes, and something goes.
func takesAway(r row) row {
	r.orphaned = true
	return r
}
