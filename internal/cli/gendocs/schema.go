package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/config"
	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/notify"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/auditor/window"
)

// schema is what is used here of JSON Schema, draft 2020-12.
type schema struct {
	Schema      string             `json:"$schema,omitempty"`
	Title       string             `json:"title,omitempty"`
	Description string             `json:"description,omitempty"`
	Ref         string             `json:"$ref,omitempty"`
	Type        any                `json:"type,omitempty"` // a string, or several
	Const       string             `json:"const,omitempty"`
	Enum        []string           `json:"enum,omitempty"`
	Format      string             `json:"format,omitempty"`
	Pattern     string             `json:"pattern,omitempty"`
	Minimum     *int               `json:"minimum,omitempty"`
	Maximum     *int               `json:"maximum,omitempty"`
	Default     any                `json:"default,omitempty"`
	Required    []string           `json:"required,omitempty"`
	Properties  map[string]*schema `json:"properties,omitempty"`
	// Additional is what other properties are: a *schema, false for none, or nil
	// for anything.
	Additional any                `json:"additionalProperties,omitempty"`
	Items      *schema            `json:"items,omitempty"`
	Defs       map[string]*schema `json:"$defs,omitempty"`
}

func (s *schema) text() (string, error) {
	var b bytes.Buffer
	out := json.NewEncoder(&b)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	err := out.Encode(s)
	return b.String(), err
}

// options of describe.
type options struct {
	kind     string        // of the object
	closed   bool          // properties that are not described are refused
	defaults reflect.Value // of the described type; may be none
}

// Types that are more than what they are made of.
var (
	durationType = reflect.TypeFor[metav1.Duration]()
	choices      = map[reflect.Type][]string{
		reflect.TypeFor[rollout.Strategy]():    texts(config.Strategies()),
		reflect.TypeFor[change.Risk]():         texts(change.Risks()),
		reflect.TypeFor[injection.DryRunAs]():  texts(injection.DryRunAsValues),
		reflect.TypeFor[rollout.Order]():       texts(config.Orders()),
		reflect.TypeFor[config.WorkloadKind](): texts(config.WorkloadKinds()),
		reflect.TypeFor[notify.Kind]():         texts(notify.Kinds()),
		reflect.TypeFor[notify.Event]():        texts(notify.Events()),
		reflect.TypeFor[notify.Type]():         texts(notify.Types()),
		reflect.TypeFor[config.Day]():          window.Days(),
	}
	patterns = map[reflect.Type]string{
		durationType:                        `^\+?([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+$`,
		reflect.TypeFor[config.TimeOfDay](): `^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$`,
	}
)

func texts[T ~string](words []T) []string {
	all := make([]string, len(words))
	for i, word := range words {
		all[i] = string(word)
	}
	return all
}

type generator struct {
	comments
	options
	defs  map[string]*schema
	types map[string]reflect.Type // by the names that they have in defs
}

// describe returns the schema of a struct that has an apiVersion and a kind.
func describe(t reflect.Type, c comments, o options) *schema {
	g := generator{c, o, map[string]*schema{}, map[string]reflect.Type{}}
	s := g.object(t, o.defaults)
	s.Schema, s.Title, s.Defs = "https://json-schema.org/draft/2020-12/schema", o.kind, g.defs
	s.Properties["apiVersion"].Const = config.APIVersion
	s.Properties["kind"].Const = o.kind
	return s
}

// describeEvent returns the schema of what a webhook is sent.
func describeEvent(c comments) *schema {
	g := generator{c, options{}, map[string]*schema{}, map[string]reflect.Type{}}
	s := g.object(reflect.TypeFor[notify.CloudEvent](), reflect.Value{})
	s.Schema, s.Title, s.Defs = "https://json-schema.org/draft/2020-12/schema", "Notification", g.defs
	s.Properties["specversion"].Const = notify.SpecVersion
	s.Properties["datacontenttype"].Const = "application/json"
	s.Properties["source"].Format = "uri-reference"
	g.defs["Message"].Properties["event"].Enum = texts(append(notify.Events(), notify.Suppressed))
	return s
}

// object describes a struct, with the defaults of its fields if there are any.
func (g generator) object(t reflect.Type, defaults reflect.Value) *schema {
	s := &schema{Type: "object", Description: g.of(t), Properties: map[string]*schema{}}
	if g.closed {
		s.Additional = false
	}
	for field := range t.Fields() {
		name, modes, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "-" || !field.IsExported() {
			continue
		}
		var value reflect.Value
		if defaults.IsValid() {
			value = defaults.FieldByIndex(field.Index)
		}
		property := g.value(field.Type, value)
		property.Description = g.ofField(t, field.Name)
		property.Minimum, property.Maximum = limit(field, "minimum"), limit(field, "maximum")
		s.Properties[name] = property
		if modes == "" {
			if field.Type.Kind() == reflect.Pointer { // null, as it is never left out
				property.Type = []any{property.Type, "null"}
			}
			s.Required = append(s.Required, name)
		} else if value.IsValid() {
			property.Default = inJSON(value)
		}
	}
	return s
}

func (g generator) value(t reflect.Type, defaults reflect.Value) *schema {
	switch {
	case t.Kind() == reflect.Pointer:
		return g.value(t.Elem(), reflect.Value{})
	case t == reflect.TypeFor[json.RawMessage]():
		return &schema{}
	case t == reflect.TypeFor[time.Time]():
		return &schema{Type: "string", Format: "date-time"}
	case t == durationType, t.Kind() == reflect.String:
		return &schema{Type: "string", Enum: choices[t], Pattern: patterns[t]}
	case t.Kind() == reflect.Bool:
		return &schema{Type: "boolean"}
	case t.Kind() == reflect.Int:
		return &schema{Type: "integer"}
	case t.Kind() == reflect.Float64:
		return &schema{Type: "number"}
	case t.Kind() == reflect.Slice:
		return &schema{Type: "array", Items: g.value(t.Elem(), reflect.Value{})}
	case t.Kind() == reflect.Map:
		return &schema{Type: "object", Additional: g.value(t.Elem(), reflect.Value{})}
	case t.Kind() == reflect.Struct:
		if other, taken := g.types[t.Name()]; taken && other != t {
			panic(fmt.Sprintf("%s and %s are described by the same name: rename one", t, other))
		}
		if g.defs[t.Name()] == nil {
			g.types[t.Name()] = t
			g.defs[t.Name()] = g.object(t, defaults)
		}
		return &schema{Ref: "#/$defs/" + t.Name()}
	}
	panic("no schema for " + t.String()) // a new type in a report or the configuration
}

// limit reads a number of the field's schema tag: `schema:"minimum=1"`.
func limit(field reflect.StructField, which string) *int {
	for setting := range strings.SplitSeq(field.Tag.Get("schema"), ",") {
		if name, text, _ := strings.Cut(setting, "="); name == which {
			n, err := strconv.Atoi(text)
			if err != nil {
				panic(field.Name + ": " + err.Error())
			}
			return &n
		}
	}
	return nil
}

// inJSON returns a default as it is written; nil for what is simply not there.
func inJSON(value reflect.Value) any {
	switch duration, ok := value.Interface().(metav1.Duration); {
	case ok:
		return short(duration.Duration)
	case value.Kind() == reflect.Bool || value.Kind() == reflect.Int:
		return value.Interface()
	case value.IsZero() || value.Kind() == reflect.Struct:
		return nil
	}
	return value.Interface()
}

// short writes 10m for what the standard library writes as 10m0s.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
