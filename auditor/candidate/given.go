package candidate

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec"
)

// Given is [given] of documents: the Pod, as a policy or a webhook is asked about it first.
func Given(submitted, answer []byte) (map[string]any, error) {
	from, err := decodeObject(submitted)
	if err != nil {
		return nil, fmt.Errorf("submitted Pod: %w", err)
	}
	to, err := decodeObject(answer)
	if err != nil {
		return nil, fmt.Errorf("fresh Pod: %w", err)
	}
	return given(from, to, answer)
}

// given is the Pod that webhooks were asked about first: as it was submitted, with the API
// server's defaults and what in-tree plugins set before that. The answer of a dry run tells
// both: its managedFields name what was submitted, defaults included, and what plugins set
// has places of its own.
func given(submitted, answer object, raw []byte) (object, error) {
	root, err := jsontree.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("fresh Pod: %w", err)
	}
	owned, err := injection.SubmittedSpec(root)
	if err != nil {
		return nil, fmt.Errorf("fresh Pod: %w", err)
	}
	stored, err := decodeObject(owned)
	if err != nil {
		return nil, fmt.Errorf("fresh Pod: %w", err)
	}
	spec, _ := completed(child(submitted, "spec"), stored).(object)
	fresh := child(answer, "spec")
	if spec == nil || fresh == nil {
		return nil, fmt.Errorf("fresh Pod: the object has no spec: not a Pod")
	}
	byPlugins(spec, fresh, text(child(child(answer, "metadata"), "annotations"), limitRangerAnnotation))
	metadata := copyOf(child(submitted, "metadata"))
	metadata["managedFields"] = child(answer, "metadata")["managedFields"]
	if limits := text(child(child(answer, "metadata"), "annotations"), limitRangerAnnotation); limits != "" {
		annotations := copyOf(child(metadata, "annotations"))
		annotations[limitRangerAnnotation] = limits
		metadata["annotations"] = annotations
	}
	return withDefaults(object{"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": object{}}), nil
}

// completed is what was submitted with the defaults that the other value has, of which
// everything was submitted, or is a default. What webhooks have rewritten is as it was
// submitted, and what means the same is as the API server writes it.
func completed(submitted, stored any) any {
	switch s := submitted.(type) {
	case nil:
		return stored
	case object:
		o, ok := stored.(object)
		if !ok {
			return s
		}
		all := object{}
		for key, value := range o {
			all[key] = value
		}
		for key, value := range s {
			all[key] = completed(value, o[key])
		}
		return all
	case []any:
		o, ok := stored.([]any)
		if !ok {
			return s
		}
		all, twins := make([]any, len(s)), pairsOf(s, o)
		for i, item := range s {
			all[i] = completed(item, twins[i])
		}
		return all
	}
	if sameQuantity(submitted, stored) {
		return stored
	}
	return submitted
}

func sameQuantity(a, b any) bool {
	one, isText := a.(string)
	other, areTexts := b.(string)
	if !isText {
		one = fmt.Sprint(a)
	}
	const longest = 64
	if !areTexts || len(one) > longest || len(other) > longest {
		return false
	}
	q, err := resource.ParseQuantity(one)
	if err != nil {
		return false
	}
	p, err := resource.ParseQuantity(other)
	return err == nil && q.Cmp(p) == 0
}

// pairsOf finds for each item of a list the one in another list that has the same key: at the
// same place, if all keys agree there, else the first. Nil: there is none.
func pairsOf(items, others []any) []any {
	twins := make([]any, len(items))
	if len(items) == len(others) && !slices.ContainsFunc(indices(items), func(i int) bool { return keyOf(items[i]) != keyOf(others[i]) }) {
		copy(twins, others)
		return twins
	}
	byKey := map[string]any{}
	for _, other := range slices.Backward(others) {
		byKey[keyOf(other)] = other
	}
	for i, item := range items {
		if key := keyOf(item); key != "" {
			twins[i] = byKey[key]
		}
	}
	return twins
}

func indices(items []any) []int {
	all := make([]int, len(items))
	for i := range all {
		all[i] = i
	}
	return all
}

