package journal

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
)

// A thousand changes leave a bounded journal, and open ones are the last to go.
func TestBounds(t *testing.T) {
	j := &Journal{}
	workloads := map[inventory.WorkloadRef]Workload{}
	for n := range 1000 {
		name := fmt.Sprintf("w%d", n)
		workloads[ref(name)] = Workload{Standing: InSync}
		first := Change{ID: "first", PlaceIDs: []string{"first"}, Workloads: []inventory.WorkloadRef{ref("w0")}}
		changes := []Change{first, {ID: name, PlaceIDs: []string{name}, Workloads: []inventory.WorkloadRef{ref(name)}}}
		j.Observe(Audit{At: noon.Add(time.Duration(n) * time.Minute), Asked: true, Changes: changes, Workloads: workloads})
	}
	entries, earlier := j.Entries()
	if len(entries) != MostEntries || earlier.Changes != 1001-MostEntries || entries[len(entries)-1].ID != "first" {
		t.Errorf("%d entries, %d earlier, the oldest is %s", len(entries), earlier.Changes, entries[len(entries)-1].ID)
	}
	var open []Change
	for m := range MostEntries + 20 {
		id := fmt.Sprint("open", m)
		open = append(open, Change{ID: id, PlaceIDs: []string{id}, Workloads: []inventory.WorkloadRef{ref("w0")}})
	}
	for n := range 5 {
		j.Observe(Audit{At: noon.Add(time.Duration(2000+n) * time.Minute), Asked: true, Changes: open, Workloads: workloads})
	}
	since := j.Since()
	if entries, _ := j.Entries(); len(entries) != MostEntries || len(since) != mostOpen || since["open0"].By != noon.Add(2000*time.Minute) {
		t.Errorf("%d entries, %d of them open, the first since %v", len(entries), len(since), since["open0"])
	}
	old := &Journal{}
	old.Observe(Audit{At: noon, Changes: []Change{{ID: "x", PlaceIDs: []string{"x"}, Workloads: []inventory.WorkloadRef{ref("w0")}}}, Workloads: workloads})
	old.Observe(Audit{At: noon.Add(time.Hour), Workloads: workloads})
	if old.Observe(Audit{At: noon.Add(MostAge + 2*time.Hour), Workloads: workloads}); len(old.entries) != 0 || old.earlier.Changes != 1 {
		t.Errorf("after 90 days: %+v", old.entries)
	}
}

// A tenant who makes changes pushes out none of others, neither what has ended nor what is open.
func TestATenantPushesOutNobody(t *testing.T) {
	for _, ends := range []bool{true, false} {
		j := &Journal{}
		workloads := map[inventory.WorkloadRef]Workload{}
		now := noon
		change := func(id string, names ...string) Change {
			c := Change{ID: id, PlaceIDs: []string{id}}
			for _, name := range names {
				c.Workloads = append(c.Workloads, ref(name))
				workloads[ref(name)] = Workload{Standing: InSync}
			}
			return c
		}
		audit := func(changes ...Change) {
			now = now.Add(time.Hour)
			j.Observe(Audit{At: now, Asked: true, Changes: changes, Workloads: workloads})
		}
		for n := range 50 {
			audit(change(fmt.Sprint("wide", n), "a1", "b1"), change(fmt.Sprint("own", n), "c1"))
		}
		audit()
		var flood []Change
		for n := range 1000 {
			if flood = append(flood, change(fmt.Sprint("flood", n), "t1")); ends {
				audit(flood[n])
			}
		}
		audit(flood...)
		audit(append([]Change{change("late", "a1", "b1")}, append(flood, change("late-own", "d1"))...)...)
		entries, earlier := j.Entries()
		of := map[byte]int{}
		for _, e := range entries {
			of[e.ID[0]]++
		}
		if of['w'] != 50 || of['o'] < mostAlone || of['l'] != 2 || len(entries) > MostEntries || len(entries)+earlier.Changes < 1100 && ends {
			t.Errorf("the flood ends %t: of each %v, %d earlier", ends, of, earlier.Changes)
		}
		since := j.Since()
		audit(append([]Change{change("late", "a1", "b1")}, append(flood, change("late-own", "d1"))...)...)
		if diff := cmp.Diff(since, j.Since()); diff != "" || len(since) != mostOpen {
			t.Errorf("the flood ends %t: %d are open, and others the next time (-before +after):\n%s", ends, len(since), diff)
		}
	}
}
