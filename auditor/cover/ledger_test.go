package cover

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// world is workloads whose answers a test sets, and a ledger that asks about them as
// an auditor does.
type world struct {
	*Ledger[string, string]
	answers  map[string]Answer[string]
	believed map[string]Sum
	now      time.Time
	interval time.Duration
	sweep    time.Duration
	budget   int
	chance   *rand.Rand
	// mixed replicas give the answer before, half of the time.
	mixed   bool
	before  map[string]Sum
	asked   []string // in the last round
	learned int
}

func newWorld() *world {
	return &world{
		Ledger: New[string, string](), answers: map[string]Answer[string]{}, believed: map[string]Sum{}, before: map[string]Sum{},
		now: time.Unix(1_000_000, 0), interval: 30 * time.Second, sweep: time.Hour, chance: rand.New(rand.NewPCG(1, 2)),
	}
}

// f is a feature: places are told apart by their first part.
func f(place, value uint64) Feature { return Feature{place, value} }

// add adds so many workloads that have these features.
func (w *world) add(kind string, n int, features ...Feature) {
	for i := range n {
		name := fmt.Sprintf("%s-%03d", kind, i)
		w.answers[name] = Answer[string]{Workload: name, Features: features, Outcome: Sum{1}}
	}
}

// set has the workloads that are wanted answer otherwise.
func (w *world) set(outcome byte, wanted func(name string) bool) {
	for name, a := range w.answers {
		w.before[name] = a.Outcome
		if wanted(name) {
			a.Outcome = Sum{outcome}
			w.answers[name] = a
		}
	}
}

func all(string) bool { return true }

func of(kinds ...string) func(string) bool {
	return func(name string) bool { return slices.Contains(kinds, name[:len(name)-4]) }
}

func only(names ...string) func(string) bool {
	return func(name string) bool { return slices.Contains(names, name) }
}

func (w *world) ask(names []string) {
	for _, k := range names {
		a := w.answers[k]
		if w.mixed && w.chance.IntN(2) == 0 {
			a.Outcome = w.before[k]
		}
		w.asked = append(w.asked, k)
		w.Answered(k, a, w.now)
		if !a.Lost {
			w.believed[k] = a.Outcome
		}
	}
}

// round asks as an auditor does, and returns how many it asked.
func (w *world) round() int {
	w.now = w.now.Add(w.interval)
	w.Keep(func(k string) bool { _, has := w.answers[k]; return has })
	w.Begin()
	w.asked = nil
	var unknown []string
	for _, k := range slices.Sorted(maps.Keys(w.answers)) {
		if w.entries[k] == nil {
			unknown = append(unknown, k)
		}
	}
	w.ask(unknown)
	w.ask(w.Due(w.now, Plan{Rounds: int(w.sweep / w.interval), Sweep: w.sweep, Budget: w.budget}))
	for {
		limit := len(w.answers)
		if w.budget > 0 {
			limit = max(0, w.budget-len(w.asked))
		}
		some := w.Next(limit)
		if len(some) == 0 {
			break
		}
		w.ask(some)
	}
	w.learned += w.End(w.now)
	return len(w.asked)
}

// wrong are those of which the ledger does not know the answer that there is.
func (w *world) wrong() (names []string) {
	for k, a := range w.answers {
		if !a.Lost && w.believed[k] != a.Outcome {
			names = append(names, k)
		}
	}
	slices.Sort(names)
	return names
}

func (w *world) rounds(n int) (asked int) {
	for range n {
		asked += w.round()
	}
	return asked
}

// kinds is a world of three kinds that share one feature, and have one each.
func kinds() *world {
	w := newWorld()
	w.add("a", 300, f(1, 1), f(2, 1))
	w.add("b", 300, f(1, 1), f(2, 2))
	w.add("c", 300, f(1, 1), f(2, 3))
	w.rounds(3)
	return w
}

func TestAQuietRoundAsksFew(t *testing.T) {
	w := kinds()
	if n := w.rounds(240) / 240; n > 6+900/108+1 {
		t.Errorf("a round asks %d, want two of each kind and the sweep's share", n)
	}
}

func TestAChangeOfAllIsFoundAtOnce(t *testing.T) {
	w := kinds()
	w.set(2, all)
	if n := w.round(); len(w.wrong()) > 0 || n < 900 || n > 930 {
		t.Errorf("asked %d, not known of %v", n, w.wrong())
	}
	w.round()
	if n := w.rounds(10); n > 300 || w.learned > 0 {
		t.Errorf("afterwards it asks %d, learned %d", n, w.learned)
	}
}

