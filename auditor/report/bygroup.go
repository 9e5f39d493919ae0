package report

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// GroupBy is by what workloads are grouped in a table.
type GroupBy string

// What they may be grouped by, besides a label.
const (
	ByWorkload  GroupBy = "workload" // a row each
	ByChange    GroupBy = "change"   // those that differ in it
	ByNamespace GroupBy = "namespace"
	// ByLabel has the label's key behind it.
	ByLabel = "label="
)

// Label is the key of the label that is grouped by; empty for none.
func (g GroupBy) Label() string {
	key, _ := strings.CutPrefix(string(g), ByLabel)
	if key == string(g) {
		return ""
	}
	return key
}

const (
	// mostBelow is how many namespaces are listed below a change.
	mostBelow = 20
	// statesWidth is the number of columns from which on groups have a column of states.
	statesWidth = 80
)

func (r *Report) writeGrouped(w io.Writer, o TextOptions) error {
	if o.GroupBy == ByChange {
		return r.writeByChange(w, o)
	}
	title, of := "NAMESPACE", Item.group
	if key := o.GroupBy.Label(); key != "" {
		title, of = labelTitle(key), func(item Item) string { return item.Labels[key] }
	}
	g := grid{titles: []string{title, "WORKLOADS", "PODS", "DRIFT", "STATES", "CHANGES"}, named: 1}
	told := r.told()
	groups := map[string][]Item{}
	for _, item := range r.Items {
		groups[of(item)] = append(groups[of(item)], item)
	}
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		items := groups[name]
		s := summarise(items, 0)
		g.rows = append(g.rows, row{
			cells:   []string{orDash(name), strconv.Itoa(len(items)), strconv.Itoa(total(s.Pods)), s.percent(), TextOptions{}.byState(s.Workloads)},
			details: func(width int) []string { return wrap(told.changesOf(items), width, reasonLines) },
		})
	}
	if o.Width > 0 && o.Width < statesWidth {
		last := len(g.titles) - 1
		g.titles = slices.Delete(g.titles, last-1, last)
		for i := range g.rows {
			g.rows[i].cells = g.rows[i].cells[:last-1]
		}
	}
	return r.writeGrid(w, g, o)
}

// changesOf names the changes of several workloads, and how many each has alone.
func (t told) changesOf(items []Item) string {
	var changes []verdict.Change
	own := map[string]bool{}
	for _, item := range items {
		for _, revision := range item.Revisions {
			changes = append(changes, revision.Changes...)
		}
	}
	named, rest := t.split(changes)
	for _, c := range rest {
		if c.ID != "" {
			own[c.ID] = true
		}
	}
	switch {
	case len(own) == 0:
		return named
	case named == "":
		return count(len(own), "change") + " of their own"
	}
	return fmt.Sprintf("%s and %d of their own", named, len(own))
}

// writeByChange writes each change and who differs in it, and the summary.
func (r *Report) writeByChange(w io.Writer, o TextOptions) error {
	var b strings.Builder
	index := r.index()
	having := make([][]Item, len(r.Changes))
	for _, item := range r.Items {
		for _, at := range item.changesOf(index) {
			having[at] = append(having[at], item)
		}
	}
	r.tell(1, math.MaxInt).write(&b, o, func(at, width int) []string { return who(having[at], width) })
	b.WriteString(r.summaryText(o))
	_, err := io.WriteString(w, b.String())
	return err
}

// who lists workloads, a line a namespace.
func who(items []Item, width int) []string {
	byNamespace := map[string]map[string][]string{}
	for _, item := range items {
		kinds := byNamespace[item.group()]
		if kinds == nil {
			kinds = map[string][]string{}
			byNamespace[item.group()] = kinds
		}
		kinds[item.Kind] = append(kinds[item.Kind], Printable(item.Name))
	}
	var lines []string
	for i, namespace := range slices.Sorted(maps.Keys(byNamespace)) {
		if i == mostBelow {
			return append(lines, fmt.Sprintf("and %s", count(len(byNamespace)-i, "more namespace")))
		}
		var kinds []string
		for _, kind := range slices.Sorted(maps.Keys(byNamespace[namespace])) {
			names := byNamespace[namespace][kind]
			slices.Sort(names)
			kinds = append(kinds, Printable(kind)+" "+strings.ReplaceAll(list(names), ",", ", "))
		}
		lines = append(lines, wrap(namespace+": "+strings.Join(kinds, "; "), width, 0)...)
	}
	return lines
}

// labelTitle is a label's column, as kubectl has it.
func labelTitle(key string) string {
	return strings.ToUpper(key[strings.LastIndexByte(key, '/')+1:])
}

// withLabels puts a column a label before the last one.
func (r *Report) withLabels(g grid, labels []string) grid {
	last := len(g.titles) - 1
	for i, key := range labels {
		g.titles = slices.Insert(g.titles, last+i, labelTitle(key))
		for n := range g.rows {
			g.rows[n].cells = append(g.rows[n].cells, orDash(r.Items[n].Labels[key]))
		}
	}
	return g
}
