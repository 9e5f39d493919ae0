package change

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// shortestName is how long a name must be to be told from other text.
const shortestName = 3

// names are a workload's own, which no place holds.
type names []own

type own struct {
	name, instead string
	// qualified: it is taken for the name only beside a dot or a slash.
	qualified bool
}

func ownNames(w Workload) names {
	var all names
	for _, n := range []own{{name: w.Name, instead: "{name}"}, {name: w.Namespace, instead: "{namespace}"}} {
		switch {
		case len(n.name) < shortestName || !strings.ContainsFunc(n.name, isLetter):
			continue
		case n.name == "default" || n.name == "true" || n.name == "false" || n.name == "null":
			n.qualified = true
		}
		all = append(all, n)
	}
	return all
}

// without puts what stands for a name into its place, where it is a word of the text.
func (n names) without(text string) string {
	for _, own := range n {
		if strings.Contains(text, own.name) {
			text = own.without(text)
		}
	}
	return text
}

// in reports whether a difference may have a name in it.
func (n names) in(c verdict.Change) bool {
	return slices.ContainsFunc(n, func(o own) bool {
		return strings.Contains(c.Path, o.name) || bytes.Contains(c.From, []byte(o.name)) || bytes.Contains(c.To, []byte(o.name))
	})
}

// withoutInKeys does so in the keys of a path's items, which alone may have a name in them.
func (n names) withoutInKeys(path string) string {
	if len(n) == 0 || !strings.Contains(path, "[") {
		return path
	}
	var b strings.Builder
	depth, done := 0, 0
	for i := range len(path) {
		switch {
		case path[i] == '[':
			if depth++; depth == 1 {
				b.WriteString(path[done : i+1])
				done = i + 1
			}
		case path[i] == ']' && depth > 0:
			if depth--; depth == 0 {
				b.WriteString(n.without(path[done:i]))
				done = i
			}
		}
	}
	if depth > 0 { // an end that is missing, as of a path that was cut
		return b.String() + n.without(path[done:])
	}
	return b.String() + path[done:]
}

func (n names) withoutIn(value json.RawMessage) json.RawMessage {
	if value == nil {
		return nil
	}
	text := string(value)
	if shorter := n.without(text); shorter != text {
		return json.RawMessage(shorter)
	}
	return value
}

func (o own) without(text string) string {
	var b strings.Builder
	for done := 0; ; {
		at := strings.Index(text[done:], o.name)
		if at < 0 {
			b.WriteString(text[done:])
			return b.String()
		}
		start, end := done+at, done+at+len(o.name)
		b.WriteString(text[done:start])
		if o.standsAt(text, start, end) {
			b.WriteString(o.instead)
		} else {
			b.WriteString(o.name)
		}
		done = end
	}
}

// standsAt reports whether the name at a place of the text is a word.
func (o own) standsAt(text string, start, end int) bool {
	before, after := byte('"'), byte('"')
	if start > 0 {
		before = text[start-1]
	}
	if end < len(text) {
		after = text[end]
	}
	if isWord(rune(before)) || isWord(rune(after)) {
		return false
	}
	if strings.HasPrefix(text[end:], `":`) {
		return false // the key of a value
	}
	qualifies := func(c byte) bool { return c == '.' || c == '/' }
	return !o.qualified || qualifies(before) || qualifies(after)
}

func isLetter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }

func isWord(r rune) bool { return isLetter(r) || r >= '0' && r <= '9' }
