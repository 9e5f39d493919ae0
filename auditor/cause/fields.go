package cause

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/sidecar-drift/sidecar-drift/auditor/cover"
	"github.com/sidecar-drift/sidecar-drift/internal/printable"
)

const (
	// mostFields bounds how many fields of one manager are told apart: who may write an object
	// may give it very many.
	mostFields = 300
	// longestField is how many bytes of one are kept, more than the longest key of a label, and
	// longestShown how many are shown.
	longestField, longestShown = 400, 100
	// more stands for fields that are not told apart.
	more = "…"
)

// FieldsOf lists the fields of a FieldsV1, as in managedFields: data.values,
// spec.template.spec.containers[istiod].image. It names list items by their keys and says
// nothing of values in sets. Of very many it says where they are: data.…
func FieldsOf(fieldsV1 []byte) ([]string, error) {
	if len(fieldsV1) == 0 {
		return nil, nil
	}
	var set fieldpath.Set
	if err := set.FromJSON(bytes.NewReader(fieldsV1)); err != nil {
		return nil, fmt.Errorf("fieldsV1: %w", err)
	}
	for _, depth := range []int{maxDepth, 2, 1} {
		fields := spelled(&set, depth)
		if len(fields) <= mostFields {
			return fields, nil
		}
	}
	return []string{more}, nil
}

// maxDepth is deeper than any path.
const maxDepth = 1 << 20

// spelled are the fields, or where they are: no more than so many of their paths' elements.
// There is one more than mostFields where that does not suffice.
func spelled(set *fieldpath.Set, depth int) []string {
	found := map[string]bool{}
	set.Leaves().Iterate(func(path fieldpath.Path) { // All panics if one stops before its end
		if len(found) > mostFields {
			return
		}
		field := spell(path[:min(len(path), depth)])
		if len(path) > depth {
			field += "." + more
		}
		found[field] = true
	})
	return slices.Sorted(maps.Keys(found))
}

// shortened reports whether a field stands for others.
func shortened(field string) bool { return field == more || strings.HasSuffix(field, "."+more) }

// spell writes a path as people do. Keys of labels and annotations, and other names with
// dots, are in brackets.
func spell(path fieldpath.Path) string {
	var b strings.Builder
	for _, element := range path {
		switch {
		case element.FieldName != nil && strings.ContainsAny(*element.FieldName, "./"):
			b.WriteString("[" + *element.FieldName + "]")
		case element.FieldName != nil:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(*element.FieldName)
		case element.Key != nil:
			var keys []string
			for _, key := range *element.Key {
				keys = append(keys, fmt.Sprint(key.Value.Unstructured()))
			}
			b.WriteString("[" + strings.Join(keys, ",") + "]")
		default:
			b.WriteString("[]")
		}
	}
	return printable.CutBytes(b.String(), longestField)
}

// matters reports whether injection may go by a field of an object. What controllers write
// into objects for others, status, caBundle, labels of deployers, is none.
func (o Object) matters(field string) bool {
	metadata := strings.HasPrefix(field, "metadata.") || strings.HasPrefix(field, "metadata[")
	switch {
	case field == more:
		return true
	case !o.own(): // whatever its kind is called
		return !strings.HasPrefix(field, "status") && (!metadata || ofInjectors(field))
	}
	switch o.Kind {
	case "Namespace":
		return metadata && ofInjectors(field)
	case "ConfigMap":
		if len(o.Keys) == 0 || field == "data" || field == "binaryData" {
			return strings.HasPrefix(field, "data") || strings.HasPrefix(field, "binaryData")
		}
		return slices.ContainsFunc(o.Keys, func(key string) bool {
			return field == "data."+key || field == "data["+key+"]" || field == "data."+more
		})
	case "MutatingWebhookConfiguration":
		return strings.HasPrefix(field, "webhooks") && !strings.HasSuffix(field, ".clientConfig.caBundle")
	case "Deployment", "DaemonSet", "StatefulSet":
		return strings.HasPrefix(field, "spec.template") || o.Sized && field == "spec.replicas"
	}
	return !metadata && !strings.HasPrefix(field, "status")
}

// ofInjectors reports whether a namespace's label or annotation may be for injectors:
// selectors look at any, deployers' and the cluster's own apart.
func ofInjectors(field string) bool {
	for _, texts := range []string{"metadata.labels", "metadata.annotations"} {
		key, found := strings.CutPrefix(field, texts)
		if !found {
			continue
		}
		key = strings.Trim(key, ".[]")
		switch {
		case key == "", cover.OfDeployers(key), strings.HasPrefix(key, "kubernetes.io/metadata."),
			strings.HasPrefix(key, "kubectl.kubernetes.io/"), strings.HasPrefix(key, "pod-security.kubernetes.io/"):
			return false
		}
		return true
	}
	return false
}

// hinting are words in the names of fields, and in those of variables, that hint at kinds of
// changes.
var hinting = map[string][]string{
	"image":     {"image", "tag", "hub", "registry", "repository", "version"},
	"resources": {"resource", "limit", "request", "cpu", "memory"},
	"env":       {"env", "variable", "concurrency"}, // by which programs are told, too
	"args":      {"arg", "command", "log", "level", "concurrency"},
	"probe":     {"probe", "lifecycle", "termination", "grace", "drain"},
	"network":   {"port", "dns", "host"},
	"security":  {"security", "capabilit", "privileged", "user", "seccomp"},
	"volume":    {"volume", "mount"},
	"placement": {"toleration", "affinity", "nodeselector", "priority", "runtimeclass"},
}

// hint says whether fields speak for (1), against (-1) or not at all about (0) a kind of
// change: what is in a ConfigMap or in a webhook's definition may be anything, while a
// custom resource has fields of its own for most.
func (o Object) hint(kind string, fields []string) int {
	words, of := hinting[kind], o.Kind
	if !o.own() {
		of = ""
	}
	for _, field := range fields {
		name := strings.ToLower(field)
		switch of {
		case "ConfigMap":
			if len(o.Kinds) > 0 && !contains(o.Kinds, kind) {
				return -1
			}
			continue
		case "Deployment", "DaemonSet", "StatefulSet":
			continue // what is in it are anybody's names
		case "Namespace":
			if strings.Contains(name, "inject") || strings.Contains(name, "/rev") {
				return 1
			}
			continue
		case "LimitRange":
			return 1 // else it is ruled out
		case "MutatingWebhookConfiguration", "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding":
			continue
		}
		if slices.ContainsFunc(words, func(word string) bool { return strings.Contains(name, word) }) {
			return 1
		}
	}
	switch {
	case o.own() || len(words) == 0 || len(fields) == 0 || o.Kind == "Service":
		return 0
	case slices.ContainsFunc(fields, func(f string) bool {
		return f == "spec" || strings.HasPrefix(f, "spec.config") || strings.HasPrefix(f, "data") || strings.HasPrefix(f, "metadata.annotations")
	}):
		return 0 // without a schema of its own
	}
	return -1
}

// own reports whether the object is one of Kubernetes' own kinds.
func (o Object) own() bool {
	return !strings.Contains(o.Group, ".") || strings.HasSuffix(o.Group, ".k8s.io")
}
