package podspec

import (
	"bytes"
	"slices"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// Difference is a path at which two Pods differ.
type Difference struct {
	// Path is dotted and relative to where the comparison began, list items
	// by their keys: env[A].value, ports[53/UDP].name.
	Path string
	// A and B are the values as stored; absent on the side that has none.
	A, B jsontree.Node
	// Held: A's value is in the set of fields that was given.
	Held bool
}

// differ walks two values side by side.
type differ struct {
	a, b  *View
	path  []byte
	found []Difference
}

// Diff returns the paths at which the members a and b of two Pods differ; held
// is a set of fields as seen from a. Maps are followed down to their leaves,
// also where one side has none; items of keyed lists that came or went are
// whole. A default on one side only is no difference.
//
// The order of keyed lists makes no difference, but for env, where a value that
// refers to another, as $(NAME), only sees those before it: a list that differs
// in nothing but what its references see is one difference, at its own path.
func Diff(viewA, viewB *View, a, b Member, held Fields) []Difference {
	d := differ{a: viewA, b: viewB}
	d.values(Member{}, a, b, held)
	return d.found
}

// values compares a and b, which parent holds. Either may be absent.
func (d *differ) values(parent, a, b Member, held Fields) {
	if quantity(parent.Field, fieldOf(a, b)) && sameQuantity(a.Node, b.Node) {
		return
	}
	var inA, inB []Member
	structuredA, structuredB := false, false
	if a.Node.Exists() {
		inA, structuredA = d.a.Members(nil, a)
	}
	if b.Node.Exists() {
		inB, structuredB = d.b.Members(nil, b)
	}
	oneSided := !a.Node.Exists() || !b.Node.Exists()
	switch {
	case oneSided && (structuredA || structuredB) && (!onlyDefaults(inA) || !onlyDefaults(inB)),
		structuredA && structuredB && a.Node.Kind() == b.Node.Kind():
		d.members(a, b, inA, inB, held)
	case !d.sameLeaf(a, b):
		d.report(a, b, held.Has())
	}
}

func (d *differ) report(a, b Member, held bool) {
	d.found = append(d.found, Difference{
		Path: string(d.path), A: a.Node, B: b.Node,
		Held: held && a.Node.Exists(),
	})
}

// onlyDefaults reports whether a map says by its mere presence what it says, as
// in `emptyDir: {}`.
func onlyDefaults(members []Member) bool {
	for _, m := range members {
		if !m.Default {
			return false
		}
	}
	return true
}

// members compares two lists of members.
func (d *differ) members(a, b Member, inA, inB []Member, held Fields) {
	container := a
	if !container.Node.Exists() {
		container = b
	}
	before := len(d.found)
	lookup := d.a.Lookup(held, container.Field)
	for _, p := range d.pairs(inA, inB) {
		d.member(container, p.a, p.b, lookup)
	}
	d.a.Release(lookup)
	if len(d.found) == before && !sameReferences(a, b) {
		d.report(a, b, false)
	}
}

func (d *differ) member(parent, x, y Member, held Lookup) {
	present := x
	if !x.Node.Exists() {
		present = y
	}
	oneSided := !x.Node.Exists() || !y.Node.Exists()
	if oneSided && present.Default {
		return
	}
	mark := len(d.path)
	d.push(present)
	defer func() { d.path = d.path[:mark] }()
	below := held.Member(present)
	if oneSided && present.Item {
		d.report(x, y, !below.Empty())
		return
	}
	d.values(parent, x, y, below)
}

func (d *differ) push(m Member) {
	if m.Item {
		d.path = append(d.path, '[')
		d.path = append(d.path, m.Key...)
		if _, second := listKeys(m.Field); second != "" && string(m.Second) != keyDefault(second) {
			d.path = append(append(d.path, '/'), m.Second...)
		}
		d.path = append(d.path, ']')
		return
	}
	if len(d.path) > 0 {
		d.path = append(d.path, '.')
	}
	d.path = append(d.path, m.Key...)
}

func fieldOf(a, b Member) []byte {
	if a.Node.Exists() {
		return a.Field
	}
	return b.Field
}

// sameLeaf compares as stored first: a value may hold the other Pod's name by
// chance. Atomic lists are equal when all their items are.
func (d *differ) sameLeaf(a, b Member) bool {
	if a.Node.Kind() != b.Node.Kind() {
		return false
	}
	switch a.Node.Kind() {
	case jsontree.Absent:
		return true
	case jsontree.Array:
		return d.sameItems(a, b)
	case jsontree.String:
		if bytes.Equal(a.Node.Text(), b.Node.Text()) {
			return true
		}
	}
	return bytes.Equal(d.a.AppendCanonical(nil, a), d.b.AppendCanonical(nil, b))
}

func (d *differ) sameItems(a, b Member) bool {
	inA, inB := slices.Collect(d.a.items(a.Field, a.Node)), slices.Collect(d.b.items(b.Field, b.Node))
	if len(inA) != len(inB) {
		return false
	}
	for i := range inA {
		items := differ{a: d.a, b: d.b}
		items.values(Member{},
			Member{Node: inA[i], Field: a.Field, Item: true},
			Member{Node: inB[i], Field: b.Field, Item: true}, Fields{})
		if len(items.found) > 0 {
			return false
		}
	}
	return true
}

func sameQuantity(a, b jsontree.Node) bool {
	qa, ok := canonicalQuantity(a)
	if !ok {
		return false
	}
	qb, ok := canonicalQuantity(b)
	return ok && bytes.Equal(qa, qb)
}