func TestAChangeOfOneFeatureCostsOthersNothing(t *testing.T) {
	w := kinds()
	w.set(2, of("b"))
	if n := w.round(); len(w.wrong()) > 0 || n > 350 {
		t.Errorf("asked %d, not known of %d", n, len(w.wrong()))
	}
	if w.rounds(5); w.learned > 0 {
		t.Error("learned what is known")
	}
}

// What only two features together tell is found by the sweep at the latest, learned,
// found at once the next time, and forgotten when it is not needed any more.
func TestTwoFeaturesTogether(t *testing.T) {
	w := newWorld()
	for i := range uint64(5) {
		for j := range uint64(5) {
			w.add(fmt.Sprintf("k%d%d", i, j), 40, f(0, 0), f(1, i), f(2, j))
		}
	}
	w.rounds(3)
	before := w.Sizes()
	w.set(2, of("k34"))
	for n := 0; len(w.wrong()) > 0; n++ {
		if w.round(); n > 122 {
			t.Fatalf("not known of %d after a sweep", len(w.wrong()))
		}
	}
	w.rounds(4)
	if got := w.Sizes().Learned; got != 1 || w.learned != 1 {
		t.Fatalf("learned %d, has %d", w.learned, got)
	}
	w.set(3, of("k34"))
	if n := w.round(); len(w.wrong()) > 0 || n > 300 {
		t.Errorf("the next time: asked %d, not known of %d", n, len(w.wrong()))
	}
	w.interval, w.sweep = 10*time.Minute, 24*time.Hour
	w.rounds(6 * 24 * 8)
	if got := w.Sizes(); got != before {
		t.Errorf("a week later: %+v, want %+v", got, before)
	}
}

// Nothing tells these apart but who they are.
func TestWorkloadsByName(t *testing.T) {
	w := kinds()
	some := only("a-007", "b-100")
	w.set(2, some)
	w.rounds(125)
	if len(w.wrong()) > 0 {
		t.Fatalf("not known of %v after a sweep", w.wrong())
	}
	w.set(3, some)
	if w.round(); len(w.wrong()) > 0 {
		t.Errorf("the next time it does not find %v", w.wrong())
	}
}

// While an injector is upgraded, its replicas answer differently, some rounds long.
func TestUpgradesLeaveNothingBehind(t *testing.T) {
	for _, rounds := range []int{1, 2, 5, 10} {
		t.Run(fmt.Sprint(rounds, " rounds"), func(t *testing.T) {
			w := kinds()
			before := w.Sizes()
			for upgrade := range byte(8) {
				w.set(2+upgrade, all)
				w.mixed = true
				asked := w.rounds(rounds)
				w.mixed = false
				if asked > 600*rounds {
					t.Errorf("upgrade %d: asks %d in %d rounds of mixed answers", upgrade, asked, rounds)
				}
				if w.rounds(2); len(w.wrong()) > 0 {
					t.Errorf("upgrade %d: two rounds after its end, not known of %d", upgrade, len(w.wrong()))
				}
				w.rounds(20)
			}
			if got := w.Sizes(); got.Features > before.Features+1 {
				t.Errorf("%+v, was %+v", got, before)
			}
		})
	}
}

func TestWhatIsNoMove(t *testing.T) {
	for name, change := range map[string]func(*Answer[string]){
		"another question":      func(a *Answer[string]) { a.Asked, a.Outcome = Sum{9}, Sum{2} },
		"no answer":             func(a *Answer[string]) { a.Lost, a.Outcome = true, Sum{2} },
		"one that never agrees": func(a *Answer[string]) { a.Restless, a.Outcome = true, Sum{2} },
	} {
		t.Run(name, func(t *testing.T) {
			w := kinds()
			quiet := w.rounds(120)
			a := w.answers["a-004"]
			change(&a)
			w.answers["a-004"] = a
			if n := w.rounds(120); n > quiet+150 || w.learned > 0 || w.Inquiring() {
				t.Errorf("asks %d, in quiet %d; learned %d", n, quiet, w.learned)
			}
		})
	}
}

