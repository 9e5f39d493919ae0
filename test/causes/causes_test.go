// Package causes measures how often the cause of a change is named rightly: changes are made
// on a real cluster with the real injectors of Istio and Dapr and with others, by several
// managers, beside writes that change nothing; what is said of each is compared with what
// was done.
package causes

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/cause"
)

var (
	full      = flag.Bool("full", false, "make all changes, not one of every second kind")
	published = flag.String("publish", "", "write the result to this file, as Markdown")
	only      = flag.String("only", "", "make the changes whose kind contains this")
)

// outcome is what was said of a change.
type outcome struct {
	scenario
	manager string
	verdict cause.Verdict
	rank    int // of what was done, from 1; 0: it is none of those named
}

func (o outcome) certainty() cause.Certainty {
	if len(o.verdict.Writes) == 0 {
		return ""
	}
	return o.verdict.Writes[0].Certainty
}

// wrong reports whether something is named as sure that it was not.
func (o outcome) wrong() bool { return o.certainty() == cause.Sure && o.rank != 1 }

func TestCauses(t *testing.T) {
	w := newWorld(t)
	var outcomes []outcome
	for round, scenarios := 0, scenarios(); round == 0 || *full && round < rounds; round++ {
		for n, s := range scenarios {
			if !strings.Contains(s.kind, *only) || !*full && *only == "" && n%2 > 0 {
				continue
			}
			o := w.run(t, s, managers[(n+round)%len(managers)], round, n)
			outcomes = append(outcomes, o)
			t.Logf("%-40s %-26s rank %d %s: %s", s.kind, o.manager, o.rank, o.certainty(), o.verdict.By)
			for _, c := range o.verdict.Writes {
				t.Logf("    %s %s %s %q: %s", c.Who(), c.What, c.Object(), c.Fields, c.Why)
			}
		}
	}
	f := figuresOf(outcomes)
	t.Log(f)
	for _, o := range outcomes {
		if o.wrong() {
			t.Errorf("%s by %s is wrongly named as sure: %s", o.kind, o.manager, o.verdict.By)
		}
		if !o.unseen && (o.rank == 0 || o.rank > 2) {
			t.Errorf("%s by %s is not among the first two: %+v", o.kind, o.manager, o.verdict)
		}
	}
	// Of the few of the short form one decoy that fits as well is more than 5 %.
	if 100*f.first < 95*f.visible && (*full || f.visible-f.first > 2) {
		t.Errorf("the true cause is first in %d of %d", f.first, f.visible)
	}
	if *published != "" {
		publish(t, f, outcomes)
	}
}

// figures sum outcomes up.
type figures struct {
	all, visible, kinds, first, firstTwo, sure, wrong, invisible, silent int
}

func figuresOf(outcomes []outcome) (f figures) {
	kinds := map[string]bool{}
	for _, o := range outcomes {
		f.all++
		kinds[o.kind] = true
		f.wrong += count(o.wrong())
		if o.unseen {
			f.invisible++
			f.silent += count(o.certainty() != cause.Sure)
			continue
		}
		f.visible++
		f.first += count(o.rank == 1)
		f.firstTwo += count(o.rank == 1 || o.rank == 2)
		f.sure += count(o.certainty() == cause.Sure)
	}
	f.kinds = len(kinds)
	return f
}

func count(is bool) int {
	if is {
		return 1
	}
	return 0
}

func (f figures) String() string {
	return fmt.Sprintf("%d changes of %d kinds, %d of which can be seen: %d first, %d among the first two, %d sure, %d wrongly sure", f.all, f.kinds, f.visible, f.first, f.firstTwo, f.sure, f.wrong)
}

const (
	begins = "<!-- The result of make causes. -->\n"
	ends   = "<!-- The end of it. -->\n"
)

// publish puts the result into a page, between two comments.
func publish(t *testing.T, f figures, outcomes []outcome) {
	t.Helper()
	page, err := os.ReadFile(*published)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(page), begins)
	_, after, ended := strings.Cut(rest, ends)
	if !found || !ended {
		t.Fatalf("%s has no place for the result", *published)
	}
	if err := os.WriteFile(*published, []byte(before+begins+markdown(f, outcomes)+ends+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

func markdown(f figures, outcomes []outcome) string {
	var b strings.Builder
	percent := func(n int) string { return fmt.Sprintf("%d of %d (%d %%)", n, f.visible, 100*n/max(f.visible, 1)) }
	fmt.Fprintf(&b, "Of %d changes of %d kinds, each by one of %s, with up to %d other writes at the same time:\n\n", f.all, f.kinds, strings.Join(managers, ", "), mostDecoys)
	b.WriteString("| | |\n|---|---|\n")
	fmt.Fprintf(&b, "| the true cause is named first | %s |\n", percent(f.first))
	fmt.Fprintf(&b, "| it is among the first two | %s |\n", percent(f.firstTwo))
	fmt.Fprintf(&b, "| it is *sure* | %s |\n", percent(f.sure))
	fmt.Fprintf(&b, "| something else is *sure* | %d of %d |\n", f.wrong, f.all)
	fmt.Fprintf(&b, "| of what cannot be seen (Secrets), nothing is *sure* | %d of %d |\n\n", f.silent, f.invisible)
	b.WriteString("| kind of change | changes | first | among two | sure |\n|---|---:|---:|---:|---:|\n")
	var kinds []string
	for _, o := range outcomes {
		if !slices.Contains(kinds, o.kind) {
			kinds = append(kinds, o.kind)
		}
	}
	for _, kind := range kinds {
		of := slices.DeleteFunc(slices.Clone(outcomes), func(o outcome) bool { return o.kind != kind })
		k := figuresOf(of)
		if of[0].unseen {
			fmt.Fprintf(&b, "| %s | %d | cannot be seen | | %d |\n", kind, k.all, k.wrong)
			continue
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d |\n", kind, k.all, k.first, k.firstTwo, k.sure)
	}
	return b.String() + "\n"
}
