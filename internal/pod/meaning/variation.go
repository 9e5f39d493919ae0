package meaning

import "slices"

// maxPlaces of a Variation: where more vary, those with the most below them vary as
// a whole.
const maxPlaces = 256

// Variation is what varies among answers to one question, at one place of a Pod.
// The zero Variation is that nothing does. It only ever grows. A copy is
// independent of what it was copied from.
type Variation struct{ root *place }

// Learn takes down where two answers to the same question differ. Afterwards, and
// whatever is learned later, nothing differs between them but what varies.
func (v *Variation) Learn(a, b Value) {
	if a.same(&b) || v.Whole() {
		return
	}
	v.change(func(root *place) { root.learn(&a, &b) })
}

// Merge adds what the other Variation knows.
func (v *Variation) Merge(other Variation) {
	if other.Empty() || v.Whole() {
		return
	}
	v.change(func(root *place) { root.merge(other.root) })
}

// change changes a copy: others may have the places that are known.
func (v *Variation) change(change func(*place)) {
	root := v.root.clone()
	change(root)
	root.bound()
	v.root = root
}

// Empty reports whether nothing varies.
func (v Variation) Empty() bool { return v.root == nil }

// Whole reports whether the value varies as a whole: nothing in it can be compared.
func (v Variation) Whole() bool { return v.root != nil && v.root.whole }

// Equal reports whether the same varies.
func (v Variation) Equal(other Variation) bool { return v.root.equal(other.root) }

// learn is for values that are not the same.
func (p *place) learn(a, b *Value) {
	switch {
	case p.whole:
	case a.kind != b.kind || a.form != b.form || !a.Decoded():
		p.vary()
	case a.kind == mapping:
		for _, m := range members(a, b) {
			p.learnAt(m.place, a.item(m.a), b.item(m.b))
		}
	default:
		p.learnList(a, b)
		p.settle()
	}
}

func (p *place) learnAt(key string, a, b *Value) {
	if !a.same(b) {
		p.reach(key).learn(a, b)
	}
}

// learnList sees lists as diff.list does.
func (p *place) learnList(a, b *Value) {
	if m, ok := match(a, b); ok {
		p.unordered = p.unordered || m.moved
		for _, pair := range m.pairs {
			p.learnAt(pair.place, a.item(pair.a), b.item(pair.b))
		}
		return
	}
	switch {
	case sameItems(a, b):
		p.unordered = true
	case p.unordered || len(a.items) != len(b.items):
		p.vary()
	default:
		for i := range a.items {
			if a.flag(i) != b.flag(i) {
				p.reach(indexKey(i)).vary()
				continue
			}
			p.learnAt(indexKey(i), &a.items[i], &b.items[i])
		}
	}
}

// members are the keys at which two maps differ, in their order.
func members(a, b *Value) []pair {
	var pairs []pair
	for i, j := 0, 0; i < len(a.names) || j < len(b.names); {
		var p pair
		switch {
		case j == len(b.names) || i < len(a.names) && a.names[i] < b.names[j]:
			p = pair{a: i, b: -1, shown: a.names[i]}
			i++
		case i == len(a.names) || b.names[j] < a.names[i]:
			p = pair{a: -1, b: j, shown: b.names[j]}
			j++
		default:
			p = pair{a: i, b: j, shown: a.names[i]}
			i, j = i+1, j+1
		}
		if a.item(p.a).same(b.item(p.b)) {
			continue
		}
		p.place = placeKey('k', p.shown)
		pairs = append(pairs, p)
	}
	return pairs
}

// sameItems reports whether two lists are the same but for their order.
func sameItems(a, b *Value) bool {
	if len(a.items) != len(b.items) {
		return false
	}
	inA, inB := a.tokens(), b.tokens()
	slices.Sort(inA)
	slices.Sort(inB)
	return slices.Equal(inA, inB)
}
