package cover

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"
)

// TestRandomWorlds: whatever changes, and whoever comes and goes, once answers stay as
// they are for a sweep the ledger knows each.
func TestRandomWorlds(t *testing.T) {
	for seed := range uint64(16) {
		w := newWorld()
		w.chance = rand.New(rand.NewPCG(seed, 3))
		w.sweep = 20 * w.interval
		w.populate(60 + w.chance.IntN(200))
		w.round()
		for range 4 {
			for range 15 {
				w.happen()
				w.round()
				w.check(t, seed)
			}
			w.mixed = false
			if w.rounds(24); len(w.wrong()) > 0 {
				t.Fatalf("seed %d: after a sweep it does not know of %v", seed, w.wrong())
			}
		}
	}
}

func (w *world) populate(n int) {
	for range n {
		w.newcomer()
	}
}

// newcomer has some features, of places with few values and with many.
func (w *world) newcomer() {
	name := fmt.Sprintf("%016x-%03d", w.chance.Uint64(), w.chance.IntN(1000))
	features := []Feature{f(0, 0), f(9, w.chance.Uint64N(200))}
	for place := uint64(1); place < 8; place++ {
		if w.chance.IntN(3) > 0 {
			features = append(features, f(place, w.chance.Uint64N(1+place)))
		}
	}
	w.answers[name] = Answer[string]{Workload: name[:14], Features: features, Outcome: Sum{1}}
}

// happen is what may happen in a cluster.
func (w *world) happen() {
	names := slices.Sorted(maps.Keys(w.answers))
	one := names[w.chance.IntN(len(names))]
	some := w.answers[one].Features
	feature, other := some[w.chance.IntN(len(some))], some[w.chance.IntN(len(some))]
	outcome := byte(w.chance.IntN(5))
	switch w.chance.IntN(12) {
	case 0:
		w.set(outcome, only(one))
	case 1:
		w.set(outcome, func(n string) bool { return slices.Contains(w.answers[n].Features, feature) })
	case 2:
		w.set(outcome, func(n string) bool {
			return slices.Contains(w.answers[n].Features, feature) && slices.Contains(w.answers[n].Features, other)
		})
	case 3:
		w.set(outcome, func(string) bool { return w.chance.IntN(3) == 0 })
	case 4:
		w.mixed = !w.mixed
	case 5:
		delete(w.answers, one)
	case 6:
		w.newcomer()
	case 7, 8: // other features, by another answer
		a := w.answers[one]
		a.Features = append(slices.Clone(a.Features), f(20, w.chance.Uint64N(3)))
		a.Outcome = Sum{outcome}
		w.answers[one] = a
	case 9:
		a := w.answers[one]
		a.Lost = !a.Lost
		w.answers[one] = a
	}
}

// check compares what the ledger keeps with what there is.
func (w *world) check(t *testing.T, seed uint64) {
	t.Helper()
	in, held, features := 0, 0, map[uint32]int{}
	for at, s := range w.sets {
		if s.at != at {
			t.Fatalf("seed %d: a set is at %d, not %d", seed, at, s.at)
		}
		in += len(s.entries)
		held += s.holders
		for _, id := range s.ids {
			features[id]++
		}
	}
	next := 0
	for at, e := range w.list {
		if e.at != at || e.set.entries[e.slot] != e || w.entries[e.key] != e {
			t.Fatalf("seed %d: %s is not where it should be", seed, e.key)
		}
		if e.next != nil {
			next++
		}
	}
	if in != len(w.answers) || len(w.list) != in || held != in+next || len(features) != len(w.ids) {
		t.Fatalf("seed %d: %d in sets, %d listed, %d held, %d features of %d; there are %d", seed, in, len(w.list), held, len(w.ids), len(features), len(w.answers))
	}
	for id, n := range features {
		if w.known[id].sets != n || w.ids[w.known[id].Feature] != id {
			t.Fatalf("seed %d: feature %d is in %d sets, not %d", seed, id, n, w.known[id].sets)
		}
	}
}

