package sentinel

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/auditor/class"
)

// world is workloads whose answers a test sets, and a ledger that asks about
// them as an auditor does.
type world struct {
	*Ledger[string, string]
	answers  map[string]Answer[string]
	now      time.Time
	interval time.Duration
	sweep    time.Duration
	asked    []string // in the last round, sorted
	splits   int
}

func newWorld() *world {
	return &world{
		Ledger: New[string, string](), answers: map[string]Answer[string]{}, now: time.Unix(1000, 0),
		interval: 30 * time.Second, sweep: time.Hour,
	}
}

// add adds workloads of a class.
func (w *world) add(of byte, n int) {
	for i := range n {
		name := fmt.Sprintf("%c-%02d", of, i)
		w.answers[name] = Answer[string]{Workload: name, Class: class.ID{of}, Outcome: Sum{1}}
	}
}

// set has the workloads that are wanted answer otherwise.
func (w *world) set(outcome byte, wanted func(name string) bool) {
	for name, a := range w.answers {
		if wanted(name) {
			a.Outcome = Sum{outcome}
			w.answers[name] = a
		}
	}
}

func all(string) bool { return true }

func only(names ...string) func(string) bool {
	return func(name string) bool { return slices.Contains(names, name) }
}

// round asks as an auditor does, and returns how many it asked.
func (w *world) round() int {
	w.now = w.now.Add(w.interval)
	w.Keep(func(k string) bool { _, has := w.answers[k]; return has })
	ask := map[string]bool{}
	for k := range w.answers {
		if w.entries[k] == nil {
			ask[k] = true
		}
	}
	for _, k := range w.Due(w.now, int(w.sweep/w.interval), w.sweep) {
		ask[k] = true
	}
	w.Begin()
	w.asked = nil
	for len(ask) > 0 {
		for k := range ask {
			w.asked = append(w.asked, k)
			w.Answered(k, w.answers[k], w.now)
		}
		ask = map[string]bool{}
		for _, k := range w.Moving() {
			ask[k] = true
		}
	}
	slices.Sort(w.asked)
	w.splits += w.End()
	return len(w.asked)
}

func TestOneOfEachClass(t *testing.T) {
	w := newWorld()
	w.add('a', 40)
	w.add('b', 10)
	w.add('c', 1)
	if n := w.round(); n != 51 {
		t.Errorf("the first round asks %d, want all", n)
	}
	seen := map[string]int{}
	for range 40 {
		if n := w.round(); n != 3 {
			t.Fatalf("a round asks %v, want one of each class", w.asked)
		}
		for _, k := range w.asked {
			seen[k]++
		}
	}
	if len(seen) != 51 || seen["a-00"] != 1 || seen["b-00"] != 4 || seen["c-00"] != 40 {
		t.Errorf("asked in turn: %v", seen)
	}
	if diff := cmp.Diff([]int{40, 10, 1}, w.Sizes()); diff != "" {
		t.Errorf("sizes (-want +got):\n%s", diff)
	}
}

// Everything is asked within the time of a sweep, also of classes that are larger
// than there are rounds, and when rounds come late.
func TestTheSweepReachesAll(t *testing.T) {
	w := newWorld()
	w.add('a', 1000)
	w.add('b', 3)
	w.round()
	last := map[string]time.Time{}
	for k := range w.answers {
		last[k] = w.now
	}
	for i := range 500 {
		if n := w.round(); n > 10 && i != 0 {
			t.Fatalf("round %d asks %d", i, n)
		}
		if i%7 == 0 {
			w.now = w.now.Add(5 * time.Second)
		}
		for _, k := range w.asked {
			last[k] = w.now
		}
		for k, at := range last {
			if w.now.Sub(at) > w.sweep+2*w.interval {
				t.Fatalf("%s was not asked for %s", k, w.now.Sub(at))
			}
		}
	}
}

func TestAClassThatMovesIsAskedWhole(t *testing.T) {
	w := newWorld()
	w.add('a', 20)
	w.add('b', 20)
	w.round()
	w.set(2, func(name string) bool { return name[0] == 'a' })
	if n := w.round(); n != 21 {
		t.Errorf("asks %d: %v", n, w.asked)
	}
	if n := w.round(); n != 2 || w.splits != 0 {
		t.Errorf("the round after asks %d, %d splits", n, w.splits)
	}
}

