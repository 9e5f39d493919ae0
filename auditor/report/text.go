package report

import (
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/printable"
)

// style is an ANSI "select graphic rendition" code.
type style string

const (
	plain  style = ""
	bold   style = "1"
	dim    style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
	purple style = "35"
	cyan   style = "36"
	alarm  style = "1;31"
)

// end is the style in which text is as it was before.
const end style = "0"

// sequence is what puts a terminal into the style.
func (s style) sequence() string { return "\x1b[" + string(s) + "m" }

// Sequences are all that colours a rendering.
func Sequences() []string {
	var all []string
	for _, s := range []style{bold, dim, red, green, yellow, purple, cyan, alarm, end} {
		all = append(all, s.sequence())
	}
	return all
}

func (o TextOptions) paint(s style, text string) string {
	text = Printable(text)
	if !o.Colour || s == plain || text == "" {
		return text
	}
	return s.sequence() + text + end.sequence()
}

func stateStyle(state verdict.State) style {
	switch state {
	case verdict.Blocked:
		return alarm
	case verdict.Drifted, verdict.Missing, verdict.Orphaned:
		return yellow
	case verdict.Modified, verdict.Unstable:
		return purple
	case verdict.Unknown:
		return cyan
	case verdict.InSync:
		return green
	case verdict.Mutated, verdict.NotInjected:
		return dim
	}
	return plain
}

func resultStyle(result Result) style {
	switch result {
	case RolledOut, Resized:
		return green
	case Failed, NotConverging, Reverted, Interrupted:
		return alarm
	case Skipped:
		return cyan
	}
	return plain
}

// PaintResult returns the result in its colour, where colours are allowed.
func (o TextOptions) PaintResult(result Result) string {
	return o.paint(resultStyle(result), string(result))
}

// PaintState returns the state in its colour, where colours are allowed.
func (o TextOptions) PaintState(state verdict.State) string {
	return o.paint(stateStyle(state), Printable(string(state)))
}

// PaintDiff returns a line of a unified diff in its colour, where colours are
// allowed.
func (o TextOptions) PaintDiff(line string) string {
	switch {
	case strings.HasPrefix(line, "+++"), strings.HasPrefix(line, "---"):
		return o.paint(bold, line)
	case strings.HasPrefix(line, "@@"):
		return o.paint(cyan, line)
	case strings.HasPrefix(line, "+"):
		return o.paint(green, line)
	case strings.HasPrefix(line, "-"):
		return o.paint(red, line)
	}
	return line
}

// Printable escapes what a terminal would not show as it stands. Names,
// values and messages come from whoever may create a Pod: an escape sequence
// in one must not reach the terminal.
func Printable(s string) string { return printable.Text(s) }

// sentence is printable text on one line: an API server's message may hold
// line breaks.
func sentence(s string) string {
	return Printable(strings.Join(strings.Fields(s), " "))
}

// cells is the number of columns that printable text takes; the sequences that
// colour it take none.
func cells(s string) int { return printable.Width(s) }

// truncate shortens text to the given number of columns.
func truncate(s string, width int) string { return printable.Cut(s, width) }

// wrap breaks text at spaces into at most limit lines (0: as many as it takes)
// of the given width; the last line is cut if something is left over.
func wrap(s string, width, limit int) []string {
	if width <= 0 || cells(s) <= width {
		return []string{s}
	}
	var lines []string
	line := ""
	words := strings.Fields(s)
	for i, word := range words {
		switch {
		case line == "":
			line = word
		case cells(line)+1+cells(word) <= width:
			line += " " + word
		case limit > 0 && len(lines) == limit-1:
			rest := line + " " + strings.Join(words[i:], " ")
			return append(lines, truncate(rest, width))
		default:
			lines = append(lines, truncate(line, width))
			line = word
		}
	}
	return append(lines, truncate(line, width))
}
