package meaning

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

const (
	// maxBytes of a value as stored, and of all that is decoded in it.
	maxBytes = 1 << 20
	// maxNodes of a value: maps, lists and leaves.
	maxNodes = 20_000
	// maxDepth of maps and lists within each other.
	maxDepth = 32
	// maxTexts bounds texts within texts: JSON in base64 in JSON.
	maxTexts = 4
)

// decoder decodes one value, within bounds. Whether they hold does not depend on
// the order of anything in it: else two orders of one list would not mean the same.
type decoder struct {
	bytes, nodes int
	over         bool // a bound is exceeded; what is decoded is of no use
}

// nesting is where a value stands.
type nesting struct{ depth, texts int }

// below is where what is in a map or list stands.
func (n nesting) below() nesting { return nesting{n.depth + 1, n.texts} }

// spend reports whether so many bytes more may be decoded.
func (d *decoder) spend(bytes int) bool {
	d.bytes -= bytes
	d.over = d.over || d.bytes < 0
	return !d.over
}

// count reports whether there may be so many nodes more.
func (d *decoder) count(nodes int) bool {
	d.nodes -= nodes
	d.over = d.over || d.nodes < 0
	return !d.over
}

func (d *decoder) document(raw json.RawMessage) (Value, bool) {
	root, err := jsontree.ParseAtMost(raw, maxNodes)
	if err != nil || !d.count(1) {
		return Value{}, false
	}
	return d.node(root, nesting{}), true
}

// json reads a text that is a JSON object or list.
func (d *decoder) json(text string, at nesting) (Value, bool) {
	if last := text[len(text)-1]; last != '}' && last != ']' || !d.spend(len(text)) {
		return Value{}, false
	}
	root, err := jsontree.ParseAtMost([]byte(text), maxNodes)
	if err != nil || at.depth >= maxDepth {
		return Value{}, false
	}
	return d.node(root, at), true
}

func (d *decoder) node(n jsontree.Node, at nesting) Value {
	switch kind := n.Kind(); {
	case kind == jsontree.String:
		return d.value(n.String(), at)
	case kind != jsontree.Object && kind != jsontree.Array:
		return Value{kind: leaf, raw: number(n.Raw())}
	case at.depth >= maxDepth:
		return Value{kind: leaf, raw: n.Raw()}
	}
	children := slices.Collect(n.Children())
	if !d.count(len(children)) {
		return Value{}
	}
	if n.Kind() == jsontree.Object {
		return d.object(children, at)
	}
	return d.array(children, at)
}

func (d *decoder) object(members []jsontree.Node, at nesting) Value {
	slices.SortFunc(members, func(a, b jsontree.Node) int { return cmp.Compare(string(a.Name()), string(b.Name())) })
	names, items := make([]string, len(members)), make([]Value, len(members))
	for i, member := range members {
		names[i], items[i] = string(member.Name()), d.node(member, at.below())
	}
	return newMap(names, items)
}

func (d *decoder) array(children []jsontree.Node, at nesting) Value {
	if !slices.ContainsFunc(children, func(n jsontree.Node) bool { return n.Kind() != jsontree.String }) {
		texts := make([]string, len(children))
		for i, child := range children {
			texts[i] = child.String()
		}
		return d.strings(texts, at)
	}
	items := make([]Value, len(children))
	for i, child := range children {
		items[i] = d.node(child, at.below())
	}
	return newList(nil, items)
}

// strings is a list of texts, which may be arguments.
func (d *decoder) strings(texts []string, at nesting) Value {
	if slices.ContainsFunc(texts, isFlag) {
		return d.arguments(texts, at)
	}
	items := make([]Value, len(texts))
	for i, text := range texts {
		items[i] = d.value(text, at.below())
	}
	return newList(nil, items)
}

// value is what a text means.
func (d *decoder) value(text string, at nesting) Value {
	if v, ok := d.text(text, at, false); ok {
		return v
	}
	return Value{kind: leaf, raw: quote(text)}
}

// text reads a text that encodes something. Within base64, where any text may look
// like a list, sure leaves out lists without keys.
func (d *decoder) text(text string, at nesting, sure bool) (Value, bool) {
	if at.texts == maxTexts || at.depth >= maxDepth || d.over {
		return Value{}, false
	}
	text = strings.TrimSpace(text)
	if len(text) < 2 {
		return Value{}, false
	}
	at.texts++
	switch {
	case text[0] == '{' || text[0] == '[':
		return d.json(text, at)
	case text[0] == '<': // XML
		return Value{}, false
	}
	if v, ok := d.certificates(text); ok {
		return v, true
	}
	if v, ok := d.base64(text, at); ok {
		return v, true
	}
	if strings.Contains(text, "\n") {
		if v, ok := d.properties(text, at); ok {
			return v, true
		}
		return d.yaml(text, at)
	}
	return d.line(text, at, sure)
}

// plain reports, at a glance, whether a text encodes nothing.
func plain(text []byte) bool {
	text = bytes.TrimSpace(text)
	if len(text) < 2 || text[0] == '{' || text[0] == '[' || text[0] == '-' {
		return len(text) < 2
	}
	encoded := len(text) >= minEncoded
	for _, c := range text {
		if c == ',' || c == ';' || c == '=' {
			return false
		}
		encoded = encoded && base64Byte(c)
	}
	return !encoded
}

// number writes numbers that are no plain integers as RFC 8785 does; other scalars
// are returned as they are.
func number(raw json.RawMessage) json.RawMessage {
	if c := raw[0]; c != '-' && (c < '0' || c > '9') || !strings.ContainsAny(string(raw), ".eE") && string(raw) != "-0" {
		return raw
	}
	value := jsontext.Value(slices.Clone(raw))
	if value.Canonicalize() != nil {
		return raw
	}
	return json.RawMessage(value)
}