func TestAClassThatLiesIsSplit(t *testing.T) {
	w := newWorld()
	w.add('a', 30)
	w.round()
	moved := only("a-03", "a-17")
	w.set(2, moved)
	found := 0
	for w.Sizes()[0] == 30 {
		w.round()
		if found++; found > 40 {
			t.Fatal("never found")
		}
	}
	if diff := cmp.Diff([]int{28, 2}, w.Sizes()); diff != "" || w.splits != 1 {
		t.Errorf("%d splits, sizes (-want +got):\n%s", w.splits, diff)
	}
	// From now on a move of either is found at once.
	w.round()
	w.set(3, moved)
	if n := w.round(); n != 3 { // both, and one of the others
		t.Errorf("asks %v", w.asked)
	}
	if w.round(); w.splits != 1 {
		t.Errorf("%d splits", w.splits)
	}
	// Their next revisions are where they were.
	for _, name := range []string{"a-03", "a-17"} {
		next := w.answers[name]
		delete(w.answers, name)
		w.answers[name+"-next"] = next
	}
	w.round()
	in := func(name string) class.ID { return w.entries[name].class }
	if in("a-03-next") != in("a-17-next") || in("a-03-next") == in("a-00") {
		t.Error("the next revisions are in another class")
	}
}

// While an injector is upgraded, its replicas answer differently.
func TestAnUpgradeSplitsNothing(t *testing.T) {
	w := newWorld()
	w.add('a', 30)
	w.round()
	chance := rand.New(rand.NewPCG(1, 2))
	for range 2 {
		w.set(1, all)
		w.set(2, func(string) bool { return chance.IntN(2) == 0 })
		w.round()
	}
	w.set(2, all)
	for range 40 {
		w.round()
	}
	if w.splits != 0 || len(w.Sizes()) != 1 {
		t.Errorf("%d splits, sizes %v", w.splits, w.Sizes())
	}
}

func TestWhatIsNoMove(t *testing.T) {
	for name, change := range map[string]func(*Answer[string]){
		"another question":      func(a *Answer[string]) { a.Asked, a.Outcome = Sum{9}, Sum{2} },
		"no answer":             func(a *Answer[string]) { a.Lost, a.Outcome = true, Sum{2} },
		"one that never agrees": func(a *Answer[string]) { a.Restless, a.Outcome = true, Sum{2} },
		"another class":         func(a *Answer[string]) { a.Class, a.Outcome = class.ID{'z'}, Sum{2} },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.add('a', 10)
			w.round()
			for k, a := range w.answers {
				change(&a)
				w.answers[k] = a
				break
			}
			for range 12 {
				if n := w.round(); n > 2 {
					t.Errorf("asks %d", n)
				}
			}
			if w.splits != 0 {
				t.Errorf("%d splits", w.splits)
			}
		})
	}
}

// What was lost is asked soon, and compared with what was known before.
func TestALostAnswerComesBackMoved(t *testing.T) {
	w := newWorld()
	w.add('a', 10)
	w.round()
	lost := w.answers["a-04"]
	lost.Lost = true
	w.answers["a-04"] = lost
	for !slices.Contains(w.asked, "a-04") || len(w.asked) == 10 {
		w.round()
	}
	w.set(2, all)
	lost = w.answers["a-04"]
	lost.Lost = false
	w.answers["a-04"] = lost
	if n := w.round(); n != 10 || w.splits != 0 {
		t.Errorf("asks %d, %d splits", n, w.splits)
	}
}

// TestRandomWorlds: whatever happens, each workload is in one class, what moves is
// found within a sweep, and a workload that is alone in its class is asked in each
// round.
func TestRandomWorlds(t *testing.T) {
	for seed := range uint64(20) {
		chance := rand.New(rand.NewPCG(seed, 3))
		w := newWorld()
		w.sweep = 20 * w.interval
		for i := range 5 {
			w.add('a'+byte(i), 1+chance.IntN(30))
		}
		w.round()
		stale := map[string]int{} // rounds since the answer is another one
		believed := map[string]Sum{}
		for range 200 {
			switch name := slices.Sorted(maps.Keys(w.answers))[chance.IntN(len(w.answers))]; chance.IntN(10) {
			case 0:
				w.set(byte(chance.IntN(4)), only(name))
			case 1:
				w.set(byte(chance.IntN(4)), func(n string) bool { return n[0] == name[0] })
			case 2:
				w.set(byte(chance.IntN(4)), func(string) bool { return chance.IntN(3) == 0 })
			case 3:
				if len(w.answers) > 10 {
					delete(w.answers, name)
				}
			}
			w.round()
			for _, k := range w.asked {
				believed[k] = w.answers[k].Outcome
			}
			sum := 0
			for _, size := range w.Sizes() {
				sum += size
			}
			if sum != len(w.answers) {
				t.Fatalf("seed %d: %d members, %d workloads", seed, sum, len(w.answers))
			}
			for k, a := range w.answers {
				if stale[k]++; believed[k] == a.Outcome {
					stale[k] = 0
				}
				if stale[k] > 22 {
					t.Fatalf("seed %d: %s is not known as it is for %d rounds", seed, k, stale[k])
				}
			}
		}
	}
}
