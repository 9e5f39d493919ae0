package report

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

const (
	// tableChanges is how many changes a line of the table spells out.
	tableChanges = 3
	// reasonLines is how many lines of a narrow terminal a reason may take.
	reasonLines = 3
	// narrowest is the least width of the last column: where a terminal has
	// less left, lines are left to wrap.
	narrowest = 20
	// longestCell is the number of columns of a cell: nobody's name shall make
	// everybody's lines long.
	longestCell = 64
)

// A grid is lines of cells; all columns but the last are padded to their
// widest cell, and to longestCell at most.
type grid struct {
	titles []string
	rows   []row
	// whole: longer cells are not cut, and push the rest of their own line.
	whole bool
}

type row struct {
	cells []string
	// styled gives a colour to the cell of that index.
	styled map[int]style
	// details render the last column for the width that is left for it (0:
	// no limit), one string a line.
	details func(width int) []string
}

func (r *Report) writeTable(w io.Writer, o TextOptions) error {
	if r.Kind == RolloutReport {
		return r.writeRolloutTable(w, o)
	}
	g := grid{titles: []string{"NAMESPACE", "KIND", "NAME", "STATE", "PODS", "CHANGES"}}
	for _, item := range r.Items {
		g.rows = append(g.rows, row{
			cells:   []string{item.Namespace, item.Kind, item.Name, string(item.State), podsOf(item)},
			styled:  map[int]style{3: stateStyle(item.State)},
			details: func(width int) []string { return details(item, width) },
		})
	}
	return r.writeGrid(w, r.withClusters(g), o)
}

func (r *Report) writeWide(w io.Writer, o TextOptions) error {
	g := grid{titles: []string{"NAMESPACE", "KIND", "NAME", "STATE", "PODS", "REVISIONS", "SIDECARS", "ELIGIBLE", "CHANGES"}, whole: true}
	for _, item := range r.Items {
		g.rows = append(g.rows, row{
			cells: []string{
				item.Namespace, item.Kind, item.Name, string(item.State), podsOf(item),
				orDash(revisionNames(item)), orDash(sidecarNames(item)), eligibility(item),
			},
			styled:  map[int]style{3: stateStyle(item.State)},
			details: func(int) []string { return []string{everyDetail(item)} },
		})
	}
	return r.writeGrid(w, r.withClusters(g), TextOptions{Colour: o.Colour})
}

func (r *Report) writeRolloutTable(w io.Writer, o TextOptions) error {
	g := grid{titles: []string{"NAMESPACE", "KIND", "NAME", "STATE", "PODS", "RESULT", "DETAILS"}}
	inWaves := slices.ContainsFunc(r.Items, func(item Item) bool { return item.Rollout.Wave != "" })
	if inWaves {
		g.titles = slices.Insert(g.titles, len(g.titles)-1, "WAVE")
	}
	for _, item := range r.Items {
		g.rows = append(g.rows, row{
			cells: []string{
				item.Namespace, item.Kind, item.Name, string(item.State), podsOf(item),
				orDash(string(item.Rollout.Result)),
			},
			styled: map[int]style{3: stateStyle(item.State), 5: resultStyle(item.Rollout.Result)},
			details: func(width int) []string {
				if item.Rollout.Reason != "" && item.Rollout.Result == Planned {
					return append(wrap(sentence(item.Rollout.Reason), width, reasonLines), details(item, width)...)
				}
				if item.Rollout.Reason != "" {
					return wrap(sentence(item.Rollout.Reason), width, reasonLines)
				}
				if item.Rollout.Result.Success() {
					return []string{took([]Item{item})}
				}
				return details(item, width)
			},
		})
		if inWaves {
			last := &g.rows[len(g.rows)-1]
			last.cells = append(last.cells, orDash(item.Rollout.Wave))
		}
	}
	return r.writeGrid(w, g, o)
}

// writeGrid writes the table, or nothing where it has no rows, and the
// summary.
func (r *Report) writeGrid(w io.Writer, g grid, o TextOptions) error {
	var b strings.Builder
	if len(g.rows) > 0 {
		g.write(&b, o)
		b.WriteByte('\n')
	}
	b.WriteString(r.summaryText(o))
	_, err := io.WriteString(w, b.String())
	return err
}

