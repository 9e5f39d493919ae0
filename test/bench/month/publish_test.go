package month

import (
	_ "embed"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What is between these in docs/performance.md is a run's.
const (
	begin = "<!-- make month: begin -->\n"
	end   = "<!-- make month: end -->\n"
)

//go:embed head.md
var head string

//go:embed foot.md
var foot string

// publish writes the result, or checks that what is published is this. Of a short
// run it checks that each policy and each change is published.
func publish(t *testing.T, played []month) {
	t.Helper()
	page := *performance
	if page == "" {
		page = "../../../docs/performance.md"
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	published, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has not both of %s%s", page, begin, end)
	}
	switch result := markdown(played); {
	case *performance != "":
		if err := os.WriteFile(page, []byte(before+begin+result+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	case *full:
		if diff := cmp.Diff(published, result); diff != "" {
			t.Errorf("%s is not the result of this run: make month (-published +run):\n%s", page, diff)
		}
	default:
		if !strings.HasPrefix(published, head) || !strings.HasSuffix(published, foot) {
			t.Errorf("%s does not say what head.md and foot.md do: make month", page)
		}
		var rows []string
		for _, p := range policies {
			rows = append(rows, p.name)
		}
		for _, c := range append(slices.Clone(changes), logLevel) {
			rows = append(rows, c.reach)
		}
		for _, row := range rows {
			if !strings.Contains(published, "\n| "+row+" |") {
				t.Errorf("%s does not have %q: make month", page, row)
			}
		}
	}
}

// markdown is the section's text.
func markdown(played []month) string {
	var b strings.Builder
	b.WriteString(head)
	b.WriteString("\n| what is done each night | Pods re-created | of them in vain | Pod-days of drift | time bombs |\n|---|---:|---:|---:|---:|\n")
	measures := []func(tally) int{
		func(t tally) int { return t.restarted }, func(t tally) int { return t.vain },
		func(t tally) int { return t.stale }, func(t tally) int { return t.bombs },
	}
	for n, p := range policies {
		fmt.Fprintf(&b, "| %s |", p.name)
		for _, measure := range measures {
			fmt.Fprintf(&b, " %s |", sums(played, func(m month) int { return measure(m.ledgers[n].total) }))
		}
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	b.WriteString(savings(played))
	b.WriteString(byReach(played))
	b.WriteString(foot)
	return b.String()
}

// sums is the sum, and what it is of.
func sums(played []month, measure func(month) int) string {
	sum, parts := 0, []string{}
	for _, m := range played {
		sum += measure(m)
		parts = append(parts, fmt.Sprint(measure(m)))
	}
	return fmt.Sprintf("**%d** (%s)", sum, strings.Join(parts, ", "))
}

// savings says what the policy that is carried out does not do, or leave.
func savings(played []month) string {
	ours := slices.IndexFunc(policies, func(p policy) bool { return p.real })
	less := func(than int, measure func(tally) int) string {
		return sums(played, func(m month) int { return measure(m.ledgers[than].total) - measure(m.ledgers[ours].total) })
	}
	percent := func(than int, measure func(tally) int) string {
		saved, of := 0, 0
		for _, m := range played {
			saved += measure(m.ledgers[than].total) - measure(m.ledgers[ours].total)
			of += measure(m.ledgers[than].total)
		}
		return fmt.Sprintf("%.0f %%", 100*float64(saved)/float64(of))
	}
	restarted, stale := func(t tally) int { return t.restarted }, func(t tally) int { return t.stale }
	bombs := func(t tally) int { return t.bombs }
	var b strings.Builder
	b.WriteString("To re-create exactly what drifted, and not\n")
	fmt.Fprintf(&b, "- everything with a sidecar, saves %s re-created Pods: %s;\n", less(everything, restarted), percent(everything, restarted))
	fmt.Fprintf(&b, "- what has an old Pod, saves %s re-created Pods: %s;\n", less(byStart, restarted), percent(byStart, restarted))
	fmt.Fprintf(&b, "- nothing, avoids %s Pod-days of drift (%s) and %s time bombs (%s).\n\n",
		less(nobody, stale), percent(nobody, stale), less(nobody, bombs), percent(nobody, bombs))
	pods := func(m month) int { return len(slices.Concat(m.ledgers[ours].pods...)) }
	verdicts, audits := func(m month) int { return m.verdicts }, func(m month) int { return m.audits }
	fmt.Fprintf(&b, "There are %s Pods at the end. The auditor was right in each of %s verdicts on a Pod, in %s audits.\n\n",
		sums(played, pods), sums(played, verdicts), sums(played, audits))
	return b.String()
}

// byReach is what each change cost, in the order of the script's list.
func byReach(played []month) string {
	var b strings.Builder
	b.WriteString("| what changes: what it reaches | times a month | everything | old Pods | drifted Pods |\n|---|---:|---:|---:|---:|\n")
	times, seen := map[string]int{}, []string{}
	for _, d := range played[0].days {
		if d.change != nil {
			times[d.change.reach]++
		}
	}
	for _, c := range append(slices.Clone(changes), logLevel) {
		if slices.Contains(seen, c.reach) {
			continue
		}
		seen = append(seen, c.reach)
		fmt.Fprintf(&b, "| %s | %d |", c.reach, times[c.reach])
		for n, p := range policies {
			if n != everything && n != byStart && !p.real {
				continue
			}
			restarted := 0
			for _, m := range played {
				restarted += m.ledgers[n].byReach[c.reach].restarted
			}
			fmt.Fprintf(&b, " %d |", restarted)
		}
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	return b.String()
}
