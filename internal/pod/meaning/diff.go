package meaning

import (
	"encoding/json"
	"slices"
	"strconv"
)

// Difference is one inner place at which two values differ.
type Difference struct {
	// Path is dotted, list items by what they are called or else by their index:
	// vault.address, template[/vault/secrets/db].contents, [--port], [2]. An
	// added item has its index in the list where it is. It is empty for a
	// value that differs as a whole. It is meant for readers: keys are cut that
	// are very long.
	Path string
	// From and To are the inner values as JSON; nil on the side that has none.
	// Where only the order of a list's items differs, they are the items, or what
	// they are called, in their order.
	From, To json.RawMessage
}

// Diff compares two values by what they mean, and leaves out what varies. left is
// the number of inner places that differ and were left out; a list whose order varies,
// and that comes in another one, is none. Differences are in the order of keys, and of
// from's items.
func Diff(from, to Value, varies Variation) (differences []Difference, left int) {
	var d differ
	d.values(varies.root, &from, &to)
	return d.found, d.left
}

// differ walks two values side by side.
type differ struct {
	path  []byte
	found []Difference
	left  int
}

func (d *differ) report(from, to json.RawMessage) {
	d.found = append(d.found, Difference{Path: cut(string(d.path), maxPath), From: from, To: to})
}

// values compares what may be absent, at a place.
func (d *differ) values(p *place, a, b *Value) {
	switch {
	case a.same(b):
	case p != nil && p.whole:
		d.left++
	case a.kind != b.kind || a.form != b.form || !a.Decoded():
		d.report(a.json(), b.json())
	case a.kind == mapping:
		name := pairName(a, b)
		for _, m := range members(a, b) {
			before := d.path
			if name != "" && m.shown == "value" {
				d.path = pushItem(d.path, name)
			}
			d.path = pushKey(d.path, m.shown)
			d.values(p.at(m.place), a.item(m.a), b.item(m.b))
			d.path = before
		}
	default:
		d.list(p, a, b)
	}
}

// pairName is what two maps with a value call it: {"name": "A", "value": "1"}, which is
// shown as [A].value, as an item of a list is. Empty: they are no such pair.
func pairName(a, b *Value) string {
	for _, key := range []string{"name", "key"} {
		i, inA := slices.BinarySearch(a.names, key)
		j, inB := slices.BinarySearch(b.names, key)
		if inA && inB && !a.items[i].Decoded() && a.items[i].same(&b.items[j]) {
			return a.items[i].text()
		}
	}
	return ""
}

func (d *differ) list(p *place, a, b *Value) {
	unordered := p != nil && p.unordered
	m, matched := match(a, b)
	switch {
	case matched:
		d.matched(p, a, b, m)
	case p.indexed() && len(a.items) == len(b.items):
		lists{d, p, a, b, a.called(), b.called()}.byIndex(pair{a: 0, b: 0}, len(a.items))
	case sameItems(a, b):
		d.order(unordered, a.json(), b.json())
	case unordered:
		lists{d, nil, a, b, a.called(), b.called()}.asSets()
	default:
		lists{d, p, a, b, a.called(), b.called()}.aligned()
	}
}

// order is that of items that both lists have.
func (d *differ) order(unordered bool, from, to json.RawMessage) {
	if !unordered {
		d.report(from, to)
	}
}

// matched compares lists whose items are told apart by what they are called.
func (d *differ) matched(p *place, a, b *Value, m matching) {
	if m.moved {
		both := slices.DeleteFunc(slices.Clone(m.pairs), func(p pair) bool { return p.a < 0 || p.b < 0 })
		from := names(both, a, func(p pair) int { return p.a })
		slices.SortFunc(both, func(p, q pair) int { return p.b - q.b })
		d.order(p != nil && p.unordered, from, names(both, b, func(p pair) int { return p.b }))
	}
	var inA, inB []string
	if a.names != nil {
		inA, inB = a.called(), b.called()
	}
	for _, pair := range m.pairs {
		shown := pair.shown
		if inA != nil {
			shown = either(inA, inB, pair)
		}
		d.item(p.at(pair.place), shown, a, b, pair)
	}
}

// item compares two items of lists. Of an argument that is given in another form, all
// is shown.
func (d *differ) item(p *place, shown string, a, b *Value, of pair) {
	before := d.path
	d.path = pushItem(d.path, shown)
	itemA, itemB := a.item(of.a), b.item(of.b)
	if itemA.form != itemB.form && of.a >= 0 && of.b >= 0 && (p == nil || !p.whole) {
		d.report(a.argument(of.a), b.argument(of.b))
	} else {
		d.values(p, itemA, itemB)
	}
	d.path = before
}

// names are what items are called, in this order; an argument without a name is
// called by itself.
func names(pairs []pair, in *Value, at func(pair) int) json.RawMessage {
	dst := []byte{'['}
	for i, p := range pairs {
		dst = comma(dst, i)
		if in.names != nil && in.names[at(p)] == "" {
			dst = in.items[at(p)].appendJSON(dst)
			continue
		}
		dst = appendQuote(dst, p.shown)
	}
	return append(dst, ']')
}

// called are what items are called in a path: flags by their names, the second one
// of a name as --flag#2, others by their index.
func (v *Value) called() []string {
	names := make([]string, len(v.items))
	seen := map[string]int{}
	for i, position := range v.positions() {
		flag := v.flag(i)
		if flag == "" {
			names[i] = strconv.Itoa(position)
			continue
		}
		if seen[flag]++; seen[flag] > 1 {
			flag += "#" + strconv.Itoa(seen[flag])
		}
		names[i] = flag
	}
	return names
}

// either is what an item is called in the second list, or else in the first.
func either(inA, inB []string, p pair) string {
	if p.b >= 0 {
		return inB[p.b]
	}
	return inA[p.a]
}
