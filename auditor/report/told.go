package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

const (
	// mostTold is how many changes a table begins with.
	mostTold = 20
	// toldWidth is the number of columns from which on a change and its numbers share a
	// line.
	toldWidth = 45
	// toldLines is how many lines of a terminal the text of a change may take.
	toldLines = 3
)

// told are the changes that a table begins with: those that several workloads have, by
// their numbers among all. Its rows need not spell them out.
type told struct {
	all    []ChangeSummary // of the report
	listed []int           // what is told, as indices
	more   int             // how many more there are that several workloads have
	number map[string]int
}

// told are the changes of the items that others have, too; all where it is told whose they
// are.
func (r *Report) told() told {
	if r.explained() {
		return r.tell(1, mostTold)
	}
	return r.tell(2, mostTold)
}

// tell tells of the changes of the items that at least some workloads have, and of no more
// than most.
func (r *Report) tell(some, most int) told {
	t := told{all: r.sayToday(), number: map[string]int{}}
	index := r.index()
	shown := make([]bool, len(r.Changes))
	for _, item := range r.Items {
		for _, at := range item.changesOf(index) {
			shown[at] = true
		}
	}
	for i, c := range r.Changes {
		switch {
		case c.Workloads < some || !shown[i]:
		case len(t.listed) == most:
			t.more++
		default:
			t.listed = append(t.listed, i)
			t.number[c.ID] = i + 1
		}
	}
	return t
}

// split returns the numbers of what is told already, as "#1, #3", and what is not.
func (t told) split(changes []verdict.Change) (named string, own []verdict.Change) {
	var numbers []int
	for _, c := range changes {
		if n := t.number[c.ID]; n == 0 {
			own = append(own, c)
		} else if !slices.Contains(numbers, n) {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	texts := make([]string, len(numbers))
	for i, n := range numbers {
		texts[i] = fmt.Sprintf("#%d", n)
	}
	return strings.Join(texts, ", "), own
}

// write writes a line a change, or two where they are too long, what is to be said below
// each, and an empty line.
func (t told) write(b *strings.Builder, o TextOptions, below func(at, width int) []string) {
	if len(t.listed) == 0 {
		return
	}
	number, reach, longest := 0, make([]string, len(t.listed)), 0
	counts := t.counts()
	for i, at := range t.listed {
		number = max(number, len(fmt.Sprintf("#%d", at+1)))
		reach[i] = o.reach(t.all[at], counts)
		longest = max(longest, cells(t.all[at].Summary))
	}
	indent := strings.Repeat(" ", number+len("  "))
	tail := cells(reach[0]) + len("  ")
	width, beside := min(longest, 2*toldWidth), true
	if o.Width > 0 {
		left := o.Width - len(indent) - tail
		if beside = left >= min(longest, toldWidth); beside {
			width = min(longest, left)
		} else {
			width = o.Width - len(indent)
		}
	}
	for i, at := range t.listed {
		lines := []string{Printable(t.all[at].Summary)}
		if o.Width > 0 {
			lines = wrap(lines[0], max(width, 1), toldLines)
		}
		for n, line := range lines {
			before := indent
			if n == 0 {
				before = o.padded(bold, fmt.Sprintf("#%d", at+1), number)
			}
			b.WriteString(before + line)
			if n == 0 && beside {
				b.WriteString(strings.Repeat(" ", max(0, width-cells(line))+2) + reach[i])
			}
			b.WriteByte('\n')
		}
		if !beside {
			for _, line := range wrap(reach[i], o.Width-len(indent), 0) {
				b.WriteString(indent + line + "\n")
			}
		}
		if by := t.all[at].By; by != "" {
			for _, line := range wrap("by: "+sentence(by), max(0, o.Width-len(indent)), 0) {
				b.WriteString(indent + line + "\n")
			}
		}
		for _, line := range below(at, max(0, o.Width-len(indent))) {
			b.WriteString(indent + line + "\n")
		}
	}
	if t.more > 0 {
		fmt.Fprintf(b, "%sand %s (-o json has them all)\n", indent, count(t.more, "more change"))
	}
	b.WriteByte('\n')
}

// nothing is said below a change.
func nothing(int, int) []string { return nil }

// counts are the widths of the columns of numbers.
func (t told) counts() (widths [4]int) {
	for _, at := range t.listed {
		for i, text := range countsOf(t.all[at]) {
			widths[i] = max(widths[i], len(text))
		}
	}
	return widths
}

func countsOf(c ChangeSummary) [4]string {
	return [4]string{count(c.Workloads, "workload"), count(c.Pods, "Pod"), count(c.Namespaces, "namespace"), string(c.Risk)}
}

// reach says how far a change reaches, how risky it is, and what it is called.
func (o TextOptions) reach(c ChangeSummary, widths [4]int) string {
	var b strings.Builder
	for i, text := range countsOf(c) {
		s := plain
		if i == 3 {
			s = riskStyle(c.Risk)
		}
		b.WriteString(o.padded(s, text, widths[i]))
	}
	return b.String() + o.paint(dim, c.ID)
}

func riskStyle(r change.Risk) style {
	switch r {
	case change.Loss:
		return alarm
	case change.Behaviour:
		return yellow
	case change.Version:
		return cyan
	}
	return plain
}
