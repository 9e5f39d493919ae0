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
)

func (r *Report) writeTable(w io.Writer, o TextOptions) error {
	if r.Kind == RolloutReport {
		return r.writeRolloutTable(w, o)
	}
	g, told := grid{titles: []string{"NAMESPACE", "KIND", "NAME", "STATE", "PODS", "CHANGES"}, named: 3}, r.told()
	for _, item := range r.Items {
		g.rows = append(g.rows, row{
			cells:   []string{item.Namespace, item.Kind, item.Name, string(item.State), podsOf(item)},
			styled:  map[int]style{3: stateStyle(item.State)},
			details: func(width int) []string { return details(item, told, width) },
		})
	}
	return r.writeGrid(w, r.withClusters(r.withLabels(g, o.Labels)), o)
}

func (r *Report) writeWide(w io.Writer, o TextOptions) error {
	g := grid{titles: []string{"NAMESPACE", "KIND", "NAME", "STATE", "PODS", "REVISIONS", "SIDECARS", "ELIGIBLE", "CHANGES"}, whole: true}
	told := r.told()
	for _, item := range r.Items {
		g.rows = append(g.rows, row{
			cells: []string{
				item.Namespace, item.Kind, item.Name, string(item.State), podsOf(item),
				orDash(revisionNames(item)), orDash(sidecarNames(item)), eligibility(item),
			},
			styled:  map[int]style{3: stateStyle(item.State)},
			details: func(int) []string { return []string{everyDetail(item, told)} },
		})
	}
	return r.writeGrid(w, r.withClusters(r.withLabels(g, o.Labels)), TextOptions{Colour: o.Colour})
}

func (r *Report) writeRolloutTable(w io.Writer, o TextOptions) error {
	g := grid{titles: []string{"NAMESPACE", "KIND", "NAME", "STATE", "PODS", "RESULT", "DETAILS"}, named: 3}
	told := r.told()
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
					return append(wrap(sentence(item.Rollout.Reason), width, reasonLines), details(item, told, width)...)
				}
				if item.Rollout.Reason != "" {
					return wrap(sentence(item.Rollout.Reason), width, reasonLines)
				}
				if item.Rollout.Result.Success() {
					return []string{took([]Item{item})}
				}
				return details(item, told, width)
			},
		})
		if inWaves {
			last := &g.rows[len(g.rows)-1]
			last.cells = append(last.cells, orDash(item.Rollout.Wave))
		}
	}
	return r.writeGrid(w, g, o)
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
func details(item Item, told told, width int) []string {
	changes, more, reason := worstOf(item)
	if reasonFirst(item.State) && reason != "" || len(changes) == 0 {
		return wrap(reason, width, reasonLines)
	}
	named, own := told.split(changes)
	if named == "" {
		return []string{summarizeChanges(own, more, tableChanges, width)}
	}
	if len(own) == 0 && more == 0 {
		return wrap(named, width, reasonLines)
	}
	if room := width - cells(named) - len("; "); width > 0 && room < narrowest {
		lines := wrap(named+";", width, reasonLines)
		return append(lines, summarizeChanges(own, more, tableChanges, width))
	} else if width > 0 {
		return []string{named + "; " + summarizeChanges(own, more, tableChanges, room)}
	}
	return []string{named + "; " + summarizeChanges(own, more, tableChanges, 0)}
}

func everyDetail(item Item, told told) string {
	changes, more, reason := worstOf(item)
	named, _ := told.split(changes)
	if named != "" {
		named += ": "
	}
	texts := []string{named + summarizeChanges(changes, more, 0, 0), reason}
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