// TestDueCoversEveryFeature: each round asks for each feature that several have; and two
// workloads for each, where the cover's share suffices.
func TestDueCoversEveryFeature(t *testing.T) {
	for seed := range uint64(40) {
		w := newWorld()
		w.chance = rand.New(rand.NewPCG(seed, 5))
		w.populate(50 + w.chance.IntN(300))
		w.round()
		for range 5 {
			w.newcomer()
			w.round()
			chosen := w.Due(w.now, Plan{Rounds: 1000, Sweep: time.Hour})
			by := map[Feature]map[string]bool{}
			asked := map[Feature]map[string]bool{}
			place := map[uint64]int{}
			for k, a := range w.answers {
				for _, f := range a.Features {
					if by[f] == nil {
						by[f], asked[f] = map[string]bool{}, map[string]bool{}
						place[f.Place]++
					}
					by[f][a.Workload] = true
					if slices.Contains(chosen, k) {
						asked[f][a.Workload] = true
					}
				}
			}
			for f, workloads := range by {
				if len(workloads) < 2 || f.Place == 9 { // whose values identify
					continue
				}
				want := 2
				if len(chosen) >= len(w.answers)/share {
					want = 1
				}
				if len(asked[f]) < want {
					t.Fatalf("seed %d: feature %v of %d workloads: %d are asked of %d in all", seed, f, len(workloads), len(asked[f]), len(chosen))
				}
			}
		}
	}
}

// TestChurn: 100,000 revisions come and go, and nothing stays of them.
func TestChurn(t *testing.T) {
	w := newWorld()
	w.add("stay", 50, f(0, 0))
	w.round()
	base := heap()
	const each = 500
	for n := range 100_000 / each {
		for i := range each {
			name := fmt.Sprintf("%d-%d-churn", n, i)
			w.answers[name] = Answer[string]{Workload: name, Features: []Feature{f(0, 0), f(1, uint64(i%7)), f(2, uint64(n*each+i))}, Outcome: Sum{1}}
		}
		if n%20 == 0 {
			w.set(byte(n), func(string) bool { return w.chance.IntN(50) == 0 })
		}
		w.round()
		w.round()
		for i := range each {
			name := fmt.Sprintf("%d-%d-churn", n, i)
			delete(w.answers, name)
			delete(w.believed, name)
			delete(w.before, name)
		}
	}
	w.interval = 24 * time.Hour
	w.rounds(20)
	if len(w.entries) != 50 || len(w.sets) != 1 || len(w.ids) != 1 || len(w.places) != 1 || len(w.workloads) != 50 || len(w.Ledger.learned) > 0 {
		t.Errorf("%d entries, %d sets, %d features, %d places, %d workloads, %d learned", len(w.entries), len(w.sets), len(w.ids), len(w.places), len(w.workloads), len(w.Ledger.learned))
	}
	if len(w.known) > 4*each || heap() > base+4<<20 {
		t.Errorf("%d numbers for features; %d bytes more than at the beginning", len(w.known), heap()-base)
	}
	runtime.KeepAlive(w)
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// FuzzLedger: each byte is something that happens.
func FuzzLedger(f *testing.F) {
	f.Add(uint64(1), 20)
	f.Add(uint64(7), 200)
	f.Fuzz(func(t *testing.T, seed uint64, n int) {
		w := newWorld()
		w.chance = rand.New(rand.NewPCG(seed, 11))
		w.sweep = 10 * w.interval
		w.populate(10 + w.chance.IntN(60))
		w.budget = w.chance.IntN(2) * 200
		for range min(max(n, 0), 300) {
			if len(w.answers) > 1 {
				w.happen()
			}
			w.round()
			w.check(t, seed)
		}
		w.mixed = false
		if w.rounds(15); len(w.wrong()) > 0 {
			t.Errorf("seed %d: after a sweep it does not know of %v", seed, w.wrong())
		}
	})
}
