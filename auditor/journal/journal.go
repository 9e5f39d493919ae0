// Package journal remembers changes of the injection: since when workloads differ, how far a
// change reached, and how it ended. It is pure: who audits tells it what was found, and keeps
// it.
package journal

import (
	"cmp"
	"slices"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/cause"
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

// Workload is what an audit says of a workload, whether it has a change or not.
type Workload struct {
	// OldestPod is when its oldest Pod was started; zero: none was.
	OldestPod time.Time
	Standing  Standing
}

// Standing is how a workload stands.
type Standing int

// Standings.
const (
	// Held is a workload that cannot be judged now: it has what it had.
	Held Standing = iota
	// Drifts is one that differs from what injection answers.
	Drifts
	// InSync is one that does not.
	InSync
	// Unclear is one of which it is not known whether what differs is injection's. Where its
	// Pods are the same, it has what it had.
	Unclear
)

// Audit is what one found.
type Audit struct {
	// Began is when it began to ask, and At when it ended: what changes in between may come
	// after the answer. Without the former it took no time.
	Began, At time.Time
	// Asked: workloads were asked about that stand for all; else only new Pods were looked at.
	Asked bool
	// Changes, those that most workloads have first.
	Changes   []Change
	Workloads map[inventory.WorkloadRef]Workload
}

// Journal has an entry for each change. The zero value has none. It is not for concurrent
// use.
type Journal struct {
	entries []*Entry // in the order in which they began
	earlier Earlier
	at      time.Time           // when the last audit that asked began
	places  map[string]Interval // since when somebody has them
}

// flapping is for how long a change that has ended may come back as the same one: while
// an injector is being upgraded, its replicas answer by turns.
const flapping = 15 * time.Minute

// holders are who has each place.
type holders map[string]map[inventory.WorkloadRef]bool

// Observe takes down what an audit found.
func (j *Journal) Observe(a Audit) {
	now := a.At.UTC().Truncate(time.Second)
	having, present := holders{}, map[string]bool{}
	for _, c := range a.Changes {
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
	fresh := j.firstSeen(having, now)
	isFresh := func(c Change) bool { return slices.ContainsFunc(c.PlaceIDs, func(p string) bool { return fresh[p] }) }
	for _, e := range j.entries {
		if e.Ended == nil {
			e.depart(having, a.Workloads)
		}
		e.comeBack(having, a.Workloads)
	}
	room := j.room()
	var grown []Change // that began now, with what others had before
	for _, c := range a.Changes {
		e := j.open(c, now)
		if e == nil && room.take(c) {
			e = j.begin(c, isFresh(c), now)
			if isFresh(c) {
				grown = append(grown, c)
			}
		}
		if e != nil {
			e.observe(c, a.Workloads)
		}
	}
	for _, e := range j.entries {
		if e.Ended == nil {
			outgrown := slices.ContainsFunc(grown, func(c Change) bool { return c.ID != e.ID && within(e.places, c.PlaceIDs) })
			e.settle(present[e.ID], outgrown, having, a.Workloads, now)
		}
	}
	if a.Asked {
		j.at = now
		if began := a.Began.UTC().Truncate(time.Second); !a.Began.IsZero() && began.Before(now) {
			j.at = began
		}
	}
	j.forget(now)
	j.dropPlaces(having, now)
}

// firstSeen takes down since when places are, and returns those that nobody had before.
func (j *Journal) firstSeen(having holders, now time.Time) map[string]bool {
	fresh := map[string]bool{}
	if j.places == nil {
		j.places = map[string]Interval{}
	}
	began := Interval{After: j.at, By: now}
	if now.Before(j.at) { // the clock was put back
		began.After = now
	}
	for place := range having {
		if _, known := j.places[place]; !known {
			j.places[place], fresh[place] = began, true
		}
	}
	return fresh
}

// began is when the last of a change's places was first seen.
func (j *Journal) began(c Change) Interval {
	var last Interval
	for _, place := range c.PlaceIDs {
		if began := j.places[place]; began.By.After(last.By) {
			last = began
		}
	}
	return last
}

// open returns the entry of a change that has not ended, or only just, or that went on as part
// of another one since.
func (j *Journal) open(c Change, now time.Time) *Entry {
	for _, e := range slices.Backward(j.entries) {
		if e.ID == c.ID && (e.Ended == nil || now.Sub(e.Ended.At) <= flapping || e.Ended.How == Superseded && e.Began == j.began(c)) {
			e.Ended = nil
			return e
		}
	}
	return nil
}

// begin adds an entry. Where nothing of it is new, and all its places are some of another
// change's, or the other way round, that one has parted, or parts have come together, as
// workloads are rolled out one by one: this goes on with what is known of it.
func (j *Journal) begin(c Change, fresh bool, now time.Time) *Entry {
	e := &Entry{ID: c.ID, Began: j.began(c)}
	for _, other := range j.entries {
		related := within(c.PlaceIDs, other.places) || within(other.places, c.PlaceIDs)
		if !fresh && related && other.Ended == nil && other.Began.By.Before(now) && slices.ContainsFunc(c.Workloads, other.had) {
			e.goOn(other)
		}
	}
	e.of, e.left = map[inventory.WorkloadRef]time.Time{}, map[inventory.WorkloadRef]departure{}
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

// dropPlaces forgets places that nobody has, and who had what has ended.
func (j *Journal) dropPlaces(having holders, now time.Time) {
	kept := map[string]bool{}
	for _, e := range j.entries {
		if e.Ended == nil {
			for _, place := range e.places {
				kept[place] = true
			}
		} else if now.Sub(e.Ended.At) > flapping {
			e.of, e.left = nil, nil
		}
	}
	for place := range j.places {
		if having[place] == nil && !kept[place] {
			delete(j.places, place)
		}
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

// Whose returns whose changes open ones are, by their IDs, where somebody looked.
func (j *Journal) Whose() map[string]cause.Verdict {
	whose := map[string]cause.Verdict{}
	for _, e := range j.entries {
		if e.Ended == nil && e.By != "" {
			whose[e.ID] = cause.Verdict{By: e.By, Writes: e.Writes}
		}
	}
	return whose
}

// Unexplained are open changes of which nobody has looked whose they are, by their IDs.
func (j *Journal) Unexplained() map[string]Interval {
	began := map[string]Interval{}
	for _, e := range j.entries {
		if e.Ended == nil && e.By == "" {
			began[e.ID] = e.Began
		}
	}
	return began
}

// Explain takes down whose change it is that began then.
func (j *Journal) Explain(id string, began Interval, v cause.Verdict) {
	for _, e := range j.entries {
		if e.ID == id && e.Began == began && e.By == "" {
			e.By, e.Writes = v.By, v.Writes
		}
	}
}

// Entries returns what is known of changes, the last that began first. They do not change
// afterwards.
func (j *Journal) Entries() ([]Entry, Earlier) {
	list := make([]Entry, 0, len(j.entries))
	for _, e := range slices.Backward(j.entries) {
		list = append(list, *e)
	}
	return list, j.earlier
}

// At is when an audit last asked; zero: none has.
func (j *Journal) At() time.Time { return j.at }

// Restore makes a journal of what Entries returned, in whatever order it comes, and of when an
// audit last asked.
func Restore(entries []Entry, earlier Earlier, at time.Time) *Journal {
	j := &Journal{earlier: earlier, at: at, places: map[string]Interval{}}
	for _, e := range entries {
		if e.ID == "" || e.Began.By.IsZero() {
			continue
		}
		e.places, e.of, e.left = e.Parts, map[inventory.WorkloadRef]time.Time{}, map[inventory.WorkloadRef]departure{}
		if e.Ended == nil {
			for _, name := range e.Names {
				e.of[name.ref()] = name.Oldest
			}
			e.unnamed = max(0, e.Open-len(e.of))
		}
		for _, place := range e.places {
			if began, known := j.places[place]; (e.Ended == nil || e.Ended.How == Superseded) && (!known || e.Began.By.Before(began.By)) {
				j.places[place] = e.Began
			}
		}
		j.entries = append(j.entries, &e)
	}
	slices.SortStableFunc(j.entries, inOrder)
	j.entries = j.entries[max(0, len(j.entries)-MostEntries):]
	return j
}
