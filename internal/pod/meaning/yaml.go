package meaning

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v3"
)

// maxYAML is the length of a YAML text at most. Linux starts no program with a longer
// variable or argument (MAX_ARG_STRLEN, execve(2)), and the parser knows no bound of
// its own: a byte takes it a microsecond or two, so that it counts for several.
const (
	maxYAML  = 128 << 10
	yamlCost = 4
)

// yaml reads a text of several lines that is a YAML mapping or sequence with more
// than one entry, or with something nested in it: a sentence with a colon has
// neither. Aliases, own tags and several documents are left alone.
func (d *decoder) yaml(text string, at nesting) (Value, bool) {
	if len(text) > maxYAML || !looksLikeYAML(text) || !d.spend(yamlCost*len(text)) {
		return Value{}, false
	}
	root, ok := parseYAML(text)
	if !ok || !d.fits(root, at) {
		return Value{}, false
	}
	switch root.Kind {
	case yaml.MappingNode:
		ok = len(root.Content) > 2 || len(root.Content) == 2 && root.Content[1].Kind != yaml.ScalarNode
	case yaml.SequenceNode:
		ok = len(root.Content) > 1 || len(root.Content) == 1 && root.Content[0].Kind != yaml.ScalarNode
	default:
		ok = false
	}
	if !ok {
		return Value{}, false
	}
	return d.yamlNode(root, at), true
}

// looksLikeYAML reports whether the first line, comments aside, begins an entry:
// the parser takes its time with what is none.
func looksLikeYAML(text string) bool {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line == "---" || line[0] == '#' {
			continue
		}
		if strings.HasPrefix(line, "- ") {
			return true
		}
		name, rest, ok := strings.Cut(line, ":")
		return ok && name != "" && !strings.ContainsAny(name, " {}()$") && (rest == "" || rest[0] == ' ')
	}
	return false
}

// parseYAML returns the only document in a text. The text is a stranger's: what the
// parser does not survive is no YAML.
func parseYAML(text string) (root *yaml.Node, ok bool) {
	defer func() {
		if recover() != nil {
			root, ok = nil, false
		}
	}()
	decoder := yaml.NewDecoder(strings.NewReader(text))
	var document, next yaml.Node
	if decoder.Decode(&document) != nil || len(document.Content) != 1 || !errors.Is(decoder.Decode(&next), io.EOF) {
		return nil, false
	}
	return document.Content[0], true
}

// fits reports whether all below the node can be taken.
func (d *decoder) fits(n *yaml.Node, at nesting) bool {
	switch n.Kind {
	case yaml.ScalarNode:
		return strings.HasPrefix(n.ShortTag(), "!!")
	case yaml.MappingNode:
		keys := make(map[string]bool, len(n.Content)/2)
		for i := 0; i < len(n.Content); i += 2 {
			key := n.Content[i]
			if key.Kind != yaml.ScalarNode || keys[key.Value] {
				return false
			}
			keys[key.Value] = true
		}
	case yaml.SequenceNode:
	default:
		return false
	}
	if at.depth >= maxDepth {
		return false
	}
	return !slices.ContainsFunc(n.Content, func(n *yaml.Node) bool { return !d.fits(n, at.below()) })
}

func (d *decoder) yamlNode(n *yaml.Node, at nesting) Value {
	switch {
	case n.Kind == yaml.ScalarNode:
		if raw, ok := yamlScalar(n); ok {
			return Value{kind: leaf, raw: raw}
		}
		return d.value(n.Value, at)
	case !d.count(len(n.Content)):
		return Value{}
	case n.Kind == yaml.MappingNode:
		return d.yamlMapping(n, at)
	}
	if !slices.ContainsFunc(n.Content, func(n *yaml.Node) bool { return n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" }) {
		texts := make([]string, len(n.Content))
		for i, item := range n.Content {
			texts[i] = item.Value
		}
		return d.strings(texts, at)
	}
	items := make([]Value, len(n.Content))
	for i, item := range n.Content {
		items[i] = d.yamlNode(item, at.below())
	}
	return newList(nil, items)
}

func (d *decoder) yamlMapping(n *yaml.Node, at nesting) Value {
	values := make(map[string]Value, len(n.Content)/2)
	for i := 0; i < len(n.Content); i += 2 {
		values[n.Content[i].Value] = d.yamlNode(n.Content[i+1], at.below())
	}
	return ofMap(values)
}

// yamlScalar is what is no text. A number that JSON has no such notation for is one.
func yamlScalar(n *yaml.Node) (json.RawMessage, bool) {
	switch n.ShortTag() {
	case "!!null":
		return json.RawMessage("null"), true
	case "!!bool":
		return json.RawMessage(strings.ToLower(n.Value)), true
	case "!!int", "!!float":
		if raw := json.RawMessage(n.Value); jsontext.Value(raw).IsValid() {
			return number(raw), true
		}
	}
	return nil, false
}
