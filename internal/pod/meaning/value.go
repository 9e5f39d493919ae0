// Package meaning reads what a value of a Pod's spec means where it encodes
// something: JSON in a text, base64 of that, YAML, KEY=VALUE, a list between commas,
// arguments, certificates.
//
// Two values are compared by it, place by place. What varies among several answers
// to one question is learned as a [Variation], and left out of a comparison: of a
// list that an injector writes in another order each time, only a changed item is
// a difference.
//
// Meaning is coarser than text: the order of an object's members, white space,
// comments and encodings are no part of it. Who has to know whether two values are
// the same compares them as stored.
package meaning

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

type kind byte

const (
	absent kind = iota
	leaf
	mapping
	list
)

// form is how an argument is given to a program.
type form byte

const (
	noArgument form = iota // of a list, but no flag
	joined                 // --flag=value
	separate               // --flag value
	bare                   // --flag
)

// Value is what a value of a Pod's spec means: a text or another scalar, a map, or
// a list. The zero Value is absent. It does not change.
type Value struct {
	kind kind
	form form
	// raw is a leaf's JSON. A map or a list has one if it reads better as the
	// text that it was.
	raw json.RawMessage
	// names are the keys of a map, sorted; of a list of arguments, the flags,
	// empty for those that are none.
	names []string
	items []Value
	// sum is the same for maps and lists of the same meaning.
	sum sum
}

// Of returns what a JSON value as stored means: texts are decoded, objects and lists
// are taken with the texts in them decoded. It is absent for nil. What does not
// decode is a leaf, and so is all of it beyond the bounds of this package. The Value
// refers to raw, which must not change.
func Of(raw json.RawMessage) Value {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return Value{}
	}
	if text, ok := simple(raw); ok && plain(text) {
		return Value{kind: leaf, raw: raw}
	}
	if len(raw) <= maxBytes {
		d := decoder{bytes: maxBytes, nodes: maxNodes}
		if v, ok := d.document(raw); ok && !d.over {
			return v
		}
	}
	if !jsontext.Value(raw).IsValid() {
		return Value{kind: leaf, raw: quote(string(raw))}
	}
	return Value{kind: leaf, raw: raw}
}

// Decoded reports whether the value is a map or a list, so that a comparison has
// more to say than that it differs.
func (v Value) Decoded() bool { return v.kind == mapping || v.kind == list }

// same reports whether two values mean the same.
func (v *Value) same(other *Value) bool {
	if v.kind != other.kind || v.form != other.form {
		return false
	}
	if v.Decoded() {
		return v.sum == other.sum
	}
	return bytes.Equal(v.raw, other.raw)
}

// get returns the value under a key of a map.
func (v *Value) get(key string) *Value {
	if v.kind != mapping {
		return nil
	}
	at, ok := slices.BinarySearch(v.names, key)
	if !ok {
		return nil
	}
	return &v.items[at]
}

// item returns an item of a list, or what is absent for -1.
func (v *Value) item(i int) *Value {
	if i < 0 {
		return &Value{}
	}
	return &v.items[i]
}

// flag is the name of an argument in a list; empty if it has none.
func (v *Value) flag(i int) string {
	if v.kind != list || v.names == nil {
		return ""
	}
	return v.names[i]
}

// json returns the value as JSON, nil for an absent one.
func (v *Value) json() json.RawMessage {
	if v.raw != nil || v.kind == absent {
		return v.raw
	}
	return v.appendJSON(nil)
}

func (v *Value) appendJSON(dst []byte) []byte {
	switch {
	case v.raw != nil:
		return append(dst, v.raw...)
	case v.kind == mapping:
		dst = append(dst, '{')
		for i := range v.items {
			dst = append(appendQuote(comma(dst, i), v.names[i]), ':')
			dst = v.items[i].appendJSON(dst)
		}
		return append(dst, '}')
	}
	dst = append(dst, '[')
	for i := range v.items {
		dst = comma(dst, i)
		switch item := &v.items[i]; item.form {
		case joined:
			dst = append(dst, v.argument(i)...)
		case separate:
			dst = append(appendQuote(dst, v.names[i]), ',')
			dst = appendQuote(dst, item.text())
		default:
			dst = item.appendJSON(dst)
		}
	}
	return append(dst, ']')
}

// argument is an item of a list of arguments as one text: --flag=value, --flag value.
func (v *Value) argument(i int) json.RawMessage {
	switch item := &v.items[i]; item.form {
	case joined:
		return quote(v.names[i] + "=" + item.text())
	case separate:
		return quote(v.names[i] + " " + item.text())
	default:
		return item.json()
	}
}

// text is the value as text; JSON if it was none.
func (v *Value) text() string {
	raw := v.json()
	if len(raw) > 0 && raw[0] == '"' {
		if text, err := jsontext.AppendUnquote(nil, raw); err == nil {
			return string(text)
		}
	}
	return string(raw)
}

func comma(dst []byte, i int) []byte {
	if i == 0 {
		return dst
	}
	return append(dst, ',')
}

// quote is a text as JSON, in the only way that a leaf has it.
func quote(text string) json.RawMessage { return appendQuote(nil, text) }

func appendQuote(dst []byte, text string) []byte {
	quoted, err := jsontext.AppendQuote(dst, text)
	if err != nil { // of invalid UTF-8, which it replaces
		return quoted
	}
	return quoted
}

// simple returns what is between the quotes of a JSON text without escapes, which is
// quoted as every leaf is.
func simple(raw json.RawMessage) ([]byte, bool) {
	if len(raw) < 2 || raw[0] != '"' || raw[len(raw)-1] != '"' {
		return nil, false
	}
	text := raw[1 : len(raw)-1]
	for _, c := range text {
		if c < ' ' || c == '"' || c == '\\' || c >= 0x7f {
			return nil, false
		}
	}
	return text, true
}
