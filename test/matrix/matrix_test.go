// Package matrix measures how often verdicts are wrong: each row is created,
// audited, changed, audited, rolled out and audited again, on the real cluster.
package matrix

import (
	"flag"
	"slices"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

var (
	accuracy = flag.String("accuracy", "", "write the result to this file, as Markdown")
	record   = flag.String("record", "", "write the Pods that were compared into this directory, a folder a row")
	only     = flag.String("only", "", "run the rows whose group or name contains this")
)

// rows are the table, in the order of the published page.
func rows() []row {
	return slices.Concat(
		sidecarRows(), nativeRows(), volumeRows(), podRows(), generatedRows(), appRows(), containerRows(), endedRows(),
		injectorRows(), severalRows(), mutatorRows(), ownerRows(), harmlessRows(), peopleRows(), inPlaceRows(), undecidableRows(),
		istioRows(), habitRows(), placedRows(),
	)
}

func TestMatrix(t *testing.T) {
	all := selected(rows())
	m := newMatrix(t, short(t, all))
	m.inject(func(r row) answers { return r.before })
	m.create(t)
	m.self.expect(t, "before the change", before)
	if *full { // else what is not the same each time is found by the cover's audit of everything
		m.self.expect(t, "before the change", before)
		m.expectAsController(t, "before the change", before, func(a asked) expectation { return a.before })
	}
	covered := m.startCovered(t)
	covered.before(t)
	m.inject(func(r row) answers { return r.then })
	m.change(t)
	covered.after(t)
	found := m.self.expect(t, "after the change", after)
	m.expectAsController(t, "after the change", after, func(a asked) expectation { return a.after })
	m.rollOut(t, found)
	m.self.expect(t, "after the rollout", rolledOut)
	if *full {
		m.expectAsController(t, "after the rollout", rolledOut, func(a asked) expectation { return a.rolledOut })
	}
	covered.rolledOut(t)

	for _, a := range []*asker{m.self, m.controller} {
		alarms, misses := 0, 0
		for n, r := range m.rows {
			alarms, misses = alarms+len(a.falseAlarms[n]), misses+len(a.misses[n])
			for _, problem := range slices.Concat(a.falseAlarms[n], a.misses[n]) {
				t.Errorf("%s: %s: %s", r.group, r.name, problem)
			}
		}
		t.Logf("--dry-run-as %s: %d rows, %d false alarms, %d misses", a.as, len(m.rows), alarms, misses)
	}
	if *only == "" {
		m.publish(t, all)
	}
}

// before is what an audit must find as long as nothing has changed.
func before(r row) expectation {
	switch {
	case r.was != nil:
		return *r.was
	case r.state == verdict.Missing || r.state == verdict.Mutated:
		return expectation{state: verdict.NotInjected}
	}
	return expectation{state: verdict.InSync}
}

func after(r row) expectation { return expectation{r.state, r.changes} }

// rolledOut is what an audit must find after everything was rolled out that may
// be.
func rolledOut(r row) expectation {
	switch {
	case r.left != nil:
		return *r.left
	case r.stays || !r.state.Drift():
		return after(r)
	case r.state == verdict.Orphaned:
		return expectation{state: verdict.NotInjected}
	}
	return expectation{state: verdict.InSync}
}
