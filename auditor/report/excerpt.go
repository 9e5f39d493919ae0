package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// longestLine is the number of columns to which an excerpt cuts a line.
const longestLine = 400

// headline says in at most width columns which state a workload is in, and why.
func headline(item Item, width int) string {
	text := Printable(string(item.State))
	if approximate(item) {
		text += " (approximate)"
	}
	changes, more, reason := worstOf(item)
	room := max(width-cells(text)-len(": "), narrowest)
	detail := truncate(reason, room)
	if len(changes) > 0 && (reason == "" || !reasonFirst(item.State)) {
		detail = summarizeChanges(changes, more, 0, room)
	}
	if detail == "" {
		return text
	}
	return text + ": " + detail
}

// excerpt is what WriteDiff says of a workload, each line at the margin, in at
// most limit bytes; a last line counts those that are left out.
func excerpt(item Item, limit int) string {
	var text strings.Builder
	for _, revision := range differing(item) {
		TextOptions{}.writeRevision(&text, item, revision, told{})
	}
	if text.Len() == 0 {
		return ""
	}
	lines := strings.Split(strings.TrimRight(text.String(), "\n"), "\n")
	const reserve = len("… 1000000 more lines\n")
	var b strings.Builder
	for i, line := range lines {
		line = truncate(strings.TrimLeft(line, " "), longestLine)
		if b.Len()+len(line)+reserve > limit {
			fmt.Fprintf(&b, "… %s\n", count(len(lines)-i, "more line"))
			break
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// Alarming reports whether "audit --exit-code" fails on the workload.
func (item Item) Alarming() bool {
	return item.State.Drift() || item.State == verdict.Blocked
}

// approximate reports whether a revision in the workload's own state was judged
// approximately.
func approximate(item Item) bool {
	return slices.ContainsFunc(item.Revisions, func(r Revision) bool { return r.State == item.State && r.Approximate })
}

// group is where a workload is: its namespace, behind its cluster's name where
// the report has several.
func (item Item) group() string {
	if item.Cluster != "" {
		return Printable(item.Cluster + "/" + item.Namespace)
	}
	return Printable(item.Namespace)
}
