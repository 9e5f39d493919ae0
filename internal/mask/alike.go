package mask

import "strings"

// Alike returns a text with [Constant]'s mask in the place of each mask: what was masked so
// that secrets can be told apart then no longer tells them apart.
func Alike(text string) string {
	at := strings.Index(text, stars)
	if at < 0 {
		return text
	}
	var b strings.Builder
	for ; at >= 0; at = strings.Index(text, stars) {
		b.WriteString(text[:at])
		text = text[at:]
		if maskAt(text) {
			b.WriteString(constant)
			text = text[len(stars)+digits:]
			continue
		}
		b.WriteByte(text[0])
		text = text[1:]
	}
	b.WriteString(text)
	return b.String()
}

// In reports whether a text has a mask in it.
func In(text string) bool { return (*Masker)(nil).hasMask(text) }
