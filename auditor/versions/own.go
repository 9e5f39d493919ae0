package versions

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec"
)

// shortestName is how long a name must be to be told from other text.
const shortestName = 3

// own is what a Pod says of itself, as far as injectors write it into what they inject.
type own struct {
	names  []string        // told wherever they are words
	values map[string]bool // of labels, annotations and ports: told where they are all of a text
	ports  map[string]bool
}

// ownOf collects it. Labels and annotations are the Pod's own where its creator set them, and
// all labels where nothing says who did.
func ownOf(pod jsontree.Node, containers []map[string]any, injected func(string) bool) own {
	o := own{values: map[string]bool{}, ports: map[string]bool{}}
	metadata := pod.Get("metadata")
	hash := metadata.Get("labels").Get("pod-template-hash").String()
	for _, name := range []string{
		metadata.Get("name").String(), strings.TrimSuffix(metadata.Get("generateName").String(), "-"),
		metadata.Get("namespace").String(), pod.Get("spec", "serviceAccountName").String(), hash,
	} {
		o.name(name)
	}
	for owner := range metadata.Get("ownerReferences").Children() {
		name := owner.Get("name").String()
		o.name(name)
		o.name(strings.TrimSuffix(name, "-"+hash))
	}
	o.metadata(pod)
	for _, c := range containers {
		if name, _ := c["name"].(string); !injected(name) {
			o.container(name, c)
		}
	}
	slices.Sort(o.names)
	o.names = slices.Compact(o.names)
	return o
}

func (o *own) name(name string) {
	if len(name) >= shortestName && strings.ContainsFunc(name, unicode.IsLetter) && name != "true" && name != "false" {
		o.names = append(o.names, name)
	}
}

func (o *own) metadata(pod jsontree.Node) {
	managers, err := podspec.Managers(pod)
	if err != nil {
		managers = nil
	}
	owned := podspec.Union(managers).Field([]byte("metadata"))
	for _, field := range []string{"labels", "annotations"} {
		of := owned.Field([]byte(field))
		for entry := range pod.Get("metadata", field).Children() {
			if !owned.Empty() && !of.Field(entry.Name()).Has() || owned.Empty() && field == "annotations" {
				continue
			}
			switch text := entry.String(); text {
			case "", "true", "false", "enabled", "disabled":
			default:
				o.values[text] = true
			}
		}
	}
}

func (o *own) container(name string, container map[string]any) {
	o.name(name)
	ports, _ := container["ports"].([]any)
	for _, port := range ports {
		fields, _ := port.(map[string]any)
		if number, ok := fields["containerPort"].(json.Number); ok {
			o.ports[number.String()] = true
		}
	}
}

// holds reports whether the value of a variable is the Pod's own, or says nothing.
func (o own) holds(value string) bool {
	switch trimmed := strings.Join(strings.Fields(value), ""); {
	case trimmed == "", trimmed == "[]", trimmed == "{}":
		return true
	case o.isIn(value):
		return true
	case strings.ContainsAny(trimmed[:1], "[{") && json.Valid([]byte(value)):
		return slices.ContainsFunc(numbersIn(value), func(n string) bool { return o.ports[n] })
	}
	return false
}

// onlyPorts holds for lists such as "8080,9090".
func (o own) onlyPorts(value string) bool {
	if strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsDigit(r) && r != ',' && r != ' ' }) {
		return false
	}
	numbers := numbersIn(value)
	return len(numbers) > 0 && !slices.ContainsFunc(numbers, func(n string) bool { return !o.ports[n] })
}

func numbersIn(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsDigit(r) })
}

// isIn reports whether a text has something of the Pod's own.
func (o own) isIn(text string) bool {
	return o.values[text] || o.ports[text] || o.onlyPorts(text) ||
		slices.ContainsFunc(o.names, func(name string) bool { return hasWord(text, name) })
}

// hasWord reports whether the name stands in the text by itself. A namespace or an account
// called default does only in a path or a host name, as that is an ordinary word.
func hasWord(text, name string) bool {
	for from := 0; ; {
		at := strings.Index(text[from:], name)
		if at < 0 {
			return false
		}
		start, end := from+at, from+at+len(name)
		before, after := byte(' '), byte(' ')
		if start > 0 {
			before = text[start-1]
		}
		if end < len(text) {
			after = text[end]
		}
		if !ofName(before) && !ofName(after) && (name != "default" || before == '/' || before == '.' || after == '/' || after == '.') {
			return true
		}
		from = end
	}
}

func ofName(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

// keys are those of lists by which their items are told apart.
var keys = map[string]string{"env": "name", "volumeMounts": "mountPath", "volumeDevices": "devicePath", "ports": "containerPort", "resizePolicy": "resourceName"}

// appendLeaves appends those of a value.
func (o own) appendLeaves(leaves []leaf, part, path string, value any) []leaf {
	switch v := value.(type) {
	case map[string]any:
		if len(v) == 0 {
			return append(leaves, leaf{part, path, json.RawMessage("{}")})
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			below := name
			if path != "" {
				below = path + "." + name
			}
			leaves = o.appendField(leaves, part, below, name, v[name])
		}
		return leaves
	default:
		return append(leaves, leaf{part, path, encoded(v)})
	}
}

func (o own) appendField(leaves []leaf, part, path, name string, value any) []leaf {
	list, isList := value.([]any)
	key, keyed := keys[name]
	switch {
	case isList && keyed:
		for _, item := range list {
			fields, ok := item.(map[string]any)
			if !ok {
				return append(leaves, leaf{part, path, encoded(value)})
			}
			if text, is := fields["value"].(string); name == "env" && (is && o.holds(text) || len(fields) == 1) {
				continue
			}
			at := fmt.Sprintf("%s[%v]", path, fields[key])
			delete(fields, key)
			leaves = o.appendLeaves(leaves, part, at, fields)
		}
		return leaves
	case isList && (name == "args" || name == "command"):
		return o.appendArguments(leaves, part, path, list)
	}
	return o.appendLeaves(leaves, part, path, value)
}

// appendArguments takes options apart, with or without a value each. What is the Pod's own is
// left out with its option, as whether there is one depends on the Pod, too.
func (o own) appendArguments(leaves []leaf, part, path string, list []any) []leaf {
	options, others := map[string][]string{}, []string{}
	for i := 0; i < len(list); i++ {
		argument, _ := list[i].(string)
		option, value, has := strings.Cut(argument, "=")
		switch {
		case !isOption(argument):
			if !o.isIn(argument) {
				others = append(others, argument)
			}
			continue
		case !has && i+1 < len(list):
			if next, _ := list[i+1].(string); !isOption(next) {
				value, i = next, i+1
			}
		}
		if !o.isIn(value) {
			options[option] = append(options[option], value)
		}
	}
	for option, values := range options {
		at := path + verdict.Inside + option
		if len(values) == 1 {
			leaves = append(leaves, leaf{part, at, encoded(values[0])})
		} else {
			leaves = append(leaves, leaf{part, at, encoded(values)})
		}
	}
	if len(others) > 0 {
		leaves = append(leaves, leaf{part, path, encoded(others)})
	}
	return leaves
}

// isOption holds for -x and --name, and not for negative numbers.
func isOption(argument string) bool {
	name := strings.TrimLeft(argument, "-")
	return len(name) > 0 && len(name) < len(argument) && !unicode.IsDigit(rune(name[0]))
}

func encoded(value any) json.RawMessage {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // it was read from JSON
	}
	return text
}
