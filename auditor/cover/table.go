package cover

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"time"
)

// table keeps each feature, and each set of features, once. What nothing has any more
// is forgotten, and its number given to the next one.
type table[K, W comparable] struct {
	ids    map[Feature]uint32
	known  []numbered // by number
	free   []uint32
	places map[uint64]*place
	byKey  map[[16]byte]*set[K, W]
	sets   []*set[K, W]
}

// numbered is a feature and how many sets it is in; none: its number is free.
type numbered struct {
	Feature
	sets   int
	place  *place
	wanted bool // by the last index, rounds ask for it
}

// place is where features have values.
type place struct {
	values int // how many there are
	// entries, from the last index: how many have one there.
	entries int
	own     bool
}

// set is what some revisions have, all of it.
type set[K, W comparable] struct {
	key     [16]byte
	ids     []uint32 // sorted
	entries []*entry[K, W]
	holders int // beside the entries
	at      int // in the table
	needs   []int32
	hash    uint64
	last    time.Time // when one of them was last answered about
}

func newTable[K, W comparable]() table[K, W] {
	return table[K, W]{ids: map[Feature]uint32{}, places: map[uint64]*place{}, byKey: map[[16]byte]*set[K, W]{}}
}

// intern returns the set of these features, which must be let go again.
func (t *table[K, W]) intern(features []Feature) *set[K, W] {
	sorted := slices.Clone(features)
	slices.SortFunc(sorted, compareFeatures)
	sorted = slices.Compact(sorted)
	form := make([]byte, 0, 16*len(sorted))
	for _, f := range sorted {
		form = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(form, f.Place), f.Value)
	}
	sum := sha256.Sum256(form)
	key := [16]byte(sum[:16])
	if s := t.byKey[key]; s != nil {
		s.holders++
		return s
	}
	s := &set[K, W]{key: key, holders: 1, at: len(t.sets), ids: make([]uint32, 0, len(sorted)), hash: newHash()}
	for _, f := range sorted {
		s.ids = append(s.ids, t.number(f))
	}
	slices.Sort(s.ids)
	t.byKey[key], t.sets = s, append(t.sets, s)
	return s
}

func (t *table[K, W]) number(f Feature) uint32 {
	id, has := t.ids[f]
	if !has {
		if n := len(t.free); n > 0 {
			id, t.free = t.free[n-1], t.free[:n-1]
		} else {
			id, t.known = uint32(len(t.known)), append(t.known, numbered{})
		}
		at := t.places[f.Place]
		if at == nil {
			at = &place{}
			t.places[f.Place] = at
		}
		at.values++
		t.ids[f], t.known[id] = id, numbered{Feature: f, place: at}
	}
	t.known[id].sets++
	return id
}

// letGo forgets a set that nobody has any more.
func (t *table[K, W]) letGo(s *set[K, W]) {
	if s.holders--; s.holders > 0 {
		return
	}
	delete(t.byKey, s.key)
	last := t.sets[len(t.sets)-1]
	t.sets[s.at], last.at = last, s.at
	t.sets = slices.Delete(t.sets, len(t.sets)-1, len(t.sets))
	for _, id := range s.ids {
		f := &t.known[id]
		if f.sets--; f.sets > 0 {
			continue
		}
		if f.place.values--; f.place.values == 0 {
			delete(t.places, f.Place)
		}
		delete(t.ids, f.Feature)
		*f, t.free = numbered{}, append(t.free, id)
	}
}

// enter puts an entry into a set that it holds.
func (s *set[K, W]) enter(e *entry[K, W]) {
	e.set, e.slot = s, len(s.entries)
	s.entries = append(s.entries, e)
}

// leave takes it out again, which still holds the set.
func (s *set[K, W]) leave(e *entry[K, W]) {
	last := s.entries[len(s.entries)-1]
	s.entries[e.slot], last.slot = last, e.slot
	s.entries = slices.Delete(s.entries, len(s.entries)-1, len(s.entries))
}

// newHash tells a set from others in sums of hashes.
func newHash() uint64 { return rand.Uint64() }

// identifies reports whether the values of a place tell workloads apart rather than
// kinds of workloads: they hardly repeat, or are more than it is worth to ask for.
func (p *place) identifies() bool {
	const always = 8
	if p.values <= always {
		return false
	}
	return 2*p.values > p.entries || p.values > 2*always && p.values*p.values > p.entries
}

// tells reports whether a value at the place tells kinds of workloads apart that so many
// entries have: where others identify, one that many have does.
func (p *place) tells(entries int) bool {
	const least, of = 4, 16
	return !p.own || entries >= max(least, p.entries/of)
}
