package meaning

import "strings"

// maxFlag is the length of a flag's name at most.
const maxFlag = 64

// isFlag reports whether an argument is --flag, -f or --flag=value.
func isFlag(text string) bool {
	_, ok := flagName(text)
	return ok
}

func flagName(text string) (string, bool) {
	name, _, _ := strings.Cut(text[:min(len(text), maxFlag+1)], "=")
	start := strings.TrimLeft(name, "-")
	if dashes := len(name) - len(start); dashes < 1 || dashes > 2 || len(name) > maxFlag || start == "" || !letter(start[0]) {
		return "", false
	}
	return name, !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || strings.ContainsRune("\"'[]\x7f", r) })
}

// arguments is a list of a program's arguments. A flag and its value are one item,
// whether they are given as one or as two: nobody but the program knows whether
// what follows a flag is its value, so this only decides what is shown together.
func (d *decoder) arguments(texts []string, at nesting) Value {
	flags := make([]string, 0, len(texts))
	items := make([]Value, 0, len(texts))
	flagsEnd := false
	for i := 0; i < len(texts); i++ {
		text := texts[i]
		flag, ok := flagName(text)
		flagsEnd = flagsEnd || text == "--"
		if !ok || flagsEnd {
			flags, items = append(flags, ""), append(items, d.value(text, at.below()))
			continue
		}
		item := Value{kind: leaf, raw: quote(text), form: bare}
		if _, value, ok := strings.Cut(text, "="); ok {
			item = d.value(value, at.below())
			item.form = joined
		} else if i+1 < len(texts) && !strings.HasPrefix(texts[i+1], "-") {
			i++
			item = d.value(texts[i], at.below())
			item.form = separate
		}
		flags, items = append(flags, flag), append(items, item)
	}
	return newList(flags, items)
}

// flags reads a line of two flags or more and nothing else, such as JAVA_TOOL_OPTIONS.
func (d *decoder) flags(text string, at nesting) (Value, bool) {
	if text[0] != '-' || strings.ContainsAny(text, "|&;") || len(text) > maxBytes/16 {
		return Value{}, false
	}
	words := strings.Fields(text)
	count, open := 0, false
	for _, word := range words {
		flag := isFlag(word)
		if !flag && !open {
			return Value{}, false
		}
		open = flag && !strings.Contains(word, "=")
		if flag {
			count++
		}
	}
	if count < 2 || !d.count(len(words)) {
		return Value{}, false
	}
	return d.arguments(words, at), true
}

// positions are where the items of a list of arguments stand among them.
func (v *Value) positions() []int {
	positions := make([]int, len(v.items))
	at := 0
	for i := range v.items {
		positions[i] = at
		at++
		if v.items[i].form == separate {
			at++
		}
	}
	return positions
}