// What was lost is asked soon, and compared with what was known before.
func TestALostAnswerComesBackMoved(t *testing.T) {
	w := kinds()
	lost := w.answers["a-004"]
	lost.Lost = true
	w.answers["a-004"] = lost
	for !slices.Contains(w.asked, "a-004") {
		w.round()
	}
	lost.Lost, lost.Outcome = false, Sum{2}
	w.answers["a-004"] = lost
	if w.round(); w.believed["a-004"] != lost.Outcome || !w.Inquiring() {
		t.Error("it is not asked soon, or its move is not seen")
	}
}

// A version that each workload has for itself is no feature; when many come to share
// one, it is.
func TestValuesThatIdentify(t *testing.T) {
	w := newWorld()
	for i := range 400 {
		name := fmt.Sprintf("own-%03d", i)
		w.answers[name] = Answer[string]{Workload: name, Features: []Feature{f(1, 1), f(7, uint64(1000+i))}}
	}
	w.round()
	if got := w.Sizes(); got.Features != 1 || got.Sets != 400 {
		t.Errorf("%+v, want what all have alone", got)
	}
	if n := w.rounds(100) / 100; n > 8 {
		t.Errorf("a round asks %d", n)
	}
	for i := range 400 {
		name := fmt.Sprintf("own-%03d", i)
		a := w.answers[name]
		a.Features = []Feature{f(1, 1), f(7, uint64(1000+i%4))}
		w.answers[name] = a
	}
	w.rounds(125)
	if got := w.Sizes(); got.Features != 5 || got.Sets != 4 {
		t.Errorf("%+v, want the four values, too", got)
	}
	// As many values as are not worth it, until a change goes by one of them.
	for i := range 400 {
		name := fmt.Sprintf("own-%03d", i)
		a := w.answers[name]
		a.Features = []Feature{f(1, 1), f(7, uint64(2000+i%100))}
		w.answers[name] = a
	}
	w.rounds(125)
	if got := w.Sizes(); got.Features != 1 {
		t.Errorf("%+v of a hundred values", got)
	}
	value := func(name string) bool { return w.answers[name].Features[1] == f(7, 2042) }
	w.set(9, value)
	w.rounds(125)
	w.set(10, value)
	if w.round(); len(w.wrong()) > 0 {
		t.Errorf("not known of %v", w.wrong())
	}
}

// Everything is asked within the time of a sweep, evenly, also when rounds come late.
func TestTheSweepReachesAll(t *testing.T) {
	w := kinds()
	last := map[string]time.Time{}
	for k := range w.answers {
		last[k] = w.now
	}
	for i := range 500 {
		if n := w.round(); n > 40 && i > 0 {
			t.Fatalf("round %d asks %d: a burst", i, n)
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

// Where the API server gives less than a round asks for, everything has its turn, and
// the ledger says how long that takes.
func TestTheCoverHasItsShare(t *testing.T) {
	w := newWorld()
	for i := range uint64(40) {
		w.add(fmt.Sprintf("k%02d", i), 100, f(i, 1), f(100, i%10))
	}
	w.round()
	w.budget = 20
	w.rounds(100)
	if got := w.Detection(w.now); got < 3*w.interval || got > 6*w.interval {
		t.Errorf("with 10 a round for 40 features, none is older than %s", got)
	}
	w.set(2, of("k17"))
	for n := 0; w.believed["k17-000"] != (Sum{2}); n++ {
		if w.round(); n > 25 {
			t.Fatal("never found")
		}
		if len(w.asked) > w.budget+2*(confirmed+confirmed) {
			t.Fatalf("asks %d of %d", len(w.asked), w.budget)
		}
	}
	w.budget = 0
	w.rounds(5)
	if got := w.Detection(w.now); got != w.interval {
		t.Errorf("with all that it needs, %s", got)
	}
}

func BenchmarkDue(b *testing.B) {
	l, chance := New[int, int](), rand.New(rand.NewPCG(1, 1))
	now := time.Unix(1_000_000, 0)
	l.Begin()
	for i := range 22_800 {
		var features []Feature
		for place := range uint64(120) {
			features = append(features, f(place, uint64(chance.ExpFloat64())))
		}
		l.Answered(i, Answer[int]{Workload: i, Features: append(features, f(1000, uint64(i)))}, now)
	}
	l.End(now)
	for name, dirty := range map[string]bool{"quiet": false, "somebody came": true} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l.dirty = l.dirty || dirty
				l.Due(now, Plan{Rounds: 120, Sweep: time.Hour})
			}
		})
	}
}
