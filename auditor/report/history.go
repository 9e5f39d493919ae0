package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/sidecar-drift/sidecar-drift/auditor/cause"
	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/journal"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// ChangeHistory is the kind of a History.
const ChangeHistory = "ChangeHistory"

// History is what the daemon has seen of changes, as programs read it.
type History struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Cluster is the one whose journal it is.
	Cluster *ClusterIdentity `json:"cluster,omitempty"`
	// Changes, the last that began first.
	Changes []journal.Entry `json:"changes"`
	// Earlier sums up changes of which no more is kept.
	Earlier *journal.Earlier `json:"earlier,omitempty"`
}

// NewHistory puts one together.
func NewHistory(entries []journal.Entry, earlier journal.Earlier) History {
	h := History{APIVersion: APIVersion, Kind: ChangeHistory, Changes: orEmpty(entries)}
	if earlier.Changes > 0 {
		h.Earlier = &earlier
	}
	return h
}

// minute is how points in time are written for people.
const minute = "2006-01-02 15:04 UTC"

// WriteTable writes a line for each change.
func (h History) WriteTable(w io.Writer, o TextOptions) error {
	g := grid{titles: []string{"WHEN (UTC)", "ID", "WORKLOADS", "HEALED"}}
	explained := slices.ContainsFunc(h.Changes, func(e journal.Entry) bool { return e.By != "" })
	if explained {
		g.titles = append(g.titles, "BY")
	}
	g.titles = append(g.titles, "CHANGE")
	for _, e := range h.Changes {
		cells := []string{e.Began.By.UTC().Format("2006-01-02 15:04"), e.ID, fmt.Sprint(e.Reach.Workloads), healed(e)}
		if explained {
			cells = append(cells, cause.Verdict{By: e.By, Writes: e.Writes}.Short())
		}
		g.rows = append(g.rows, row{
			cells:   cells,
			styled:  map[int]style{3: healedStyle(e)},
			details: func(width int) []string { return []string{summaryIn(e.Summary, width)} },
		})
	}
	var b strings.Builder
	if len(g.rows) > 0 {
		g.write(&b, o)
	}
	open := 0
	for _, e := range h.Changes {
		if e.Ended == nil {
			open++
		}
	}
	b.WriteByte('\n')
	for _, line := range (&Report{Cluster: h.Cluster}).identityLines(o) {
		b.WriteString(line + "\n")
	}
	fmt.Fprintf(&b, "%s, %d of them not rolled out everywhere", counted(len(h.Changes), "change"), open)
	if h.Earlier != nil {
		fmt.Fprintf(&b, "; %d before %s", h.Earlier.Changes, h.Earlier.Until.UTC().Format(minute))
	}
	b.WriteString(".\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// healed says how far a change is: 12 left (74 %), rolled out: 3h.
func healed(e journal.Entry) string {
	if e.Ended == nil {
		if e.Reach.Workloads == 0 || e.Open >= e.Reach.Workloads {
			return "no"
		}
		return fmt.Sprintf("%d left (%d %%)", e.Open, 100*(e.Reach.Workloads-e.Open)/e.Reach.Workloads)
	}
	took := duration.HumanDuration(e.Ended.At.Sub(e.Began.By))
	switch e.Ended.How {
	case journal.RolledOut:
		return "rolled out: " + took
	case journal.TakenBack:
		return "taken back: " + took
	case journal.Superseded:
		return "changed again: " + took
	}
	return "gone: " + took
}

func healedStyle(e journal.Entry) style {
	switch {
	case e.Ended == nil:
		return yellow
	case e.Ended.How == journal.RolledOut:
		return green
	}
	return dim
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// WriteChange writes all that is known of one change.
func WriteChange(w io.Writer, e journal.Entry, now time.Time, o TextOptions) error {
	var b strings.Builder
	b.WriteString(o.paint(bold, e.Summary) + "\n\n")
	line := func(title, text string) { fmt.Fprintf(&b, "%-10s %s\n", title, Printable(text)) }
	line("ID", e.ID)
	if e.Kind != "" {
		line("Kind", fmt.Sprintf("%s, risk %s", e.Kind, e.Risk))
	}
	line("Began", began(e.Began, now))
	line("Reach", fmt.Sprintf("%s, %s, %s at a time", counted(e.Reach.Workloads, "workload"), counted(e.Reach.Pods, "Pod"), counted(e.Reach.Namespaces, "namespace")))
	if e.Half != nil {
		line("Half", fmt.Sprintf("of them no longer had it at %s, after %s", e.Half.UTC().Format(minute), duration.HumanDuration(e.Half.Sub(e.Began.By))))
	}
	line("Healed", healedWhole(e))
	if e.By != "" {
		line("By", e.By)
	}
	listWrites(&b, e.Writes)
	if len(e.Places) > 0 {
		b.WriteString("\nWhat differs:\n")
		for _, p := range e.Places {
			fmt.Fprintf(&b, "  %s\n", Printable(p.String()))
		}
	}
	if len(e.Names) > 0 {
		b.WriteString("\n" + o.paint(bold, names(e)) + "\n")
		for _, n := range e.Names {
			fmt.Fprintf(&b, "  %s\n", Printable(fmt.Sprintf("%s %s/%s", n.Kind, n.Namespace, n.Name)))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// listWrites lists those that may have made a change.
func listWrites(b *strings.Builder, writes []cause.Write) {
	if len(writes) == 0 {
		return
	}
	b.WriteString("\nWrites that may have made it:\n")
	for _, c := range writes {
		when := "between two looks"
		if c.Time != nil {
			when = c.Time.UTC().Format(time.DateTime + " UTC")
		}
		text := fmt.Sprintf("%s, %s: %s %s %s", c.Certainty, when, c.Who(), c.What, c.Object())
		if len(c.Fields) > 0 {
			text += " (" + strings.Join(c.Fields, ", ") + ")"
		}
		if c.Why != "" {
			text += ": " + c.Why
		}
		fmt.Fprintf(b, "  %s\n", Printable(text))
	}
}

func names(e journal.Entry) string {
	what := "Workloads that have it"
	if e.Ended != nil {
		what = "Workloads that had it last"
	} else if e.Open > len(e.Names) {
		what = fmt.Sprintf("Workloads that have it, %d of %d", len(e.Names), e.Open)
	}
	return what + ":"
}

func began(i journal.Interval, now time.Time) string {
	ago := duration.HumanDuration(now.Sub(i.By)) + " ago"
	switch {
	case i.After.IsZero():
		return fmt.Sprintf("before %s, %s: it was there at the first audit", i.By.UTC().Format(minute), ago)
	case i.By.Sub(i.After) < time.Minute:
		return fmt.Sprintf("%s, %s", i.By.UTC().Format(minute), ago)
	}
	return fmt.Sprintf("between %s and %s, %s", i.After.UTC().Format(minute), i.By.UTC().Format(minute), ago)
}

func healedWhole(e journal.Entry) string {
	text := healed(e)
	if e.Ended != nil {
		text += ", until " + e.Ended.At.UTC().Format(minute)
	}
	var of []string
	for _, each := range []struct {
		n    int
		what string
	}{{e.RolledOut, "rolled out"}, {e.TakenBack, "in sync with the same Pods"}, {e.Superseded, "differ otherwise now"}, {e.Gone, "no longer there"}} {
		if each.n > 0 {
			of = append(of, fmt.Sprintf("%d %s", each.n, each.what))
		}
	}
	if len(of) > 0 {
		text += ": " + strings.Join(of, ", ")
	}
	return text
}

// summaryIn is a summary in so many columns; 0 sets no limit.
func summaryIn(summary string, width int) string {
	if width <= 0 {
		return Printable(summary)
	}
	return truncate(Printable(summary), width)
}

// Observed is what a journal takes down of a report that is grouped: changes that drift
// consists of, and how all workloads stand.
func (r *Report) Observed() journal.Audit {
	a := journal.Audit{Changes: make([]journal.Change, len(r.grouped)), Workloads: make(map[inventory.WorkloadRef]journal.Workload, len(r.Items))}
	index := r.index()
	for i, c := range r.grouped {
		a.Changes[i] = journalled(c)
	}
	for _, item := range r.Items {
		ref := inventory.WorkloadRef{Kind: item.Kind, Namespace: item.Namespace, Name: item.Name}
		w := journal.Workload{Standing: standing(item.State)}
		if item.OldestPod != nil {
			w.OldestPod = *item.OldestPod
		}
		a.Workloads[ref] = w
		for at, pods := range item.driftsBy(index) {
			a.Changes[at].Pods += pods
			a.Changes[at].Workloads = append(a.Changes[at].Workloads, ref)
		}
	}
	a.Changes = slices.DeleteFunc(a.Changes, func(c journal.Change) bool { return len(c.Workloads) == 0 })
	return a
}

func journalled(c change.Change) journal.Change {
	j := journal.Change{ID: c.ID.String(), Summary: c.Summary(), Kind: string(c.Kind), Risk: string(c.Risk)}
	for _, part := range c.Parts {
		j.PlaceIDs = append(j.PlaceIDs, part.String())
	}
	for _, place := range c.Places {
		j.Places = append(j.Places, journal.Place{
			Part: place.Part, Path: place.Path,
			From: verdict.Cut(string(place.From), longestJournalled), To: verdict.Cut(string(place.To), longestJournalled),
		})
	}
	return j
}

// standing is how a journal takes a state. What is Blocked or Unknown may differ as before.
func standing(state verdict.State) journal.Standing {
	switch {
	case state.Drift():
		return journal.Drifts
	case state == verdict.InSync, state == verdict.NotInjected:
		return journal.InSync
	case state == verdict.Unknown, state == verdict.Blocked:
		return journal.Held
	}
	return journal.Unclear
}

// longestJournalled is how many bytes of a value are kept.
const longestJournalled = 300

// driftsBy counts the Pods that drift by each change of the index.
func (item Item) driftsBy(index map[string]int) map[int]int {
	pods := map[int]int{}
	for _, r := range item.Revisions {
		if !r.State.Drift() {
			continue
		}
		seen := map[string]bool{"": true}
		for _, c := range r.Changes {
			if at, ok := index[c.ID]; ok && !seen[c.ID] {
				seen[c.ID] = true
				pods[at] += r.Pods
			}
		}
	}
	return pods
}

// Began tells since when changes are known, by their IDs.
func (r *Report) Began(since map[string]journal.Interval) {
	for i, c := range r.Changes {
		if known, ok := since[c.ID]; ok {
			r.Changes[i].Since = &known.By
		}
	}
}
