package report

import (
	"fmt"
	"html"
	"io"
	"slices"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// Markdown is a comment for a pull request.
const Markdown Format = "markdown"

const (
	// markdownLimit is the number of characters that a comment on GitHub holds;
	// bytes are counted, which are no fewer.
	markdownLimit = 65536
	// markdownHead, markdownTable and markdownBody are the bytes that the
	// summary, the table and one workload's changes may take.
	markdownHead  = 8000
	markdownTable = 32000
	markdownBody  = 8000
	// markdownLine is the number of columns of a line of the summary.
	markdownLine = 2000
	// markdownCell is the number of columns of a table's cell.
	markdownCell = 300
	// markdownReserve is kept for the line about what is left out.
	markdownReserve = 500
)

var (
	// markdownText makes text of what would be markup. A zero-width space keeps
	// @team from being notified and #1 from being linked, an entity keeps an
	// address from being one.
	markdownText = strings.NewReplacer(
		"&", "&amp;", "<", "&lt;", ">", "&gt;",
		`\`, `\\`, "`", "\\`", "|", `\|`, "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "~", `\~`,
		"@", "@&#8203;", "#", "#&#8203;", "://", "&#58;//", "www.", "www&#46;",
	)
	// markdownQuiet does what of this HTML's own escapes do not.
	markdownQuiet = strings.NewReplacer("@", "@&#8203;", "#", "#&#8203;")
)

// writeMarkdown writes a comment for a pull request: the summary, the table, and
// the changes of each workload, folded. What does not fit into a comment is left
// out from the end, and counted.
func (r *Report) writeMarkdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("### " + r.markdownTitle() + "\n\n")
	for line := range strings.Lines(r.summaryText(TextOptions{})) {
		if line = markdownText.Replace(truncate(strings.TrimSpace(line), markdownLine)); b.Len()+len(line) <= markdownHead {
			b.WriteString(line + "\n\n")
		}
	}
	clustered, told := r.clustered(), r.told()
	b.WriteString(r.foreseenMarkdown())
	b.WriteString(told.markdown())
	table, rows := fitting(r.Items, markdownTable, func(item Item) string { return markdownRow(item, told, clustered) })
	if rows > 0 {
		header := "| Namespace | Kind | Name | State | Pods | Changes |\n|---|---|---|---|---:|---|\n"
		if clustered {
			header = "| Cluster | Namespace | Kind | Name | State | Pods | Changes |\n|---|---|---|---|---|---:|---|\n"
		}
		b.WriteString(header + table + "\n")
	}
	detailed := slices.DeleteFunc(slices.Clone(r.Items), func(item Item) bool { return len(differing(item)) == 0 })
	details, shown := fitting(detailed, markdownLimit-markdownReserve-b.Len(), markdownDetails)
	b.WriteString(details)
	var left []string
	if n := len(r.Items) - rows; n > 0 {
		left = append(left, count(n, "workload")+" of the table")
	}
	if n := len(detailed) - shown; n > 0 {
		left = append(left, "the changes of "+count(n, "workload"))
	}
	if len(left) > 0 {
		fmt.Fprintf(&b, "**Left out, as a comment holds %d characters:** %s. `-o json` has them all.\n", markdownLimit, strings.Join(left, ", "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// fitting renders as many items as fit into limit bytes, and returns how many
// these are.
func fitting(items []Item, limit int, render func(Item) string) (string, int) {
	var b strings.Builder
	for i, item := range items {
		text := render(item)
		if b.Len()+len(text) > limit {
			return b.String(), i
		}
		b.WriteString(text)
	}
	return b.String(), len(items)
}

// markdown is a table of the changes that several workloads have.
func (t told) markdown() string {
	if len(t.listed) == 0 {
		return ""
	}
	var b strings.Builder
	title, rule := "", ""
	explained := slices.ContainsFunc(t.listed, func(at int) bool { return t.all[at].By != "" })
	if explained {
		title, rule = " By |", "---|"
	}
	b.WriteString("| | Change | Workloads | Pods | Namespaces | Risk | ID |" + title + "\n|---|---|---:|---:|---:|---|---|" + rule + "\n")
	for _, at := range t.listed {
		c := t.all[at]
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %s | `%s` |", markdownField(fmt.Sprintf("#%d", at+1)), markdownField(c.Summary),
			c.Workloads, c.Pods, c.Namespaces, c.Risk, c.ID)
		if explained {
			b.WriteString(" " + markdownField(sentence(c.By)) + " |")
		}
		b.WriteByte('\n')
	}
	if t.more > 0 {
		fmt.Fprintf(&b, "\nand %s of several workloads\n", count(t.more, "more change"))
	}
	return b.String() + "\n"
}

func markdownRow(item Item, told told, clustered bool) string {
	state := markdownField(string(item.State))
	if item.Alarming() {
		state = "**" + state + "**"
	}
	if approximate(item) {
		state += " (approximate)"
	}
	row := []string{
		markdownField(item.Namespace), markdownField(item.Kind), markdownField(item.Name), state, podsOf(item),
		markdownField(strings.Join(details(item, told, 0), " ")),
	}
	if clustered {
		row = append([]string{markdownField(item.Cluster)}, row...)
	}
	return "| " + strings.Join(row, " | ") + " |\n"
}

// markdownField is text in a table's cell.
func markdownField(text string) string {
	return markdownText.Replace(truncate(Printable(text), markdownCell))
}

// markdownDetails folds what changed in one workload. Fences are longer than any
// run of backticks between them.
func markdownDetails(item Item) string {
	body := excerpt(item, markdownBody)
	fence := "```"
	for strings.Contains(body, fence) {
		fence += "`"
	}
	title := fmt.Sprintf("%s %s/%s: %s", item.Kind, item.group(), item.Name, item.State)
	title = markdownQuiet.Replace(html.EscapeString(truncate(Printable(title), markdownCell)))
	language := "diff"
	if item.State == verdict.Blocked || item.State == verdict.Unknown {
		language = "text"
	}
	return fmt.Sprintf("<details><summary>%s</summary>\n\n%s%s\n%s%s\n\n</details>\n\n", title, fence, language, body, fence)
}
