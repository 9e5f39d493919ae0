package printable

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// Width is the number of columns that printable text takes on a terminal: two for each wide
// character of East Asia, none for a mark on a letter, and none for the sequences that colour
// it.
func Width(s string) int {
	columns := 0
	for i := 0; i < len(s); {
		if rest := s[i:]; strings.HasPrefix(rest, "\x1b[") {
			i += max(strings.IndexByte(rest, 'm'), 1) + 1
			continue
		}
		r, size := rune(s[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(s[i:])
		}
		columns += columnsOf(r)
		i += size
	}
	return columns
}

func columnsOf(r rune) int {
	switch {
	case r < utf8.RuneSelf:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// ellipsis stands for what is left out.
const ellipsis = "…"

// Cut shortens text to a number of columns at its end; 0 sets no limit.
func Cut(s string, columns int) string {
	if columns <= 0 || Width(s) <= columns {
		return s
	}
	return strings.TrimRight(s[:fitting(s, columns-1)], " ") + ellipsis
}

// CutBytes shortens a text to so many bytes, three or more, and does not halve a character.
func CutBytes(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most-len(ellipsis)], "") + ellipsis
}

// CutMiddle shortens text to a number of columns in its middle, so that a name keeps its
// beginning and its end, which tell it from others; 0 sets no limit.
func CutMiddle(s string, columns int) string {
	if columns <= 0 || Width(s) <= columns {
		return s
	}
	end := (columns - 1) / 2
	head := s[:fitting(s, columns-1-end)]
	tail, taken := len(s), 0
	for tail > len(head) {
		r, size := utf8.DecodeLastRuneInString(s[:tail])
		if taken += columnsOf(r); taken > end {
			break
		}
		tail -= size
	}
	for tail < len(s) { // a mark whose letter is left out
		r, size := utf8.DecodeRuneInString(s[tail:])
		if columnsOf(r) > 0 {
			break
		}
		tail += size
	}
	return head + ellipsis + s[tail:]
}

// fitting is how many bytes of the text take at most a number of columns.
func fitting(s string, columns int) int {
	taken := 0
	for i, r := range s {
		if taken += columnsOf(r); taken > columns {
			return i
		}
	}
	return len(s)
}