// keyOf is by what an item of a list of the API is told from others; empty where nothing
// is known to.
func keyOf(item any) string {
	o, ok := item.(object)
	if !ok {
		return ""
	}
	for _, name := range []string{"mountPath", "devicePath", "containerPort", "name", "ip", "topologyKey"} {
		if value, has := o[name]; has {
			key := fmt.Sprintf("%s=%v", name, value)
			if protocol := text(o, "protocol"); name == "containerPort" && protocol != "TCP" && protocol != "" {
				key += "/" + protocol
			}
			return key
		}
	}
	return ""
}

const (
	// limitRangerAnnotation says what the plugin LimitRanger has set.
	limitRangerAnnotation = "kubernetes.io/limit-ranger"
	tokenPath             = "/var/run/secrets/kubernetes.io/serviceaccount"
)

// pluginFields of a Pod's spec are set by in-tree plugins and by nobody else, as a rule.
var pluginFields = []string{"serviceAccountName", "serviceAccount", "priority", "preemptionPolicy", "priorityClassName", "enableServiceLinks", "overhead"}

// byPlugins adds to a spec what in-tree plugins set before webhooks are asked, as the fresh
// one has it.
func byPlugins(spec, fresh object, limits string) {
	for _, field := range pluginFields {
		if value, has := fresh[field]; has && spec[field] == nil {
			spec[field] = value
		}
	}
	if spec["securityContext"] == nil {
		spec["securityContext"] = object{}
	}
	standing := func(item object) bool {
		key := text(item, "key")
		return key == "node.kubernetes.io/not-ready" || key == "node.kubernetes.io/unreachable"
	}
	addItems(spec, fresh, "tolerations", standing)
	token := func(item object) bool { return strings.HasPrefix(text(item, "name"), podspec.TokenVolume) }
	addItems(spec, fresh, "volumes", token)
	for _, lists := range []string{"initContainers", "containers"} {
		for _, container := range list(spec, lists) {
			twin := withName(list(fresh, lists), text(container, "name"))
			if twin == nil && lists == "containers" {
				continue
			}
			addItems(container, twin, "volumeMounts", token)
			resources := child(twin, "resources")
			switch {
			case limits != "" && resources != nil:
				container["resources"] = completed(container["resources"], resources)
			case container["resources"] == nil:
				container["resources"] = object{}
			}
		}
	}
}

// addItems adds items to a list that another one has and it has not.
func addItems(to, from object, name string, which func(object) bool) {
	items, _ := to[name].([]any)
	items = slices.Clone(items)
	had := map[string]bool{} // as JSON: a Pod may have very many
	as := func(item object) string {
		text, _ := encode(item) // it was read from JSON
		return string(text)
	}
	for _, item := range list(to, name) {
		if which(item) {
			had[as(item)] = true
		}
	}
	for _, item := range list(from, name) {
		if which(item) && !had[as(item)] {
			had[as(item)] = true
			items = append(items, item)
		}
	}
	if len(items) > 0 {
		to[name] = items
	}
}

func withName(items []object, name string) object {
	at := slices.IndexFunc(items, func(item object) bool { return text(item, "name") == name })
	if at < 0 {
		return nil
	}
	return items[at]
}

// inTree does what in-tree plugins do once more, when a webhook has changed something: the
// plugin ServiceAccount mounts its token into injected containers, too. The Pod stays as it
// is.
func inTree(pod object) object {
	spec := copyOf(child(pod, "spec"))
	at := slices.IndexFunc(list(spec, "volumes"), func(v object) bool { return strings.HasPrefix(text(v, "name"), podspec.TokenVolume) })
	if at < 0 {
		return pod
	}
	mount := object{"name": text(list(spec, "volumes")[at], "name"), "readOnly": true, "mountPath": tokenPath}
	for _, lists := range []string{"initContainers", "containers"} {
		items, _ := spec[lists].([]any)
		items = slices.Clone(items)
		for i, item := range items {
			container, ok := item.(object)
			if !ok || slices.ContainsFunc(list(container, "volumeMounts"), func(m object) bool { return text(m, "mountPath") == tokenPath }) {
				continue
			}
			container = copyOf(container)
			mounts, _ := container["volumeMounts"].([]any)
			container["volumeMounts"] = append(slices.Clone(mounts), mount)
			items[i] = container
		}
		if len(items) > 0 {
			spec[lists] = items
		}
	}
	pod = copyOf(pod)
	pod["spec"] = spec
	return pod
}
