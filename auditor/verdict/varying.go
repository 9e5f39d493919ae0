package verdict

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/meaning"
)

const (
	// maxVarying bounds the places of a Varying: of a Pod with more, all vary.
	maxVarying = 256
)

// Varying is where fresh injections of one Pod differ among themselves, and in what. Of
// a nil or zero Varying, nothing does. It may be shared once nothing is learned any more.
type Varying struct {
	places map[varyingPlace]varies
	// items are, by list and form, how many come and go at once: their keys are made up
	// each time.
	items map[string]int
	all   bool // too many to be remembered
}

type varyingPlace struct{ part, path string }

// varies is what is known of one place.
type varies struct {
	inner meaning.Variation
	// comesAndGoes: some have something there, and others have not.
	comesAndGoes bool
	// more than orders varies, here or, for those who share it, elsewhere.
	more bool
	text bool // the values are texts
}

// Learn compares two fresh injections of one Pod, which are the input's Live and Fresh,
// and reports whether they differ.
func (v *Varying) Learn(in Input) (differ bool, err error) {
	c, err := newComparison(in)
	if err != nil {
		return false, err
	}
	c.learned = &learned{into: v, items: map[string]int{}}
	if err := c.compare(in); err != nil {
		return false, err
	}
	for key, n := range c.learned.items {
		v.items[key] = max(v.items[key], n)
	}
	return c.learned.any, nil
}

// Empty reports whether nothing varies, as far as is known.
func (v *Varying) Empty() bool { return v == nil || len(v.places) == 0 && !v.all }

// Places names where fresh injections differ, sorted (Change.Place).
func (v *Varying) Places() []string {
	if v.Empty() {
		return nil
	}
	var names []string
	for at := range v.places {
		names = append(names, changeOf(at.part, at.path, jsontree.Node{}, jsontree.Node{}).Place())
	}
	return eachName(names)
}

// Has reports whether fresh injections differ at the change's place, as far as that is
// known: inside of a value of which orders vary, and nothing else, they do not.
func (v *Varying) Has(change Change) bool {
	if v.Empty() {
		return false
	}
	path, _, inside := strings.Cut(change.Path, Inside)
	what, has := v.places[varyingPlace{change.Part, path}]
	return v.all || has && (what.more || !inside)
}

// Elsewhere is what follows from a Varying for other workloads: the lists within texts
// that come in another order do so there, too. What else varies may well stay the same
// there, which must be asked; so may the order of the Pod's own lists, as that of
// arguments. Items whose keys are made up say nothing of others.
func (v *Varying) Elsewhere() *Varying {
	s := &Varying{places: map[varyingPlace]varies{}}
	if v == nil {
		return s
	}
	for at, what := range v.places {
		if what.comesAndGoes && strings.HasSuffix(at.path, "]") {
			continue
		}
		of := varies{more: what.more}
		if what.text {
			of.inner, of.text = what.inner.Orders(), true
		}
		s.places[at] = of
	}
	return s
}

// With returns both together, in a new Varying, as far as there is room.
func (v *Varying) With(other *Varying) *Varying {
	both := &Varying{places: map[varyingPlace]varies{}, items: map[string]int{}}
	for _, one := range []*Varying{v, other} {
		if one == nil {
			continue
		}
		both.all = both.all || one.all
		for at, what := range one.places {
			both.put(at, what)
		}
		for key, n := range one.items {
			both.items[key] = max(both.items[key], n)
		}
	}
	return both
}

// put merges what is known of a place into the Varying; it reports whether there is room.
func (v *Varying) put(at varyingPlace, what varies) bool {
	known, has := v.places[at]
	if !has && len(v.places) >= maxVarying {
		return false
	}
	known.inner.Merge(what.inner)
	known.text = what.text && (known.text || !has)
	known.comesAndGoes = known.comesAndGoes || what.comesAndGoes
	known.more = known.more || what.more || !known.inner.Equal(known.inner.Orders())
	v.places[at] = known
	return true
}

// learned is what one comparison of fresh injections teaches.
type learned struct {
	into  *Varying
	any   bool
	items map[string]int
}

func (l *learned) take(part, path string, a, b jsontree.Node) {
	l.any = true
	what := varies{comesAndGoes: !a.Exists() || !b.Exists(), text: a.Kind() == jsontree.String && b.Kind() == jsontree.String}
	what.more = what.comesAndGoes
	if what.comesAndGoes {
		if a.Exists() {
			l.items[formOf(part, path, a)]++
		}
	} else {
		what.inner.Learn(meaning.Of(a.Raw()), meaning.Of(b.Raw()))
	}
	if l.into.places == nil {
		l.into.places, l.into.items = map[varyingPlace]varies{}, map[string]int{}
	}
	if !l.into.put(varyingPlace{part, path}, what) {
		l.into.all = true
	}
}

// formOf identifies the list that an item is in, which fields it has, and its key but for
// what follows the last separator of that; of a variable without a separator, all of its
// name, as any has the same fields. Empty: it is no item.
func formOf(part, path string, item jsontree.Node) string {
	var list, key string
	switch kind, name, ofContainer := strings.Cut(part, "/"); {
	case path == "" && ofContainer:
		list, key = kind, name
	case strings.HasSuffix(path, "]"):
		at := strings.LastIndexByte(path, '[')
		list, key = part+" "+path[:at], path[at+1:len(path)-1]
	default:
		return ""
	}
	var fields []string
	for field := range item.Children() {
		fields = append(fields, string(field.Name()))
	}
	slices.Sort(fields)
	if at := strings.LastIndexAny(key, "-_./"); at >= 0 || !strings.HasSuffix(list, " env") {
		key = key[:at+1]
	}
	return fmt.Sprintf("%q %q %q", list, key, fields)
}

// Inside parts the path of a value from that of a place inside of what it means.
const Inside = " → "

// split parts a difference by what is known to vary: the places of it that do not, and
// whether others do. Unknown: nothing of it is known to.
func (v *Varying) split(part, path string, a, b jsontree.Node) (stable []meaning.Difference, unstable, unknown bool) {
	if v.Empty() {
		return nil, false, true
	}
	if v.all || v.within(part, path) {
		return nil, true, false
	}
	what, known := v.places[varyingPlace{part, path}]
	switch {
	case !known:
		return nil, false, true
	case what.comesAndGoes, what.inner.Whole():
		return nil, true, false
	case a.Exists() && b.Exists() && !what.inner.Empty():
		stable, left := meaning.Diff(meaning.Of(a.Raw()), meaning.Of(b.Raw()), what.inner)
		return stable, left > 0, false
	}
	return nil, false, true
}

// within reports whether the place is in something that comes and goes.
func (v *Varying) within(part, path string) bool {
	for at, what := range v.places {
		below, in := strings.CutPrefix(path, at.path)
		if what.comesAndGoes && at.part == part && in && (at.path == "" || below == "" || below[0] == '.' || below[0] == '[') {
			return true
		}
	}
	return false
}

// reordered reports whether two values mean the same but for the order of lists.
func reordered(a, b jsontree.Node) bool {
	if !a.Exists() || !b.Exists() {
		return false
	}
	from, to := meaning.Of(a.Raw()), meaning.Of(b.Raw())
	var orders meaning.Variation
	orders.Learn(from, to)
	differing, left := meaning.Diff(from, to, orders.Orders())
	return len(differing) == 0 && left == 0
}

// eachName sorts names and lists each once, as many as a verdict has.
func eachName(names []string) []string {
	slices.Sort(names)
	return BoundNames(slices.Compact(names))
}