func (g grid) write(b *strings.Builder, o TextOptions) {
	last := len(g.titles) - 1
	widths := make([]int, last)
	for i := range widths {
		widths[i] = len(g.titles[i])
		for _, row := range g.rows {
			row.cells[i] = Printable(row.cells[i])
			if !g.whole {
				row.cells[i] = truncate(row.cells[i], longestCell)
			}
			widths[i] = max(widths[i], min(cells(row.cells[i]), longestCell))
		}
	}
	indent := 0
	for _, width := range widths {
		indent += width + len("  ")
	}
	left := 0
	if o.Width > 0 && o.Width-indent >= narrowest {
		left = o.Width - indent
	}
	for i, title := range g.titles[:last] {
		b.WriteString(o.paint(bold, title))
		b.WriteString(strings.Repeat(" ", widths[i]-len(title)+2))
	}
	b.WriteString(o.paint(bold, g.titles[last]))
	b.WriteByte('\n')
	for _, row := range g.rows {
		var line strings.Builder
		for i, cell := range row.cells {
			line.WriteString(o.paint(row.styled[i], cell))
			line.WriteString(strings.Repeat(" ", max(0, widths[i]-cells(cell))+2))
		}
		for i, detail := range row.details(left) {
			if i > 0 {
				line.WriteString(strings.Repeat(" ", indent))
			}
			line.WriteString(detail)
			b.WriteString(strings.TrimRight(line.String(), " "))
			b.WriteByte('\n')
			line.Reset()
		}
	}
}

// podsOf is the number of Pods, or "3/4" where only three of four are in the
// workload's own state.
func podsOf(item Item) string {
	all, worst := total(item.Pods), item.Pods[item.State]
	if worst == all || worst == 0 {
		return strconv.Itoa(all)
	}
	return fmt.Sprintf("%d/%d", worst, all)
}

// details is what the table says of a workload beside its state. It is never
// empty, so that each row has a line.
func details(item Item, width int) []string {
	changes, more, reason := worstOf(item)
	if reasonFirst(item.State) && reason != "" || len(changes) == 0 {
		return wrap(reason, width, reasonLines)
	}
	return []string{summarizeChanges(changes, more, tableChanges, width)}
}

func everyDetail(item Item) string {
	changes, more, reason := worstOf(item)
	texts := []string{summarizeChanges(changes, more, 0, 0), reason}
	if reasonFirst(item.State) {
		slices.Reverse(texts)
	}
	texts = append(texts, notCounted(item)...)
	return strings.Join(slices.DeleteFunc(texts, func(s string) bool { return s == "" }), "; ")
}

// reasonFirst holds for the states of which the reason says more than any
// change.
func reasonFirst(state verdict.State) bool {
	return state == verdict.Blocked || state == verdict.Unknown || state == verdict.Unstable
}

const (
	// manyChanges is how many changes of a workload are looked at, and manyReasons
	// how many reasons.
	manyChanges = 200
	manyReasons = 3
	// manyNames is how many names a cell lists.
	manyNames = 10
)

// worstOf gathers the changes and reasons of the revisions in the workload's
// own state, each once. More is how many changes there are besides.
func worstOf(item Item) (changes []verdict.Change, more int, reason string) {
	seen := map[changeKey]bool{}
	var reasons []string
	for _, revision := range item.Revisions {
		if revision.State != item.State {
			continue
		}
		more += revision.MoreChanges
		for _, c := range revision.Changes {
			key := keyOf(c)
			switch {
			case seen[key]:
			case len(seen) == manyChanges:
				more++
			default:
				seen[key] = true
				changes = append(changes, c)
			}
		}
		if text := sentence(revision.Reason); text != "" && !slices.Contains(reasons, text) && len(reasons) <= manyReasons {
			reasons = append(reasons, text)
		}
	}
	if len(reasons) > manyReasons {
		reasons[manyReasons] = "and others"
	}
	return changes, more, strings.Join(reasons, "; ")
}

func revisionNames(item Item) string {
	names := make([]string, 0, len(item.Revisions))
	for _, revision := range item.Revisions {
		name := revision.Name
		if revision.Approximate {
			name = strings.TrimSpace(name + " (approximate)")
		}
		names = append(names, name)
	}
	return list(names)
}

// list joins names, as many as a cell lists.
func list(names []string) string {
	if more := len(names) - manyNames; more > 0 {
		names = append(slices.Clone(names[:manyNames]), fmt.Sprintf("+%d more", more))
	}
	return strings.Join(names, ",")
}

func sidecarNames(item Item) string {
	var names []string
	for _, revision := range item.Revisions {
		names = append(names, revision.Sidecars...)
	}
	if item.Sidecarless() {
		return "(no container)"
	}
	slices.Sort(names)
	return list(slices.Compact(names))
}

// eligibility says whether a rollout would take the workload.
func eligibility(item Item) string {
	if item.Rollout.Eligible {
		return "yes"
	}
	return "no"
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
