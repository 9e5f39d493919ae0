package rollout

import (
	"strings"
	"unicode/utf8"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// What others wrote is cut to these numbers of characters before it is shown.
const (
	// longestReason is that of a workload's reason, and of a message about it:
	// what the API server takes for an Event's note.
	longestReason = 1024
	// longestQuote is that of one message within a reason.
	longestQuote = 300
	// longestName is that of a name: what the API server takes for most of them.
	longestName = 253
)

// sentence is a text of others' making on one line, printable, and cut to so many
// characters. It looks at no more of the text than that takes.
func sentence(text string, longest int) string {
	const widest = utf8.UTFMax * 2 // room for white space that is folded
	cut := len(text) > longest*widest
	if cut {
		text = text[:longest*widest]
	}
	text = report.Printable(oneLine(strings.ToValidUTF8(text, "\uFFFD")))
	if !cut && utf8.RuneCountInString(text) <= longest {
		return text
	}
	runes := []rune(text)
	return string(runes[:min(len(runes), longest-1)]) + "…"
}

// oneLine folds a message onto one line.
func oneLine(message string) string { return strings.Join(strings.Fields(message), " ") }
