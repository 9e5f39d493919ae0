package report

import (
	"fmt"
	"slices"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// longestPlace is the number of columns of a place in a summary.
const longestPlace = 120

// changeKey tells changes apart. Paths hold keys of anybody's making, so that no
// text of several parts would.
type changeKey struct {
	part, path, from, to string
	unstable             bool
}

func keyOf(c verdict.Change) changeKey {
	return changeKey{c.Part, c.Path, string(c.From), string(c.To), c.Unstable}
}

// summarizeChanges says in one line what changed: containers before the rest
// of the Pod, images first. At most limit changes are spelled out (0: all),
// and as many as fit into width columns (0: no limit), but always one; the
// rest are counted, and so are those that there are more than changes.
func summarizeChanges(changes []verdict.Change, more, limit, width int) string {
	changes = change.Spelled(changes)
	slices.SortStableFunc(changes, change.UnstableLast)

	summary, text, shown := "", "", 0
	for i := range changes {
		if limit > 0 && i == limit {
			break
		}
		text += joint(changes, i) + change.Describe(changes[i])
		candidate := text
		if rest := len(changes) - i - 1 + more; rest > 0 {
			candidate += fmt.Sprintf(" (+%d more)", rest)
		}
		if i > 0 && width > 0 && cells(candidate) > width {
			continue // fewer left over may make a later one fit
		}
		summary, shown = candidate, i+1
	}
	if shown == 1 && width > 0 && cells(summary) > width {
		rest := ""
		if n := len(changes) - 1 + more; n > 0 {
			rest = fmt.Sprintf(" (+%d more)", n)
		}
		head := joint(changes, 0) + change.Describe(changes[0])
		if room := width - cells(rest); room > 0 {
			return truncate(head, room) + rest
		}
		return truncate(head, width)
	}
	return summary
}

// joint is what stands before change i: its part where it is another one than
// the change before it has.
func joint(changes []verdict.Change, i int) string {
	c := changes[i]
	separator := ""
	if i > 0 {
		separator = ", "
		if c.Part == changes[i-1].Part && c.Path != "" {
			return separator
		}
		if changes[i-1].Path != "" || c.Path != "" {
			separator = "; "
		}
	}
	if c.Path == "" {
		return separator + change.PartName(c.Part) + " "
	}
	return separator + change.PartName(c.Part) + ": "
}
