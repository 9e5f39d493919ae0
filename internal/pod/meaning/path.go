package meaning

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxElement is the length of a key in a path, maxPath the length of a path:
	// what is longer is cut.
	maxElement = 100
	maxPath    = 512
)

// pushKey appends a key of a map: .key, [a.key] or ["a key"].
func pushKey(path []byte, key string) []byte {
	if !identifier(key) {
		if number, err := strconv.Atoi(key); err == nil && number >= 0 {
			return append(strconv.AppendQuote(append(path, '['), key), ']') // no index
		}
		return pushItem(path, key)
	}
	if len(path) > 0 {
		path = append(path, '.')
	}
	return append(path, key...)
}

// pushItem appends what an item of a list is called: [name] or ["a name"].
func pushItem(path []byte, name string) []byte {
	name = cut(name, maxElement)
	if name == "" || strings.ContainsFunc(name, func(r rune) bool {
		return strings.ContainsRune("[]\"\\ ", r) || !unicode.IsPrint(r)
	}) {
		name = strconv.Quote(name)
	}
	return append(append(append(path, '['), name...), ']')
}

func identifier(key string) bool {
	if key == "" || len(key) > maxElement || !letter(key[0]) && key[0] != '_' {
		return false
	}
	for i := range len(key) {
		if c := key[i]; !letter(c) && !digit(c) && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most] + "…"
}
