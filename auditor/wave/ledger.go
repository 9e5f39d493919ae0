package wave

import (
	"maps"
	"slices"
	"time"
)

const (
	// mostRecords bounds what is kept. A change without a record reaches no wave but the
	// first, nor does one at a place without.
	mostRecords = 1000
	// keptFor is for how long a change is kept that nothing drifts by any more.
	keptFor = 7 * 24 * time.Hour
	// namedNamespaces is how many namespaces that keep a wave from its end are named.
	namedNamespaces = 4
	// namedChanges is how many of the report's changes a record names.
	namedChanges = 8
)

// Ledger is how far each change is. The zero value is an empty one; JSON keeps it.
type Ledger struct {
	// Records by the ID of a change that several workloads have, or of a place.
	Records map[string]*Record `json:"records,omitempty"`
	// Unjudged is how many workloads of a wave are not judged.
	Unjudged map[string]int `json:"unjudged,omitempty"`
}

// Record is how far one change is, or all at one place together. By those of places,
// changes are judged that earlier waves do not have just so, as a value that is another
// one for each workload or namespace.
type Record struct {
	Place string    `json:"place"`
	Since time.Time `json:"since"`
	Seen  time.Time `json:"seen"` // when something last drifted by it
	// Gone: nothing drifted by it any more, and all was judged.
	Gone bool `json:"gone,omitempty"`
	// Waves by their names.
	Waves map[string]Reach `json:"waves"`
	// Whole: the record is of all changes at the place.
	Whole bool `json:"whole,omitempty"`
	// Changes are IDs of the report's changes that it is of, as something last drifted by it.
	Changes []string `json:"changes,omitempty"`
}

// Reach is how far a change is in one wave.
type Reach struct {
	Drifted int       `json:"drifted"` // workloads that drift by it now
	Most    int       `json:"most"`    // that did at once
	Last    time.Time `json:"last"`    // when it was first seen that no more did than may be left
	Undone  bool      `json:"undone,omitempty"`
	// Namespaces of some that drift by it.
	Namespaces []string `json:"-"`
}

// Update takes down what an audit found, and returns how many changes there is no room
// for. A change that was gone, and comes back, is a new one.
func (l *Ledger) Update(waves []Wave, members []Member, now time.Time) (left int) {
	if l.Records == nil {
		l.Records = map[string]*Record{}
	}
	l.Unjudged = map[string]int{}
	shared := map[string]int{}
	for _, m := range members {
		for _, c := range m.Changes {
			shared[c.ID]++
		}
	}
	found, named := map[string]map[string]Reach{}, map[string][]string{}
	for _, m := range members {
		switch {
		case m.Wave == "":
			continue
		case m.Unjudged:
			l.Unjudged[m.Wave]++
		}
		for id, record := range recordsOf(m.Changes) {
			if l.Records[id] == nil {
				if !record.Whole && shared[id] < 2 {
					continue
				}
				if len(l.Records) >= mostRecords {
					left++
					continue
				}
				l.Records[id] = &Record{Place: record.Place, Whole: record.Whole, Since: now}
			}
			if found[id] == nil {
				found[id] = map[string]Reach{}
			}
			found[id][m.Wave] = found[id][m.Wave].with(m.Namespace)
			named[id] = append(named[id], record.Changes...)
		}
	}
	for id, r := range l.Records {
		r.update(waves, found[id], l.Unjudged, now)
		if len(found[id]) > 0 {
			r.Changes = bounded(named[id])
		}
	}
	maps.DeleteFunc(l.Records, func(_ string, r *Record) bool { return now.Sub(r.Seen) > keptFor })
	return left
}

// recordsOf are the records of a workload's changes: each one's own, and its place's.
func recordsOf(changes []Change) map[string]Record {
	records := map[string]Record{}
	for _, c := range changes {
		var of []string
		if c.Of != "" {
			of = []string{c.Of}
		}
		records[c.ID] = Record{Place: c.Place, Changes: of}
		place := idOf(c.Place)
		records[place] = Record{Place: c.Place, Whole: true, Changes: append(records[place].Changes, of...)}
	}
	return records
}

// bounded are some of the IDs, each once, sorted.
func bounded(ids []string) []string {
	slices.Sort(ids)
	ids = slices.Compact(ids)
	return ids[:min(len(ids), namedChanges)]
}

// with counts one more workload.
func (r Reach) with(namespace string) Reach {
	r.Drifted++
	if len(r.Namespaces) < namedNamespaces && !slices.Contains(r.Namespaces, namespace) {
		r.Namespaces = append(r.Namespaces, namespace)
	}
	return r
}

func (r *Record) update(waves []Wave, found map[string]Reach, unjudged map[string]int, now time.Time) {
	if len(found) > 0 {
		if r.Gone || r.Whole && r.grows(found) {
			r.Since, r.Waves = now, nil
		}
		r.Seen, r.Gone = now, false
	} else if len(unjudged) == 0 {
		r.Gone = true
	}
	reached := map[string]Reach{}
	for _, w := range waves {
		before, reach := r.Waves[w.Name], found[w.Name]
		reach.Most = max(before.Most, reach.Drifted)
		reach.Last, reach.Undone = before.Last, !w.done(reach, unjudged[w.Name])
		if reach.Undone || before.Undone {
			reach.Last = now
		}
		reached[w.Name] = reach
	}
	r.Waves = reached
}

// grows reports whether more workloads of a wave drift at the place than did: what is new
// there may be another change.
func (r *Record) grows(found map[string]Reach) bool {
	for name, reach := range found {
		if reach.Drifted > r.Waves[name].Drifted {
			return true
		}
	}
	return false
}

// done reports whether no more of the wave's workloads drift than may be left.
func (w Wave) done(reach Reach, unjudged int) bool {
	left := reach.Drifted + unjudged
	return left*100 <= w.MaxDrift*max(reach.Most, left)
}

// Open reports whether all of a workload's changes have reached its wave.
func (l *Ledger) Open(waves []Wave, m Member, now time.Time) bool {
	at := slices.IndexFunc(waves, func(w Wave) bool { return w.Name == m.Wave })
	if at <= 0 {
		return at == 0
	}
	return !slices.ContainsFunc(m.Changes, func(c Change) bool {
		own, place := l.Records[c.ID], l.Records[idOf(c.Place)]
		return place == nil ||
			own != nil && own.reached(waves, now) < at ||
			(own == nil || !own.hasBeenIn(waves[:at])) && place.reached(waves, now) < at
	})
}

// hasBeenIn reports whether each of the waves had workloads that drifted by it.
func (r *Record) hasBeenIn(waves []Wave) bool {
	return !slices.ContainsFunc(waves, func(w Wave) bool { return r.Waves[w.Name].Most == 0 })
}

// reached is the first wave that is not over, which is to say rolled out for long enough.
func (r *Record) reached(waves []Wave, now time.Time) int {
	for i, w := range waves {
		if r.Waves[w.Name].Undone || now.Before(r.soaked(w)) {
			return i
		}
	}
	return len(waves)
}

// soaked is when a wave that is done has been for long enough. One that the change does
// not reach is waited for as long, since that may yet show.
func (r *Record) soaked(w Wave) time.Time {
	if last := r.Waves[w.Name].Last; last.After(r.Since) {
		return last.Add(w.Soak)
	}
	return r.Since.Add(w.Soak)
}
