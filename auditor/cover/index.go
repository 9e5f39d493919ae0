package cover

import (
	"cmp"
	"slices"
	"time"
)

// index says who has what a round asks for.
type index[K, W comparable] struct {
	needs []need[K, W] // the rarest first
	// lone are those with a feature that nobody else has.
	lone []*entry[K, W]
}

// need is one or more features that the same revisions have, two workloads or more.
type need[K, W comparable] struct {
	sets    []*set[K, W]
	listed  []*entry[K, W] // instead, where what they share is no feature
	entries int
}

// each calls yield with who has it until that returns false.
func (n *need[K, W]) each(yield func(*entry[K, W]) bool) {
	for _, e := range n.listed {
		if !yield(e) {
			return
		}
	}
	for _, s := range n.sets {
		for _, e := range s.entries {
			if !yield(e) {
				return
			}
		}
	}
}

// extension of a feature: who has it.
type extension[W comparable] struct {
	hash     uint64
	sets     int
	workload W
	entries  int
	several  bool // workloads
	need     int32
}

func (x *extension[W]) add(hash uint64, entries int, w W) {
	x.several = x.several || x.sets > 0 && x.workload != w
	x.hash, x.workload, x.sets, x.entries = x.hash+hash, w, x.sets+1, x.entries+entries
}

// nobody needs to be asked for it.
const nobody = -1

// group is an extension without who it is.
type group struct {
	hash uint64
	sets int
}

func (x *extension[W]) group() group { return group{x.hash, x.sets} }

// reindex brings the index up to date.
func (l *Ledger[K, W]) reindex() {
	if !l.dirty {
		return
	}
	l.dirty = false
	l.measurePlaces()
	features := make([]extension[W], len(l.known))
	presence := map[*place]*extension[W]{}
	learned := make([]extension[W], len(l.learned))
	for _, s := range l.sets {
		if len(s.entries) == 0 {
			continue
		}
		several := s.several()
		add := func(x *extension[W]) {
			x.add(s.hash, len(s.entries), s.entries[0].workload)
			x.several = x.several || several
		}
		for _, id := range s.ids {
			add(&features[id])
			if at := l.known[id].place; at.own {
				if presence[at] == nil {
					presence[at] = &extension[W]{}
				}
				if !l.sharedBefore(s, id) {
					add(presence[at])
				}
			}
		}
		for i, f := range l.learned {
			if f.listed == nil && l.hasAll(s, f.features) {
				add(&learned[i])
			}
		}
	}
	l.build(features, presence, learned)
}

// sharedBefore reports whether a set has another value at the feature's place, of a
// smaller number.
func (l *Ledger[K, W]) sharedBefore(s *set[K, W], id uint32) bool {
	at := l.known[id].place
	for _, other := range s.ids {
		if other == id {
			return false
		}
		if l.known[other].place == at {
			return true
		}
	}
	return false
}

func (s *set[K, W]) several() bool {
	return slices.ContainsFunc(s.entries, func(e *entry[K, W]) bool { return e.workload != s.entries[0].workload })
}

// measurePlaces tells which places identify workloads.
func (l *Ledger[K, W]) measurePlaces() {
	for _, p := range l.places {
		p.entries = 0
	}
	for _, s := range l.sets {
		for _, id := range s.ids {
			l.known[id].place.entries += len(s.entries)
		}
	}
	for _, p := range l.places {
		p.own = p.identifies()
	}
}

