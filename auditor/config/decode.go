package config

import (
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// decoder sets a value's fields from YAML and collects what is wrong. It walks
// the nodes itself, as the JSON that Kubernetes' own decoders go through has no
// lines.
type decoder struct {
	lines    map[string]int // by path; "" is the document
	problems Invalid
}

var durationType = reflect.TypeFor[metav1.Duration]()

func (d *decoder) report(at *yaml.Node, path, format string, args ...any) {
	d.problems = append(d.problems, Problem{at.Line, path, fmt.Sprintf(format, args...)})
}

// decode sets the value, or says why it cannot.
func (d *decoder) decode(node *yaml.Node, value reflect.Value, path string) {
	if _, ok := d.lines[path]; !ok {
		d.lines[path] = node.Line
	}
	at := node
	node = resolve(node)
	if node.ShortTag() == "!!null" {
		d.report(at, path, "has no value: give %s, or leave the key out", want(value.Type()))
		return
	}
	switch {
	case value.Type() == durationType:
		d.duration(at, node, value, path)
	case value.Kind() == reflect.Struct && node.Kind == yaml.MappingNode:
		d.object(node, value, path)
	case value.Kind() == reflect.Slice && node.Kind == yaml.SequenceNode:
		// A list replaces its default.
		value.Set(reflect.MakeSlice(value.Type(), len(node.Content), len(node.Content)))
		for i, item := range node.Content {
			d.decode(item, value.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
	case value.Kind() == reflect.String && node.ShortTag() == "!!str":
		value.SetString(node.Value)
	case value.Kind() == reflect.Bool && node.ShortTag() == "!!bool",
		value.Kind() == reflect.Int && node.ShortTag() == "!!int":
		if err := node.Decode(value.Addr().Interface()); err != nil {
			d.report(at, path, "is %s: give %s", described(path, node), want(value.Type()))
		}
	case value.Kind() == reflect.String && node.Kind == yaml.ScalarNode:
		d.report(at, path, "is %s: put it in quotes, to be %s", described(path, node), want(value.Type()))
	default:
		d.report(at, path, "is %s: give %s", described(path, node), want(value.Type()))
	}
}

// described is describe, but quotes nothing of who is notified: there the address is the
// secret, in whatever place it was put.
func described(path string, node *yaml.Node) string {
	if strings.HasPrefix(path, "notify") && resolve(node).Kind == yaml.ScalarNode {
		return "a value"
	}
	return describe(node)
}

func (d *decoder) duration(at, node *yaml.Node, value reflect.Value, path string) {
	duration, err := time.ParseDuration(node.Value)
	if err != nil || node.Kind != yaml.ScalarNode {
		d.report(at, path, "is %s: give %s", described(path, node), want(durationType))
		return
	}
	value.Set(reflect.ValueOf(metav1.Duration{Duration: duration}))
}

// object sets the fields of a struct by their names in JSON.
func (d *decoder) object(node *yaml.Node, value reflect.Value, path string) {
	fields := map[string]int{}
	for name, field := range keys(value.Type()) {
		fields[name] = field.Index[0]
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, item := resolve(node.Content[i]), node.Content[i+1]
		below := key.Value
		if path != "" {
			below = path + "." + key.Value
		}
		field, ok := fields[key.Value]
		switch {
		case key.Kind != yaml.ScalarNode:
			d.report(key, path, "has a key that is %s: give a name", describe(key))
		case key.ShortTag() == "!!merge":
			d.report(key, path, "has a merge key (<<): write its keys out")
		case !ok && strings.HasPrefix(path, "notify"):
			d.report(key, path, "has an unknown key%s", similar(key.Value, value.Type()))
		case !ok:
			d.report(key, below, "unknown key%s", similar(key.Value, value.Type()))
		case seen[key.Value] > 0:
			d.report(key, below, "is given twice, first in line %d", seen[key.Value])
		default:
			seen[key.Value] = key.Line
			d.lines[below] = key.Line
			d.decode(item, value.Field(field), below)
		}
	}
}

// keys are the names in JSON and the fields of a struct, in order.
func keys(t reflect.Type) iter.Seq2[string, reflect.StructField] {
	return func(yield func(string, reflect.StructField) bool) {
		for field := range t.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if !yield(name, field) {
				return
			}
		}
	}
}

// similar suggests a key that differs in case only or that is much alike, and
// otherwise lists them all.
func similar(wrong string, t reflect.Type) string {
	var names []string
	for name := range keys(t) {
		a, b := strings.ToLower(name), strings.ToLower(wrong)
		if len(b) > 2 && (strings.HasPrefix(a, b) || strings.HasPrefix(b, a) || a == b) {
			return "; did you mean " + name + "?"
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return "; known here: " + strings.Join(names, ", ")
}

// resolve follows an alias to what it stands for.
func resolve(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

// describe says what a node is, for messages.
func describe(node *yaml.Node) string {
	node = resolve(node)
	switch {
	case node.Kind == yaml.MappingNode:
		return "a map"
	case node.Kind == yaml.SequenceNode:
		return "a list"
	case node.ShortTag() == "!!null":
		return "empty"
	case node.ShortTag() == "!!str":
		return fmt.Sprintf("%q", node.Value)
	}
	return node.Value
}

// want says what a value must be, for messages.
func want(t reflect.Type) string {
	switch {
	case t == durationType:
		return "a duration with its unit, such as 10m or 1h30m"
	case t.Kind() == reflect.Struct:
		return "a map"
	case t.Kind() == reflect.Slice:
		return "a list"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Int:
		return "a whole number"
	}
	return "a string"
}
