package doctor

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// narrowest is the least width of the last column: where a terminal has less
// left, lines are left to wrap.
const narrowest = 30

// Write renders the report as a table for people, or as JSON.
func (r *Report) Write(w io.Writer, format report.Format, o report.TextOptions) error {
	if format != report.Table {
		return report.Marshal(w, format, r)
	}
	_, err := io.WriteString(w, r.text(o))
	return err
}

func (r *Report) text(o report.TextOptions) string {
	var b strings.Builder
	checks, states := len("CHECK"), len("STATE")
	for _, finding := range r.Items {
		checks, states = max(checks, len(finding.Check)), max(states, len(finding.State))
	}
	indent := checks + states + 4
	left := 0
	if o.Width-indent >= narrowest {
		left = o.Width - indent
	}
	header := fmt.Sprintf("%-*s  %-*s  %s", checks, "CHECK", states, "STATE", "FINDING")
	b.WriteString(paint(o, bold, header) + "\n")
	for _, finding := range r.Items {
		fmt.Fprintf(&b, "%-*s  ", checks, finding.Check)
		b.WriteString(paint(o, styleOf(finding.State), string(finding.State)))
		b.WriteString(strings.Repeat(" ", states-len(finding.State)+2))
		lines := wrap(sentence(finding.Subject+": "+finding.Message), left)
		if finding.Remedy != "" {
			// Not wrapped: it may hold a command to copy.
			lines = append(lines, "→ "+sentence(finding.Remedy))
		}
		b.WriteString(strings.Join(lines, "\n"+strings.Repeat(" ", indent)) + "\n")
	}
	b.WriteString("\n")
	if r.Cluster != nil {
		b.WriteString("Cluster " + strings.TrimPrefix(r.Cluster.String(), "cluster ") + ": " + r.summary() + "\n")
		return b.String()
	}
	return b.String() + r.summary() + "\n"
}

// summary counts the findings by state.
func (r *Report) summary() string {
	var counts []string
	for _, state := range States() {
		if n := r.Summary[state]; n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, state))
		}
	}
	text := strings.Join(counts, ", ")
	switch wrong, unknown := r.Summary[Wrong], r.Summary[NotChecked]; {
	case wrong > 0:
		return text
	case unknown > 0:
		return text + ": nothing of what was checked is wrong"
	}
	return text + ": nothing is wrong"
}

// style is an ANSI "select graphic rendition" code.
type style string

const bold style = "1"

func styleOf(state State) style {
	switch state {
	case Wrong:
		return "1;31" // bold red
	case Warning:
		return "33" // yellow
	case NotChecked:
		return "36" // cyan
	}
	return "32" // green
}

func paint(o report.TextOptions, s style, text string) string {
	if !o.Colour {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// sentence is printable text on one line: an API server's message may hold line
// breaks.
func sentence(s string) string { return report.Printable(strings.Join(strings.Fields(s), " ")) }

// wrap breaks text at spaces into lines of the width; 0 sets no limit. A longer
// word has a line of its own.
func wrap(text string, width int) []string {
	if width == 0 {
		return []string{text}
	}
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
