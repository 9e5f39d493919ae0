package meaning

import (
	"slices"
	"strconv"
)

// preferred are keys by which the items of lists are told apart.
var preferred = []string{"name", "id", "key", "destination", "path", "mountPath"}

// matching is which item of one list is which of another one.
type matching struct {
	pairs []pair // in the order of the first list, then what only the second has
	moved bool   // those that both have come in another order
}

// pair are the indexes of an item in two lists; -1 where it is in none.
type pair struct {
	a, b int
	// place names it in a Variation, shown in a path.
	place, shown string
}

// match tells items apart by what they are called: flags of a program by their
// names, objects by the value of one key. It reports false for lists of which this
// cannot be done, and has the same answer for the lists the other way round.
func match(a, b *Value) (matching, bool) {
	if len(a.items) == 0 || len(b.items) == 0 {
		return matching{}, false
	}
	if a.names != nil && b.names != nil {
		return matchArguments(a, b)
	}
	if a.names != nil || b.names != nil {
		return matching{}, false
	}
	key, ok := identity(a, b)
	if !ok {
		return matching{}, false
	}
	return matchNames(a.identities(key), b.identities(key), func(name string) (string, string) {
		shown := (&Value{kind: leaf, raw: []byte(name)}).text()
		return placeKey('=', strconv.Itoa(len(key)), ":", key, name), shown
	}), true
}

// identity is the key by which the items of both lists are told apart: one whose
// values are the same set in both, texts if it is no preferred key, or else a
// preferred one with some in common.
func identity(a, b *Value) (string, bool) {
	keys := slices.Clone(preferred)
	for i := range a.items[0].names {
		if key := a.items[0].names[i]; a.items[0].kind == mapping && !slices.Contains(preferred, key) {
			keys = append(keys, key)
		}
	}
	second := ""
	for i, key := range keys {
		inA := unique(a.identities(key))
		if inA == nil {
			continue
		}
		inB := unique(b.identities(key))
		if inB == nil {
			continue
		}
		both, texts := 0, true
		for name := range inA {
			texts = texts && name[0] == '"'
			if _, ok := inB[name]; ok {
				both++
			}
		}
		known := i < len(preferred)
		if (known || texts) && both == len(inA) && both == len(inB) {
			return key, true
		}
		if known && both > 0 && second == "" {
			second = key
		}
	}
	return second, second != ""
}

// identities are the values under a key of the items of a list, nil if not all of
// them are objects that have a text or a number there.
func (v *Value) identities(key string) []string {
	names := make([]string, 0, min(len(v.items), 64))
	for i := range v.items {
		of := v.items[i].get(key)
		if of == nil || len(of.raw) == 0 || of.raw[0] != '"' && of.raw[0] != '-' && !digit(of.raw[0]) {
			return nil
		}
		names = append(names, string(of.raw))
	}
	return names
}

// unique are names by their index, nil if one comes twice.
func unique(names []string) map[string]int {
	if names == nil {
		return nil
	}
	index := make(map[string]int, len(names))
	for i, name := range names {
		if _, twice := index[name]; twice {
			return nil
		}
		index[name] = i
	}
	return index
}

// matchArguments matches flags by their names, the others in their order. There
// must be as many others, and each flag once.
func matchArguments(a, b *Value) (matching, bool) {
	inA, othersA := a.argumentNames()
	inB, othersB := b.argumentNames()
	if othersA != othersB || unique(inA) == nil || unique(inB) == nil {
		return matching{}, false
	}
	return matchNames(inA, inB, func(name string) (string, string) { return placeKey('-', name), name }), true
}

// argumentNames are the names of arguments, and the number of those that have none:
// their number is their name.
func (v *Value) argumentNames() (names []string, others int) {
	names = slices.Clone(v.names)
	for i, name := range names {
		if name == "" {
			names[i] = strconv.Itoa(others)
			others++
		}
	}
	return names, others
}

// matchNames matches items by names that are unique in each of both lists.
func matchNames(a, b []string, called func(name string) (place, shown string)) matching {
	var m matching
	inB := unique(b)
	last := -1
	for i, name := range a {
		j, ok := inB[name]
		if !ok {
			j = -1
		} else {
			m.moved = m.moved || j < last
			last = j
			delete(inB, name)
		}
		place, shown := called(name)
		m.pairs = append(m.pairs, pair{i, j, place, shown})
	}
	for j, name := range b {
		if _, only := inB[name]; only {
			place, shown := called(name)
			m.pairs = append(m.pairs, pair{-1, j, place, shown})
		}
	}
	return m
}
