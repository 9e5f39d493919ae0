// Package printable makes what a stranger wrote safe to show. Whoever may create a
// Pod chooses names, values and the messages that quote them: a terminal must
// neither obey such text nor be made to hide or turn it.
//
// A character is shown if it is printable in Unicode's sense, is not invisible by
// itself (Default_Ignorable_Code_Point), and is not one mark too many on the same
// letter. Everything else is spelled out: control characters, changes of the
// writing direction, zero-width characters, tags, variation selectors, line and
// paragraph separators, private and unassigned characters, and what is no UTF-8.
package printable

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// maxMarks is how many combining marks one letter may have: no script needs more,
// and dozens of them paint over the lines above and below.
const maxMarks = 4

// judge judges one character after the other. The zero judge has seen a letter.
type judge struct {
	marks int // on the last letter
}

// newJudge has seen no letter that a mark could stand on.
func newJudge() judge { return judge{marks: maxMarks} }

// hides reports whether a terminal would not show the next character as it stands;
// size is how many bytes it is. What is spelled out in its place is a letter.
func (j *judge) hides(r rune, size int) bool {
	if r >= ' ' && r < 0x7f {
		j.marks = 0
		return false
	}
	marks := 0
	hidden := r == utf8.RuneError && size < len("\ufffd") || !unicode.IsPrint(r) ||
		unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
	if !hidden && unicode.In(r, unicode.Mn, unicode.Me) {
		marks = j.marks + 1
		hidden = marks > maxMarks
	}
	if j.marks = marks; hidden {
		j.marks = 0
	}
	return hidden
}

// breaks takes down a line break or a tab that is kept: no mark stands on one.
func (j *judge) breaks() { j.marks = maxMarks }

// Text is text on one line as a terminal may show it. It returns what it is given
// if there is nothing to spell out.
func Text(s string) string { return spell(s, false, appendGo) }

// Lines is Text, but for line breaks and tabs, which stay.
func Lines(s string) string { return spell(s, true, appendGo) }

// JSON is JSON text of the same value as a terminal may show it: what encoding/json
// leaves as it is can stand only within strings.
func JSON(text []byte) []byte {
	// Nothing is copied where there is nothing to escape.
	if j := newJudge(); !j.findsIn(text) {
		return text
	}
	return []byte(spell(string(text), true, appendJSON))
}

// findsIn reports whether there is a character to spell out, line breaks and tabs
// apart.
func (j *judge) findsIn(text []byte) bool {
	for i := 0; i < len(text); {
		r, size := rune(text[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRune(text[i:])
		}
		if r == '\n' || r == '\t' {
			j.breaks()
		} else if j.hides(r, size) {
			return true
		}
		i += size
	}
	return false
}

// spell writes each hidden character by the function, which is given its bytes.
func spell(s string, breaks bool, write func([]byte, rune, string) []byte) string {
	var out []byte
	j, done := newJudge(), 0
	for i := 0; i < len(s); {
		r, size := rune(s[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(s[i:])
		}
		switch {
		case breaks && (r == '\n' || r == '\t'):
			j.breaks()
		case j.hides(r, size):
			out = write(append(out, s[done:i]...), r, s[i:i+size])
			done = i + size
		}
		i += size
	}
	if out == nil {
		return s
	}
	return string(append(out, s[done:]...))
}

// appendGo spells a character out as Go does, and as a shell's $'…' reads it.
func appendGo(out []byte, r rune, text string) []byte {
	switch {
	case r == utf8.RuneError && len(text) == 1:
		return fmt.Appendf(out, `\x%02x`, text[0])
	case r < utf8.RuneSelf:
		return append(out, strings.Trim(strconv.QuoteRune(r), "'")...)
	}
	return appendYAML(out, r, text)
}

// appendYAML is good within double quotes of YAML.
func appendYAML(out []byte, r rune, _ string) []byte {
	if r > 0xffff {
		return fmt.Appendf(out, `\U%08x`, r)
	}
	return fmt.Appendf(out, `\u%04x`, r)
}

// appendJSON is good within strings of JSON.
func appendJSON(out []byte, r rune, _ string) []byte {
	for _, unit := range utf16.Encode([]rune{r}) {
		out = fmt.Appendf(out, `\u%04x`, unit)
	}
	return out
}
