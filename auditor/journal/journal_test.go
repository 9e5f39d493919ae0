package journal

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// world is a cluster whose workloads have places that differ, each "p" or "q".
type world struct {
	t       *testing.T
	journal *Journal
	now     time.Time
	places  map[string]string    // of workloads by name: "p", "pq", ""; "?" is Held, "~" Unclear, "!" Drifts in what has no entry
	born    map[string]time.Time // their oldest Pods
}

func newWorld(t *testing.T, names ...string) *world {
	w := &world{t: t, journal: &Journal{}, now: noon, places: map[string]string{}, born: map[string]time.Time{}}
	for _, name := range names {
		w.places[name], w.born[name] = "", noon.Add(-time.Hour)
	}
	w.audit()
	return w
}

// audit is one a minute later. Places that the same workloads have are one change.
func (w *world) audit() {
	w.now = w.now.Add(time.Minute)
	having, workloads := map[rune][]string{}, map[inventory.WorkloadRef]Workload{}
	for name, places := range w.places {
		standing, other := map[string]Standing{"": InSync, "?": Held, "~": Unclear}[places]
		if !other {
			standing = Drifts
		}
		workloads[ref(name)] = Workload{OldestPod: w.born[name], Standing: standing}
		for _, place := range strings.Trim(places, "?~!") {
			having[place] = append(having[place], name)
		}
	}
	groups := map[string][]string{}
	for place, names := range having {
		slices.Sort(names)
		key := strings.Join(names, " ")
		groups[key] = append(groups[key], string(place))
	}
	var changes []Change
	for key, places := range groups {
		slices.Sort(places)
		c := Change{ID: strings.Join(places, ""), Summary: "change of " + strings.Join(places, ", "), PlaceIDs: places}
		for _, name := range strings.Fields(key) {
			c.Workloads = append(c.Workloads, ref(name))
			c.Pods += 2
		}
		changes = append(changes, c)
	}
	rand.Shuffle(len(changes), func(i, k int) { changes[i], changes[k] = changes[k], changes[i] })
	w.journal.Observe(Audit{At: w.now, Asked: true, Changes: changes, Workloads: workloads})
}

func ref(name string) inventory.WorkloadRef {
	return inventory.WorkloadRef{Kind: "Deployment", Namespace: "ns-" + name[:1], Name: name}
}

// set gives workloads places.
func (w *world) set(places string, names ...string) {
	for _, name := range names {
		w.places[name] = places
	}
}

// rollOut makes the Pods of workloads anew.
func (w *world) rollOut(names ...string) {
	w.set("", names...)
	for _, name := range names {
		w.born[name] = w.now.Add(time.Second)
	}
}

