package report

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
	"github.com/sidecar-drift/sidecar-drift/internal/printable"
)

// longestPath is the number of columns to which paths are padded at most.
const longestPath = 44

// writeDiff renders every change in full: see [Shown.WriteDiff]. What several workloads
// have is shown once, as the first of them has it.
func (r *Report) writeDiff(w io.Writer, o TextOptions) error {
	var b strings.Builder
	told := r.told()
	told.write(&b, o, func(at, _ int) []string { return r.example(told.all[at].ID, o) })
	for _, item := range r.Items {
		blocks := differing(item)
		if len(blocks) == 0 {
			continue
		}
		name := Printable(fmt.Sprintf("%s %s/%s", item.Kind, item.group(), item.Name))
		fmt.Fprintf(&b, "%s: %s\n", o.paint(bold, name), o.paint(stateStyle(item.State), Printable(string(item.State))))
		for _, revision := range blocks {
			o.writeRevision(&b, item, revision, told)
		}
		b.WriteByte('\n')
	}
	b.WriteString(r.summaryText(o))
	_, err := io.WriteString(w, b.String())
	return err
}

// example are the lines of a change in the first workload that has it.
func (r *Report) example(id string, o TextOptions) []string {
	for _, item := range r.Items {
		var of []verdict.Change
		for _, revision := range item.Revisions {
			for _, c := range revision.Changes {
				if c.ID == id && !slices.ContainsFunc(of, func(other verdict.Change) bool { return keyOf(other) == keyOf(c) }) {
					of = append(of, c)
				}
			}
		}
		if len(of) > 0 {
			var b strings.Builder
			fmt.Fprintf(&b, "as in %s\n", Printable(fmt.Sprintf("%s %s/%s", item.Kind, item.group(), item.Name)))
			o.writeChanges(&b, "  ", of)
			return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
		}
	}
	return nil
}

// WriteChanges renders the changes of one verdict, masked by m, as WriteDiff does.
func WriteChanges(w io.Writer, m *mask.Masker, changes []verdict.Change, o TextOptions) error {
	var b strings.Builder
	o.writeChanges(&b, "", change.Masked(m, changes))
	_, err := io.WriteString(w, b.String())
	return err
}

// differing are the revisions that there is something to say about.
func differing(item Item) []Revision {
	var found []Revision
	for _, revision := range item.Revisions {
		if len(revision.Changes) > 0 || revision.MoreChanges > 0 || revision.Reason != "" {
			found = append(found, revision)
		}
	}
	return found
}

func (o TextOptions) writeRevision(b *strings.Builder, item Item, revision Revision, told told) {
	title := count(revision.Pods, "Pod")
	if revision.Name != "" && revision.Name != item.Name {
		title = fmt.Sprintf("revision %s, %s", Printable(revision.Name), title)
	}
	if revision.Approximate {
		title += " (approximate)"
	}
	if revision.State != item.State {
		title += ": " + o.paint(stateStyle(revision.State), Printable(string(revision.State)))
	}
	fmt.Fprintf(b, "  %s\n", title)
	if revision.Reason != "" {
		width := 0
		if o.Width > narrowest {
			width = o.Width - len("    ")
		}
		for _, line := range wrap(sentence(revision.Reason), width, 0) {
			fmt.Fprintf(b, "    %s\n", line)
		}
	}
	named, own := told.split(revision.Changes)
	if named != "" {
		fmt.Fprintf(b, "    %s\n", o.paint(bold, named))
	}
	o.writeChanges(b, "    ", own)
	if revision.MoreChanges > 0 {
		fmt.Fprintf(b, "    and %s that the report leaves out\n", count(revision.MoreChanges, "more change"))
	}
}

func (o TextOptions) writeChanges(b *strings.Builder, indent string, changes []verdict.Change) {
	changes = change.Spelled(changes)
	for len(changes) > 0 {
		part := changes[0].Part
		end := slices.IndexFunc(changes, func(c verdict.Change) bool { return c.Part != part })
		if end < 0 {
			end = len(changes)
		}
		fmt.Fprintf(b, "%s%s%s\n", indent, o.paint(bold, Printable(part)), hasEnded(changes[:end]))
		o.writePart(b, indent+"  ", changes[:end])
		changes = changes[end:]
	}
}

// hasEnded says of changes of one part that they are all spent.
func hasEnded(changes []verdict.Change) string {
	if len(verdict.Unspent(changes)) > 0 {
		return ""
	}
	return " (has ended: nothing that runs depends on these)"
}

func (o TextOptions) writePart(b *strings.Builder, indent string, changes []verdict.Change) {
	width := 0
	for _, c := range changes {
		if !change.IsComposite(c.From) && !change.IsComposite(c.To) {
			width = max(width, min(cells(Printable(c.Path)), longestPath))
		}
	}
	for _, c := range changes {
		if c.Unstable {
			fmt.Fprintf(b, "%s%s\n", indent, o.paint(yellow, strings.TrimSpace("~ "+Printable(c.Path))+": varies from one injection to the next"))
			continue
		}
		if c.Path == change.BecomesNative && c.From == nil && c.To == nil {
			fmt.Fprintf(b, "%s%s\n", indent, o.paint(yellow, "~ "+change.BecomesNative))
		}
		for _, text := range sideLines(c.Path, c.From, width) {
			fmt.Fprintf(b, "%s%s\n", indent, o.paint(red, "- "+text))
		}
		for _, text := range sideLines(c.Path, c.To, width) {
			fmt.Fprintf(b, "%s%s\n", indent, o.paint(green, "+ "+text))
		}
	}
}

// sideLines are a value behind its path, or below it as YAML where it is an
// object or a list. A side that has no value has no line.
func sideLines(path string, value json.RawMessage, width int) []string {
	path = Printable(path)
	switch {
	case value == nil:
		return nil
	case change.IsComposite(value) && path == "":
		return yamlLines(value)
	case change.IsComposite(value):
		lines := []string{path + ":"}
		for _, text := range yamlLines(value) {
			lines = append(lines, "  "+text)
		}
		return lines
	case path == "":
		return []string{change.DisplayValue(value)}
	}
	return []string{path + ": " + strings.Repeat(" ", max(0, width-cells(path))) + change.DisplayValue(value)}
}

// yamlLines is a composite value as YAML, and as it stands if it is no JSON.
func yamlLines(value json.RawMessage) []string {
	text, err := printable.YAML(value)
	if err != nil {
		return []string{Printable(string(value))}
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	for i := range lines {
		lines[i] = Printable(lines[i])
	}
	return lines
}
