// Package journal remembers changes of the injection: since when workloads differ, how far a
// change reached, and how it ended. It is pure: who audits tells it what was found, and keeps
// it.
package journal

import (
	"cmp"
	"slices"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
)

// Change is what an audit says of one.
type Change struct {
	ID                  string
	Summary, Kind, Risk string
	// Places are what it consists of, masked, and PlaceIDs names them: a part of a change has
	// an ID of its own, and the same places.
	Places    []Place
	PlaceIDs  []string
	Pods      int
	Workloads []inventory.WorkloadRef
}

// Place is a difference, as a report has it.
type Place struct {
	Part string `json:"part"`
	Path string `json:"path"`
	From string `json:"from,omitempty"` // JSON; empty: there was nothing
	To   string `json:"to,omitempty"`   // likewise
}

// Workload is what an audit says of a workload, whether it differs or not.
type Workload struct {
	// OldestPod is when its oldest Pod was started; zero: none was.
	OldestPod time.Time
	// Unknown: it could not be judged now, and is as it was.
	Unknown bool
}

// Journal has an entry for each change. The zero value has none. It is not for concurrent
// use.
type Journal struct {
	entries []*Entry // in the order in which they began
	earlier Earlier
	at      time.Time // of the last audit
}

// Limits of what is kept.
const (
	// MostEntries is how many changes have an entry; the oldest that have ended are counted
	// only.
	MostEntries = 300
	// MostAge is for how long one that has ended has an entry.
	MostAge = 90 * 24 * time.Hour
	// mostPlaces and mostNames bound what an entry names.
	mostPlaces, mostNames = 40, 20
	// flapping is for how long a change that has ended may come back as the same one: while
	// an injector is being upgraded, its replicas answer by turns.
	flapping = 15 * time.Minute
)

// Observe takes down what an audit found at a time: its changes, and all workloads.
func (j *Journal) Observe(changes []Change, workloads map[inventory.WorkloadRef]Workload, now time.Time) {
	now = now.UTC().Truncate(time.Second)
	present := map[string]bool{}
	having := map[string]map[inventory.WorkloadRef]bool{} // who has a place
	for _, c := range changes {
		present[c.ID] = true
		for _, place := range c.PlaceIDs {
			if having[place] == nil {
				having[place] = map[inventory.WorkloadRef]bool{}
			}
			for _, ref := range c.Workloads {
				having[place][ref] = true
			}
		}
	}
	for _, e := range j.entries {
		if e.Ended == nil {
			e.depart(having, workloads)
		}
	}
	for _, c := range changes {
		e := j.open(c.ID, now)
		if e == nil {
			e = j.begin(c, now)
		}
		e.observe(c, workloads)
	}
	for _, e := range j.entries {
		if e.Ended == nil {
			e.settle(present[e.ID], having, now)
		}
	}
	j.at = now
	j.forget(now)
}

// open returns the entry of a change that has not ended, or only just.
func (j *Journal) open(id string, now time.Time) *Entry {
	for _, e := range slices.Backward(j.entries) {
		if e.ID == id && (e.Ended == nil || now.Sub(e.Ended.At) <= flapping) {
			e.Ended = nil
			return e
		}
	}
	return nil
}

// begin adds an entry. Where all its places are some of another change's, or the other way
// round, that one has parted, or parts have come together, as workloads are rolled out one by
// one: this goes on with what is known of it.
func (j *Journal) begin(c Change, now time.Time) *Entry {
	e := &Entry{ID: c.ID, Began: Interval{After: j.at, By: now}}
	if now.Before(j.at) { // the clock was put back
		e.Began.After = now
	}
	for _, other := range j.entries {
		related := within(c.PlaceIDs, other.places) || within(other.places, c.PlaceIDs)
		if related && other.Ended == nil && other.Began.By.Before(now) && slices.ContainsFunc(c.Workloads, other.had) {
			e.goOn(other)
		}
	}
	e.of = map[inventory.WorkloadRef]time.Time{}
	at, _ := slices.BinarySearchFunc(j.entries, e, inOrder)
	j.entries = slices.Insert(j.entries, at, e)
	return e
}

// inOrder puts what began earlier first.
func inOrder(a, b *Entry) int { return cmp.Or(a.Began.By.Compare(b.Began.By), cmp.Compare(a.ID, b.ID)) }

// within reports whether all of one are in the other; none are in nothing.
func within(some, all []string) bool {
	return len(some) > 0 && !slices.ContainsFunc(some, func(s string) bool { return !slices.Contains(all, s) })
}

// forget counts the oldest that have ended, instead of keeping them.
func (j *Journal) forget(now time.Time) {
	over := len(j.entries) - MostEntries
	j.entries = slices.DeleteFunc(j.entries, func(e *Entry) bool {
		switch {
		case e.moved:
			over--
			return true
		case e.Ended == nil, over <= 0 && now.Sub(e.Ended.At) < MostAge:
			return false
		}
		over--
		j.earlier.add(e)
		return true
	})
	for ; over > 0 && len(j.entries) > MostEntries; over-- { // all are open
		j.earlier.add(j.entries[0])
		j.entries = slices.Delete(j.entries, 0, 1)
	}
}

// Since returns when open changes began, by their IDs.
func (j *Journal) Since() map[string]Interval {
	since := map[string]Interval{}
	for _, e := range j.entries {
		if e.Ended == nil {
			since[e.ID] = e.Began
		}
	}
	return since
}

// Entries returns what is known of changes, the last that began first. They do not change
// afterwards.
func (j *Journal) Entries() ([]Entry, Earlier) {
	list := make([]Entry, 0, len(j.entries))
	for _, e := range slices.Backward(j.entries) {
		copied := *e
		copied.Names = slices.Clone(e.Names)
		list = append(list, copied)
	}
	return list, j.earlier
}

// Restore makes a journal of what Entries returned, in whatever order it comes, and of when the
// last audit was. Whom a change was of is not known any more, so that those who are found
// without it later have been rolled out, as far as is known.
func Restore(entries []Entry, earlier Earlier, at time.Time) *Journal {
	j := &Journal{earlier: earlier, at: at}
	for _, e := range entries {
		if e.ID == "" || e.Began.By.IsZero() {
			continue
		}
		e.places, e.of = e.Parts, map[inventory.WorkloadRef]time.Time{}
		for _, name := range e.Names {
			e.of[name.ref()] = name.Oldest
		}
		j.entries = append(j.entries, &e)
	}
	slices.SortStableFunc(j.entries, inOrder)
	j.entries = j.entries[max(0, len(j.entries)-MostEntries):]
	return j
}
