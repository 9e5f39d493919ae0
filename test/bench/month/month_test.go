// Package month plays months of changes of an injection template on the real
// cluster, and counts what comes of each way to deal with them.
//
// A month is made by a seed: a population of workloads, changes of what is
// injected, and what happens to Pods for other reasons (deploys, scaling, crashes
// of nodes). A day is a step, and nothing waits. In its morning the template
// changes, if it does; in the daytime the other events happen; in the evening the
// Pods are counted whose sidecar is not the fresh one; in the night each policy
// re-creates what it would.
//
// Every policy has the same days: events name slots, which are a workload's Pods by
// number, and a Pod that is re-created in a slot gets the sidecar of that day. Only
// one policy, to re-create exactly the Pods that drifted, is carried out: by
// audit.Run and package rollout, with a restart where all Pods of a workload
// drifted and by eviction where some did. The others are accounted (ledger): what a
// Pod carries follows from the day on which it was created.
//
// What drifted is known without the auditor, too. After each change the API server
// is asked for a dry run of each workload's own template, and the specs that come
// back are compared as they are (truth_test.go). A Pod drifted if the spec of the
// day on which it was created differs from today's. Every night the auditor must
// name exactly those Pods, and after its rollout none, and exactly those may have
// been re-created.
package month

import (
	"flag"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	full        = flag.Bool("full", false, "whole months, of every seed, and not some days of a few workloads")
	performance = flag.String("performance", "", "write the result into this file, which has the section's markers")
)

func TestMonth(t *testing.T) {
	size, seeds := short, []uint64{5}
	if *full {
		size, seeds = whole, []uint64{1, 2, 3}
	}
	var played []month
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { played = append(played, play(t, scriptOf(seed, size))) })
	}
	if !t.Failed() {
		publish(t, played)
	}
}

// month is what came of a script.
type month struct {
	script
	// ledgers are those of policies, in their order.
	ledgers []*ledger
	// audits that were made, and verdicts on a Pod in them.
	audits, verdicts int
}

// play plays a script on a cluster of its own.
func play(t *testing.T, s script) month {
	t.Helper()
	w := newWorld(t, s)
	m := month{script: s}
	for _, p := range policies {
		m.ledgers = append(m.ledgers, newLedger(p, s.workloads, w.fresh))
	}
	for n, d := range s.days {
		if d.change != nil {
			w.change(t, d.change)
		}
		w.events(t, d)
		var restarted []slot
		for n, l := range m.ledgers {
			done := l.day(d, w.fresh)
			if policies[n].real {
				restarted = done
			}
		}
		if diff := cmp.Diff(restarted, w.night(t)); diff != "" {
			t.Errorf("seed %d, day %d: re-created (-ledger +cluster):\n%s", s.seed, n+1, diff)
		}
		if t.Failed() {
			t.Fatalf("seed %d ends on day %d", s.seed, n+1)
		}
	}
	m.audits, m.verdicts = w.audits, w.verdicts
	for n, p := range policies {
		t.Logf("%s: %+v", p.name, m.ledgers[n].total)
	}
	return m
}
