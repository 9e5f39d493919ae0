package meaning

import (
	"maps"
	"slices"
	"strings"
)

// ofMap is a map with these members.
func ofMap(values map[string]Value) Value {
	names := slices.Sorted(maps.Keys(values))
	items := make([]Value, len(names))
	for i, name := range names {
		items[i] = values[name]
	}
	return newMap(names, items)
}

// properties reads key=value lines. Empty lines and comments mean nothing.
func (d *decoder) properties(text string, at nesting) (Value, bool) {
	var pieces []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			if _, _, ok := assignment(line); !ok || len(pieces) == maxNodes {
				return Value{}, false
			}
			pieces = append(pieces, line)
		}
	}
	return d.assignments(pieces, at)
}

// line reads a text of one line: flags, key=value between commas, semicolons or
// spaces, or a list between commas. Most lines are none of it.
func (d *decoder) line(text string, at nesting, sure bool) (Value, bool) {
	if structured(text) {
		return Value{}, false
	}
	v, ok := Value{}, false
	for _, separator := range []string{",", ";", " "} {
		if v, ok = d.separated(text, separator, at); ok {
			break
		}
	}
	if !ok && !sure {
		if v, ok = d.flags(text, at); !ok {
			v, ok = d.commas(text, at)
		}
	}
	if ok {
		v.raw = quote(text)
	}
	return v, ok
}

// structured reports whether there is more to a line than separators: quotes, tags,
// brackets. A variable, as $(NAME) or ${NAME}, may be anywhere.
func structured(text string) bool {
	for i := range len(text) {
		switch text[i] {
		case '"', '\'', '`', '<', '>', '\\', '[', ']':
			return true
		case '(', '{':
			if i == 0 || text[i-1] != '$' {
				return true
			}
		}
	}
	return false
}

// separated reads key=value between separators.
func (d *decoder) separated(text, separator string, at nesting) (Value, bool) {
	if n := strings.Count(text, separator); n == 0 || n >= maxNodes || strings.Count(text, "=") < 2 {
		return Value{}, false
	}
	if separator == " " && strings.Contains(text, ";") { // in "User ID=a;Password=b" the space separates nothing
		return Value{}, false
	}
	var pieces []string
	for piece := range strings.SplitSeq(text, separator) {
		if piece = strings.TrimSpace(piece); piece == "" {
			continue
		}
		if _, value, ok := assignment(piece); !ok || strings.ContainsAny(value, " \t") {
			return Value{}, false
		}
		pieces = append(pieces, piece)
	}
	return d.assignments(pieces, at)
}

// assignments is a map of what is assigned, if there are two and no name comes twice.
func (d *decoder) assignments(pieces []string, at nesting) (Value, bool) {
	if len(pieces) < 2 {
		return Value{}, false
	}
	texts := make(map[string]string, len(pieces))
	for _, piece := range pieces {
		name, value, _ := assignment(piece)
		texts[name] = value
	}
	if len(texts) < len(pieces) || !d.count(len(texts)) {
		return Value{}, false
	}
	values := make(map[string]Value, len(texts))
	for name, text := range texts {
		values[name] = d.value(text, at.below())
	}
	return ofMap(values), true
}

// assignment splits key=value. Keys are like those of variables, properties and labels.
func assignment(text string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(text, "=")
	name = strings.TrimSpace(name)
	if !ok || name == "" || !letter(name[0]) && name[0] != '_' {
		return "", "", false
	}
	for i := range len(name) {
		if c := name[i]; !letter(c) && !digit(c) && strings.IndexByte("_.-/", c) < 0 {
			return "", "", false
		}
	}
	return name, strings.TrimSpace(value), true
}

// commas reads a list between commas. There is no space in it, as in a sentence; it
// is no number such as 1,000; and no URL with a comma, of which only the first item
// would look like one.
func (d *decoder) commas(text string, at nesting) (Value, bool) {
	if n := strings.Count(text, ","); n == 0 || n >= maxNodes || strings.ContainsAny(text, " \t;") || thousands(text) {
		return Value{}, false
	}
	items := strings.Split(text, ",")
	urls := strings.Contains(text, "://")
	for _, item := range items {
		if item == "" || urls && !strings.Contains(item, "://") {
			return Value{}, false
		}
	}
	if !d.count(len(items)) {
		return Value{}, false
	}
	return d.strings(items, at), true
}

// thousands reports whether commas group the digits of a number.
func thousands(text string) bool {
	whole, _, _ := strings.Cut(strings.TrimLeft(text, "+-"), ".")
	for i, group := range strings.Split(whole, ",") {
		if len(group) > 3 || len(group) < 3 && i > 0 || strings.Trim(group, "0123456789") != "" {
			return false
		}
	}
	return true
}
