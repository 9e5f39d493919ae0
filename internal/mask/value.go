package mask

import (
	"encoding/base64"
	"strings"
	"unicode"
	"unicode/utf8"
)

// context is where a text stands.
type context struct {
	// name is whose value it is.
	name string
	// inherited holds within the value of a telling name: all that is not
	// known for harmless is secret.
	inherited bool
	// depth numbers the texts that it is encoded in, keys the names before it, as in a=b=c.
	depth, keys int
}

// value masks one text.
func (m *Masker) value(c context, text string) string {
	if m.masked(text) || text == "" {
		return text
	}
	if len(text) > maxText || c.depth > maxDepth {
		return m.seal(text)
	}
	if masked, ok := m.document(c, text); ok {
		return masked
	}
	if at := passwordBehind(c.name, text); at > 0 && !m.hasMask(text) {
		return text[:at] + m.seal(text[at:])
	}
	telling := c.telling()
	if telling.gives(text) && !m.hasMask(text) {
		at := schemeEnd(text)
		return text[:at] + m.seal(text[at:])
	}
	if name, rest, ok := assigned(text); ok && c.keys < maxKeys {
		inner := c
		inner.name, inner.keys = name, c.keys+1
		return text[:len(text)-len(rest)] + m.value(inner, rest)
	}
	if m.encodes(c, text) {
		return m.seal(text)
	}
	spans := findSecrets(text)
	if !strings.ContainsAny(text, " \t\n") {
		spans = append(spans, knownToken(c.name, text)...)
	}
	spans = append(spans, m.encodedWords(c, text)...)
	spans = append(spans, m.cutEnds(c, text)...)
	return m.apply(text, m.sealAll(text, m.unmasked(text, spans)))
}

// unmasked are the spans without those that hold a mask already.
func (m *Masker) unmasked(text string, spans []span) []span {
	kept := spans[:0]
	for _, s := range spans {
		if s.start < s.end && !m.hasMask(text[s.start:s.end]) {
			kept = append(kept, s)
		}
	}
	return kept
}

// telling is what the name says of the value.
func (c context) telling() telling {
	t := nameTells(c.name)
	if c.inherited && t == tellsNothing && !harmlessName(c.name) {
		return tellsSecret
	}
	return t
}

// findSecrets are the secrets in a text that has no structure of its own.
func findSecrets(text string) []span {
	spans := append(privateKeys(text), userinfo(text)...)
	spans = append(spans, credentials(text)...)
	spans = append(spans, phrased(text)...)
	spans = append(spans, assignments(text)...)
	spans = append(spans, manifestData(text)...)
	return append(spans, tokens(text)...)
}

// assigned splits KEY=VALUE and --flag=value that are a text of their own.
func assigned(text string) (name, value string, ok bool) {
	end := 0
	for end < len(text) && (nameByte(text[end])) {
		end++
	}
	name = strings.TrimLeft(text[:end], "-")
	if name == "" || end == len(text) || text[end] != '=' || !letter(name[0]) && name[0] != '_' {
		return "", "", false
	}
	value = text[end+1:]
	if value == "" || strings.HasPrefix(value, "=") || random(name) || furtherAssignment(value) {
		return "", "", false
	}
	return name, value, true
}

// furtherAssignment reports whether something like "; key=" or " key=" follows.
func furtherAssignment(text string) bool {
	for i := 0; i < len(text); i++ {
		if separates(text[i]) && assignmentAt(text[i+1:]) {
			return true
		}
	}
	return false
}

// separates holds for what stands between assignments.
func separates(b byte) bool { return strings.IndexByte(" \t\n\r;&,", b) >= 0 }

// assignmentAt reports whether a text begins with a name and an equals sign.
func assignmentAt(text string) bool {
	text = strings.TrimLeft(text, " \t\n\r")
	end := 0
	for end < len(text) && end < maxName && nameByte(text[end]) {
		end++
	}
	return end > 0 && end < len(text) && (text[end] == '=' || text[end] == ':')
}

// encodes reports whether a text is base64 of one with a secret in it. Line breaks
// are allowed.
func (m *Masker) encodes(c context, text string) bool {
	if len(text) < minEncoded {
		return false
	}
	text = withoutCut(text)
	if strings.ContainsAny(text, "\n") {
		text = strings.Join(strings.Fields(text), "")
	}
	decoded, ok := decode(text)
	if !ok {
		return false
	}
	inner := context{name: c.name, inherited: c.inherited, depth: c.depth + 1}
	return m.value(inner, decoded) != decoded
}

// encodedWords are the words of a text that are base64 of a secret.
func (m *Masker) encodedWords(c context, text string) []span {
	var spans []span
	for s := range words(text, minEncoded) {
		if s.end-s.start < len(text) && m.encodes(context{depth: c.depth}, text[s.start:s.end]) {
			spans = append(spans, s)
		}
	}
	return spans
}

// minEncoded is the length from which text is tried as base64: of 12 bytes.
const minEncoded = 16

// decode returns the printable text that another one is the base64 of.
func decode(text string) (string, bool) {
	for i := 0; i < len(text); i++ {
		if !wordByte(text[i]) {
			return "", false
		}
	}
	trimmed := strings.TrimRight(text, "=")
	encoding := base64.RawStdEncoding
	if strings.ContainsAny(trimmed, "-_") {
		encoding = base64.RawURLEncoding
	}
	decoded, err := encoding.DecodeString(trimmed)
	for n := 0; n < utf8.UTFMax-1 && len(decoded) > 0 && !utf8.Valid(decoded); n++ {
		decoded = decoded[:len(decoded)-1] // of a text that was cut
	}
	if err != nil || !printable(decoded) {
		return "", false
	}
	return string(decoded), true
}

func printable(text []byte) bool {
	if !utf8.Valid(text) {
		return false
	}
	for _, r := range string(text) {
		if !unicode.IsPrint(r) && !unicode.IsSpace(r) {
			return false
		}
	}
	return len(text) > 0
}
