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
	places  map[string]string    // of workloads by name: "p", "pq", ""; "?" is Unknown, and has what it had
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
		workloads[ref(name)] = Workload{OldestPod: w.born[name], Unknown: places == "?"}
		for _, place := range strings.Trim(places, "?") {
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
	w.journal.Observe(changes, workloads, w.now)
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
		for count, n := range map[string]int{" new %d": e.RolledOut, " back %d": e.TakenBack, " gone %d": e.Gone} {
			if n > 0 {
				line += fmt.Sprintf(count, n)
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
	w.want("and an old replica of the injector otherwise", "p began 1-2 reach 3/6/1 open 3 back 3")
	clear(w.places)
	w.audit()
	w.want("all are deleted", "p began 1-2 reach 3/6/1 open 0 back 3 gone 3 half 5 TakenBack 5")
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
	w.want("goes on", "q began 2-3 reach 1/2/1 open 1", "p began 1-2 reach 2/4/1 open 0 new 1 back 1 half 3 RolledOut 3")
	if _, err := json.Marshal(Restore([]Entry{{}, {ID: "x"}}, Earlier{}, noon).Since()); err != nil || len(Restore([]Entry{{}, {ID: "x"}}, Earlier{}, noon).entries) != 0 {
		t.Error("entries without an ID or a beginning are taken for changes")
	}
}

// A thousand changes leave a bounded journal, and open ones are the last to go.
func TestBounds(t *testing.T) {
	j := &Journal{}
	workloads := map[inventory.WorkloadRef]Workload{}
	for n := range 1000 {
		name := fmt.Sprintf("w%d", n)
		workloads[ref(name)] = Workload{}
		first := Change{ID: "first", PlaceIDs: []string{"first"}, Workloads: []inventory.WorkloadRef{ref("w0")}}
		j.Observe([]Change{first, {ID: name, PlaceIDs: []string{name}, Workloads: []inventory.WorkloadRef{ref(name)}}}, workloads, noon.Add(time.Duration(n)*time.Minute))
	}
	entries, earlier := j.Entries()
	if len(entries) != MostEntries || earlier.Changes != 1001-MostEntries || entries[len(entries)-1].ID != "first" {
		t.Errorf("%d entries, %d earlier, the oldest is %s", len(entries), earlier.Changes, entries[len(entries)-1].ID)
	}
	for n := range MostEntries + 20 {
		var open []Change
		for m := range n + 1 {
			id := fmt.Sprint("open", m)
			open = append(open, Change{ID: id, PlaceIDs: []string{id}, Workloads: []inventory.WorkloadRef{ref("w0")}})
		}
		j.Observe(open, workloads, noon.Add(time.Duration(2000+n)*time.Minute))
	}
	if entries, _ := j.Entries(); len(entries) != MostEntries {
		t.Errorf("%d entries are kept of open changes", len(entries))
	}
	old := &Journal{}
	old.Observe([]Change{{ID: "x", PlaceIDs: []string{"x"}, Workloads: []inventory.WorkloadRef{ref("w0")}}}, workloads, noon)
	old.Observe(nil, workloads, noon.Add(time.Hour))
	if old.Observe(nil, workloads, noon.Add(MostAge+2*time.Hour)); len(old.entries) != 0 || old.earlier.Changes != 1 {
		t.Errorf("after 90 days: %+v", old.entries)
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
