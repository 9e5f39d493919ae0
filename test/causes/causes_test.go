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
	full      = flag.Bool("full", false, "make all changes, not one of every third kind")
	published = flag.String("publish", "", "write the result to this file, as Markdown")
	only      = flag.String("only", "", "make the changes whose kind contains this")
)

// outcome is what was said of a change.
type outcome struct {
	scenario
	manager string
	apart   bool // an hour after everything else
	crowded bool // but for other writes in the same interval
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
	var all []outcome
	change := func(round int, apart bool) {
		for n, s := range scenarios() {
			if !strings.Contains(s.kind, *only) || !*full && *only == "" && n%3 > 0 {
				continue
			}
			o := w.run(t, s, managers[(n+round)%len(managers)], round, n, apart)
			all = append(all, o)
			t.Logf("%-40s %-26s apart %t crowded %t rank %d %s: %s", s.kind, o.manager, o.apart, o.crowded, o.rank, o.certainty(), o.verdict.By)
			for _, c := range o.verdict.Writes {
				t.Logf("    %s %s %s %q: %s", c.Who(), c.What, c.Object(), c.Fields, c.Why)
			}
		}
	}
	for round := 0; round == 0 || *full && round < rounds; round++ {
		change(round, false)
	}
	change(rounds, true)
	soon, apart := figuresOf(of(all, func(o outcome) bool { return !o.apart })), figuresOf(of(all, func(o outcome) bool { return o.apart }))
	t.Log("soon after each other:", soon)
	t.Log("an hour apart:", apart)
	for _, o := range all {
		if o.wrong() {
			t.Errorf("%s by %s is wrongly named as sure: %s", o.kind, o.manager, o.verdict.By)
		}
		if !o.unseen && (o.rank == 0 || o.rank > 2) {
			t.Errorf("%s by %s is not among the first two: %+v", o.kind, o.manager, o.verdict)
		}
	}
	// Of the few of the short form one decoy that fits as well is more than 5 %.
	if 100*soon.first < 95*soon.visible && (*full || soon.visible-soon.first > 2) {
		t.Errorf("the true cause is first in %d of %d", soon.first, soon.visible)
	}
	if apart.first < apart.visible || 2*apart.sure < apart.visible && *only == "" {
		t.Errorf("an hour apart the true cause is first in %d and sure in %d of %d", apart.first, apart.sure, apart.visible)
	}
	if *published != "" {
		publish(t, soon, apart, all)
	}
}

func of(outcomes []outcome, is func(outcome) bool) []outcome {
	return slices.DeleteFunc(slices.Clone(outcomes), func(o outcome) bool { return !is(o) })
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
func publish(t *testing.T, soon, apart figures, all []outcome) {
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
	if err := os.WriteFile(*published, []byte(before+begins+markdown(soon, apart, all)+ends+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

func markdown(soon, apart figures, all []outcome) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Of %d changes of %d kinds, each by one of %s, with up to %d other writes at the same time, one change right after the other; "+
		"and of %d that come an hour after everything else, %d of them with other writes at the same time, the others with these before:\n\n",
		soon.all, soon.kinds, strings.Join(managers, ", "), mostDecoys, apart.all, len(of(all, func(o outcome) bool { return o.apart && o.crowded })))
	b.WriteString("| | one after the other | an hour apart |\n|---|---|---|\n")
	row := func(what string, share func(figures) (n, of int)) {
		fmt.Fprintf(&b, "| %s |", what)
		for _, f := range []figures{soon, apart} {
			n, of := share(f)
			fmt.Fprintf(&b, " %d of %d (%d %%) |", n, of, 100*n/max(of, 1))
		}
		b.WriteString("\n")
	}
	row("the true cause is named first", func(f figures) (int, int) { return f.first, f.visible })
	row("it is among the first two", func(f figures) (int, int) { return f.firstTwo, f.visible })
	row("it is *sure*", func(f figures) (int, int) { return f.sure, f.visible })
	row("something else is *sure*", func(f figures) (int, int) { return f.wrong, f.all })
	row("of what cannot be seen (Secrets), nothing is *sure*", func(f figures) (int, int) { return f.silent, f.invisible })
	b.WriteString("\n| kind of change | changes | first | among two | an hour apart |\n|---|---:|---:|---:|---|\n")
	var kinds []string
	for _, o := range all {
		if !slices.Contains(kinds, o.kind) {
			kinds = append(kinds, o.kind)
		}
	}
	for _, kind := range kinds {
		k := figuresOf(of(all, func(o outcome) bool { return o.kind == kind && !o.apart }))
		alone := of(all, func(o outcome) bool { return o.kind == kind && o.apart })[0].said()
		if k.visible == 0 {
			fmt.Fprintf(&b, "| %s | %d | cannot be seen | | %s |\n", kind, k.all, alone)
			continue
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %s |\n", kind, k.all, k.first, k.firstTwo, alone)
	}
	return b.String() + "\n"
}

// said is the outcome in few words.
func (o outcome) said() string {
	text := string(o.certainty())
	switch {
	case text == "":
		text = "not known"
	case o.rank > 1:
		text += ", " + []string{"second", "third", "fourth", "fifth"}[o.rank-2]
	}
	if o.crowded {
		text += ", beside other writes"
	}
	return text
}