// build makes needs of what several workloads have.
func (l *Ledger[K, W]) build(features []extension[W], presence map[*place]*extension[W], learned []extension[W]) {
	l.index = index[K, W]{}
	numbers := map[group]int32{}
	var needs []need[K, W]
	number := func(x *extension[W], wanted bool) {
		i, has := numbers[x.group()]
		if !has && wanted {
			i = int32(len(needs))
			numbers[x.group()], needs = i, append(needs, need[K, W]{sets: make([]*set[K, W], 0, x.sets)})
		}
		if x.need = i; !has && !wanted {
			x.need = nobody
		}
	}
	for i := range learned { // first: others of the same revisions may be wanted by nobody else
		number(&learned[i], learned[i].sets > 0)
	}
	for _, x := range presence {
		number(x, x.several)
	}
	for id := range features {
		if f := &l.known[id]; f.sets > 0 {
			f.wanted = features[id].several && f.place.tells(features[id].entries)
			number(&features[id], f.wanted)
		}
	}
	seen := make([]int, len(needs)) // the last set, from 1 on
	for at, s := range l.sets {
		s.needs = s.needs[:0]
		lone := false
		add := func(x *extension[W]) {
			i := x.need
			if i == nobody || seen[i] == at+1 {
				return
			}
			seen[i], s.needs = at+1, append(s.needs, i)
			needs[i].sets = append(needs[i].sets, s)
			needs[i].entries += len(s.entries)
		}
		if len(s.entries) == 0 {
			continue
		}
		for _, id := range s.ids {
			p := l.known[id].place
			if p.own {
				add(presence[p])
			}
			lone = lone || !p.own && !features[id].several
			add(&features[id])
		}
		for i, f := range l.learned {
			if f.listed == nil && l.hasAll(s, f.features) {
				add(&learned[i])
			}
		}
		if lone {
			l.index.lone = append(l.index.lone, s.entries...)
		}
	}
	l.index.needs = l.rarestFirst(needs)
}

// rarestFirst adds what was learned of workloads by name, and sorts.
func (l *Ledger[K, W]) rarestFirst(needs []need[K, W]) []need[K, W] {
	order := make([]int32, len(needs))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(needs[a].entries, needs[b].entries) })
	to := make([]int32, len(needs))
	sorted := l.listedNeeds()
	for _, from := range order {
		to[from] = int32(len(sorted))
		sorted = append(sorted, needs[from])
	}
	for _, s := range l.sets {
		for i := range s.needs {
			s.needs[i] = to[s.needs[i]]
		}
	}
	return sorted
}

// listedNeeds are those that were learned of workloads by name.
func (l *Ledger[K, W]) listedNeeds() []need[K, W] {
	var needs []need[K, W]
	for _, f := range l.learned {
		if f.listed == nil {
			continue
		}
		var n need[K, W]
		for _, e := range l.list {
			if f.listed[e.workload] {
				n.listed = append(n.listed, e)
			}
		}
		if n.entries = len(n.listed); n.entries > 0 {
			needs = append(needs, n)
		}
	}
	return needs
}

// last is when somebody was last asked who has it, as of when the sets looked.
func (n *need[K, W]) last() time.Time {
	var last time.Time
	for _, e := range n.listed {
		last = later(last, e.answered)
	}
	for _, s := range n.sets {
		last = later(last, s.last)
	}
	return last
}

// look finds out when somebody was last asked of each set.
func (l *Ledger[K, W]) look() {
	l.reindex()
	for _, s := range l.sets {
		s.last = time.Time{}
		for _, e := range s.entries {
			s.last = later(s.last, e.answered)
		}
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Detection is the promise that is kept: the longest that any feature had not been
// asked for when it was, in the last round, or has not been until now.
func (l *Ledger[K, W]) Detection(now time.Time) time.Duration {
	return max(l.worst, l.Age(now))
}

// Age is the longest that any feature that several workloads have has not been asked
// for.
func (l *Ledger[K, W]) Age(now time.Time) time.Duration {
	l.look()
	var age time.Duration
	for i := range l.index.needs {
		if last := l.index.needs[i].last(); !last.IsZero() {
			age = max(age, now.Sub(last))
		}
	}
	return age
}

// Oldest is the age of the oldest answer.
func (l *Ledger[K, W]) Oldest(now time.Time) time.Duration {
	var age time.Duration
	for _, e := range l.list {
		if !e.answered.IsZero() {
			age = max(age, now.Sub(e.answered))
		}
	}
	return age
}