// want compares what the journal says, the last first, in minutes since noon.
func (w *world) want(what string, lines ...string) {
	w.t.Helper()
	entries, _ := w.journal.Entries()
	var got []string
	minutes := func(at time.Time) string {
		if at.IsZero() {
			return "?"
		}
		return fmt.Sprint(at.Sub(noon).Minutes())
	}
	for _, e := range entries {
		line := fmt.Sprintf("%s began %s-%s reach %d/%d/%d open %d", e.ID, minutes(e.Began.After), minutes(e.Began.By), e.Reach.Workloads, e.Reach.Pods, e.Reach.Namespaces, e.Open)
		for _, count := range []struct {
			name string
			n    int
		}{{"new", e.RolledOut}, {"back", e.TakenBack}, {"other", e.Superseded}, {"gone", e.Gone}} {
			if count.n > 0 {
				line += fmt.Sprintf(" %s %d", count.name, count.n)
			}
		}
		if e.Half != nil {
			line += " half " + minutes(*e.Half)
		}
		if e.Ended != nil {
			line += fmt.Sprintf(" %s %s", e.Ended.How, minutes(e.Ended.At))
		}
		got = append(got, line)
	}
	if diff := cmp.Diff(lines, got); diff != "" {
		w.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestAChangeIsRolledOut(t *testing.T) {
	w := newWorld(t, "a1", "a2", "b1", "b2")
	w.want("nothing differs")
	w.set("p", "a1", "a2", "b1", "b2")
	w.audit()
	w.want("it begins", "p began 1-2 reach 4/8/2 open 4")
	w.rollOut("a1")
	w.audit()
	w.want("one is rolled out", "p began 1-2 reach 4/8/2 open 3 new 1")
	w.rollOut("b1")
	w.audit()
	w.want("half are", "p began 1-2 reach 4/8/2 open 2 new 2 half 4")
	w.rollOut("a2", "b2")
	w.audit()
	w.want("all are", "p began 1-2 reach 4/8/2 open 0 new 4 half 4 RolledOut 5")
	w.now = w.now.Add(time.Hour)
	w.set("p", "a1")
	w.audit()
	w.want("it comes again", "p began 5-66 reach 1/2/1 open 1", "p began 1-2 reach 4/8/2 open 0 new 4 half 4 RolledOut 5")
}

func TestHowAChangeEnds(t *testing.T) {
	w := newWorld(t, "a1", "a2", "a3")
	w.set("p", "a1", "a2", "a3")
	w.audit()
	w.set("", "a1", "a2", "a3")
	w.audit()
	w.want("injection answers as before", "p began 1-2 reach 3/6/1 open 0 back 3 half 3 TakenBack 3")
	w.set("p", "a1", "a2", "a3")
	w.audit()
	w.want("and an old replica of the injector otherwise", "p began 1-2 reach 3/6/1 open 3")
	w.set("q", "a1", "a2", "a3")
	w.audit()
	w.want("and then once more, and all differ in that", "q began 4-5 reach 3/6/1 open 3", "p began 1-2 reach 3/6/1 open 0 other 3 half 5 Superseded 5")
	clear(w.places)
	w.audit()
	w.want("all are deleted", "q began 4-5 reach 3/6/1 open 0 gone 3 half 6 Gone 6", "p began 1-2 reach 3/6/1 open 0 other 3 half 5 Superseded 5")
}

// An audit finds no Pods of a workload whose Pods are all made anew while it asks.
func TestWhoIsGoneComesBack(t *testing.T) {
	w := newWorld(t, "a1", "a2", "a3")
	w.set("p", "a1", "a2", "a3")
	w.audit()
	w.rollOut("a1")
	delete(w.places, "a2")
	w.audit()
	w.want("one has no Pods", "p began 1-2 reach 3/6/1 open 1 new 1 gone 1 half 3")
	w.rollOut("a2")
	delete(w.places, "a3")
	w.audit()
	w.want("it has new ones", "p began 1-2 reach 3/6/1 open 0 new 2 gone 1 half 3 RolledOut 4")
	w.set("q", "a3")
	w.audit()
	w.want("and the last one other ones", "q began 4-5 reach 1/2/1 open 1", "p began 1-2 reach 3/6/1 open 0 new 2 other 1 half 3 RolledOut 4")

	w = newWorld(t, "a1")
	w.set("p", "a1")
	w.audit()
	delete(w.places, "a1")
	w.audit()
	before, _ := w.journal.Entries()
	w.set("?", "a1")
	w.audit()
	w.want("nobody knows what it has", "p began 1-2 reach 1/2/1 open 0 gone 1 Gone 3")
	w.set("p", "a1")
	w.audit()
	w.want("it has what it had", "p began 1-2 reach 1/2/1 open 1")
	delete(w.places, "a1")
	w.audit()
	w.rollOut("a1")
	w.audit()
	w.want("it was rolled out", "p began 1-2 reach 1/2/1 open 0 new 1 RolledOut 6")
	if before[0].Ended == nil || before[0].Ended.How != Gone {
		t.Errorf("what was returned changes: %+v", before[0].Ended)
	}
}

// However often an injector that is being upgraded answers otherwise, each workload counts
// once.
func TestFlapping(t *testing.T) {
	w := newWorld(t, "a1", "a2", "a3")
	for range 4 {
		w.set("p", "a1", "a2", "a3")
		w.audit()
		w.set("", "a1", "a2", "a3")
		w.audit()
	}
	w.set("p", "a1", "a2", "a3")
	w.audit()
	w.rollOut("a1", "a2", "a3")
	w.audit()
	w.want("rolled out in the end", "p began 1-2 reach 3/6/1 open 0 new 3 half 11 RolledOut 11")
}

// While an injector is away, nobody can be judged, and no change has ended.
func TestWhatIsUnknownStays(t *testing.T) {
	w := newWorld(t, "a1", "a2")
	w.set("p", "a1", "a2")
	w.audit()
	w.set("?", "a1", "a2")
	w.audit()
	w.want("away", "p began 1-2 reach 2/4/1 open 2")
	w.set("p", "a1")
	w.rollOut("a2")
	w.audit()
	w.want("back", "p began 1-2 reach 2/4/1 open 1 new 1 half 4")
	w.set("~", "a1")
	w.audit()
	w.want("it differs in something that nobody knows", "p began 1-2 reach 2/4/1 open 1 new 1 half 4")
	w.born["a1"] = w.now
	w.audit()
	w.want("but its Pods are new", "p began 1-2 reach 2/4/1 open 0 new 2 half 4 RolledOut 6")
}

// A workload that has one half of a change alone parts it for all; what is known of it stays.
func TestAChangeParts(t *testing.T) {
	w := newWorld(t, "a1", "a2", "a3", "a4")
	w.set("pq", "a1", "a2", "a3", "a4")
	w.audit()
	w.rollOut("a1")
	w.audit()
	w.set("p", "a2")
	w.born["a2"] = w.now
	w.audit()
	w.want("parted", "q began 1-2 reach 4/8/1 open 2 new 1 half 4", "p began 1-2 reach 4/8/1 open 3 new 1")
	w.rollOut("a2")
	w.audit()
	w.want("whole again", "pq began 1-2 reach 4/8/1 open 2 new 2 half 4")
}

// What comes on top of an old change is a new one, which has not begun when that did; and
// when it is taken back, the old one goes on, and it is known that there was another.
func TestAChangeOnTop(t *testing.T) {
	w := newWorld(t, "a1", "a2")
	w.set("p", "a1", "a2")
	w.audit()
	w.set("pq", "a1", "a2")
	w.audit()
	w.want("on top", "pq began 2-3 reach 2/4/1 open 2", "p began 1-2 reach 2/4/1 open 0 Superseded 3")
	w.now = w.now.Add(time.Hour)
	w.set("p", "a1", "a2")
	w.audit()
	w.want("taken back", "pq began 2-3 reach 2/4/1 open 0 Superseded 64", "p began 1-2 reach 2/4/1 open 2")
	w.rollOut("a1", "a2")
	w.audit()
	w.want("rolled out", "pq began 2-3 reach 2/4/1 open 0 Superseded 64", "p began 1-2 reach 2/4/1 open 0 new 2 half 65 RolledOut 65")
}

func TestAnotherChangeOfSomeOfThem(t *testing.T) {
	w := newWorld(t, "a1", "a2", "a3")
	w.set("p", "a1", "a2", "a3")
	w.audit()
	w.set("pq", "a1")
	w.audit()
	w.want("both", "q began 2-3 reach 1/2/1 open 1", "p began 1-2 reach 3/6/1 open 3")
}

// A leader that comes after another goes on with what that kept.
func TestRestore(t *testing.T) {
	w := newWorld(t, "a1", "a2")
	w.set("p", "a1", "a2")
	w.audit()
	entries, earlier := w.journal.Entries()
	text, err := json.Marshal(entries)
	if err != nil {
		t.Fatal(err)
	}
	var kept []Entry
	if err := json.Unmarshal(text, &kept); err != nil {
		t.Fatal(err)
	}
	w.journal = Restore(kept, earlier, w.now)
	again, _ := w.journal.Entries()
	if diff := cmp.Diff(entries, again, cmpopts.IgnoreUnexported(Entry{})); diff != "" {
		t.Errorf("restored (-kept +restored):\n%s", diff)
	}
	w.rollOut("a1")
	w.set("q", "a2")
	w.audit()
	w.want("goes on", "q began 2-3 reach 1/2/1 open 1", "p began 1-2 reach 2/4/1 open 0 new 1 other 1 half 3 RolledOut 3")
	if _, err := json.Marshal(Restore([]Entry{{}, {ID: "x"}}, Earlier{}, noon).Since()); err != nil || len(Restore([]Entry{{}, {ID: "x"}}, Earlier{}, noon).entries) != 0 {
		t.Error("entries without an ID or a beginning are taken for changes")
	}
}

// A new leader knows few by name. Those who cannot be judged are taken for some of the others,
// and those who are in sync have been rolled out.
func TestRestoreOfMany(t *testing.T) {
	names := make([]string, 50)
	for n := range names {
		names[n] = fmt.Sprintf("a%02d", n)
	}
	w := newWorld(t, names...)
	w.set("p", names...)
	w.audit()
	restart := func() {
		entries, earlier := w.journal.Entries()
		w.journal = Restore(entries, earlier, w.now)
	}
	restart()
	w.set("?", names...)
	w.audit()
	w.want("away", "p began 1-2 reach 50/100/1 open 50")
	restart()
	w.set("p", names...)
	w.rollOut(names[10:]...)
	w.audit()
	w.want("rolled out meanwhile", "p began 1-2 reach 50/100/1 open 10 new 40 half 4")
}

// A round that looks at new Pods alone says nothing of when injection answered what.
func TestARoundThatAsksNobody(t *testing.T) {
	j, workloads := &Journal{}, map[inventory.WorkloadRef]Workload{}
	j.Observe(Audit{Began: noon, At: noon.Add(2 * time.Minute), Asked: true, Workloads: workloads})
	j.Observe(Audit{At: noon.Add(4 * time.Minute), Workloads: workloads})
	j.Observe(Audit{At: noon.Add(5 * time.Minute), Asked: true, Workloads: workloads, Changes: []Change{{ID: "p", PlaceIDs: []string{"p"}, Workloads: []inventory.WorkloadRef{ref("w0")}}}})
	if diff := cmp.Diff(map[string]Interval{"p": {After: noon, By: noon.Add(5 * time.Minute)}}, j.Since()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A clock that is put back makes no interval that ends before it begins.
func TestAClockThatSteps(t *testing.T) {
	w := newWorld(t, "a1")
	for n := range 200 {
		w.now = w.now.Add(time.Duration(rand.IntN(240)-120) * time.Minute)
		w.set([]string{"", "p", "q", "pq", "?"}[rand.IntN(5)], "a1")
		w.audit()
		entries, _ := w.journal.Entries()
		for _, e := range entries {
			if e.Began.By.Before(e.Began.After) || e.Open > e.Reach.Workloads || e.Ended != nil && e.Open > 0 {
				t.Fatalf("after %d: %+v", n, e)
			}
		}
	}
}
