package podspec

import (
	"bytes"
	"cmp"
	"iter"
	"slices"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// Lookup finds the members of one map or list in a set of fields. Pods come
// from anyone, so that the cost must not grow with members times fields: many
// fields are indexed.
type Lookup struct {
	fields Fields
	many   bool
	index  []indexed // sorted; of many fields
}

// indexed is what one manager owns at and below a path element of FieldsV1: f, k
// or v with its key, or keys.
type indexed struct {
	kind        byte
	key, second []byte
	below       jsontree.Node
}

func (i indexed) compare(other indexed) int {
	if c := cmp.Compare(i.kind, other.kind); c != 0 {
		return c
	}
	if c := bytes.Compare(i.key, other.key); c != 0 {
		return c
	}
	return bytes.Compare(i.second, other.second)
}

// fewFields are looked through faster than they are indexed.
const fewFields = 64

// Lookup returns a Lookup of what is directly below the place of a set of
// fields: fields of a map, or items of the list under the given field name. It
// is good until the view's next Pod.
func (v *View) Lookup(f Fields, field []byte) Lookup {
	l := Lookup{fields: f, many: f.many()}
	if !l.many {
		return l
	}
	base := len(v.index)
	for node := range f.nodes() {
		for child := range node.Children() {
			if i, ok := newIndexed(field, child); ok {
				v.index = append(v.index, i)
			}
		}
	}
	l.index = v.index[base:len(v.index):len(v.index)]
	slices.SortFunc(l.index, indexed.compare)
	return l
}

// Release gives back the memory of the latest Lookup that has not been.
func (v *View) Release(l Lookup) { v.index = truncated(v.index, len(v.index)-len(l.index)) }

// nodes yields the managers' sets.
func (f Fields) nodes() iter.Seq[jsontree.Node] {
	return func(yield func(jsontree.Node) bool) {
		if !yield(f.first) {
			return
		}
		for _, node := range f.rest {
			if !yield(node) {
				return
			}
		}
	}
}

func (f Fields) many() bool {
	count := 0
	for node := range f.nodes() {
		for child := range node.Children() {
			if count += 1 + len(child.Name())/fewFields; count > fewFields {
				return true // long names are as slow as many
			}
		}
	}
	return false
}

// Member returns the set as seen from the member.
func (l Lookup) Member(m Member) Fields {
	if !l.many {
		return l.fields.Member(m)
	}
	want := indexed{kind: 'k', key: m.Key, second: m.Second}
	switch {
	case !m.Item:
		want = indexed{kind: 'f', key: m.Key}
	case setList(m.Field):
		want = indexed{kind: 'v', key: m.Key}
	}
	var found Fields
	at, _ := slices.BinarySearchFunc(l.index, want, indexed.compare)
	for ; at < len(l.index) && l.index[at].compare(want) == 0; at++ {
		found.add(l.index[at].below)
	}
	return found
}

// Field returns the set as seen from a field of the map.
func (l Lookup) Field(name []byte) Fields { return l.Member(Member{Key: name}) }

// newIndexed reads the path element of FieldsV1 that is the node's name.
func newIndexed(list []byte, node jsontree.Node) (indexed, bool) {
	kind, rest, ok := bytes.Cut(node.Name(), []byte(":"))
	if !ok || len(kind) != 1 {
		return indexed{}, false
	}
	i := indexed{kind: kind[0], below: node}
	first, second := listKeys(list)
	switch i.kind {
	case 'f':
		i.key = rest
		return i, true
	case 'k':
		if bytes.IndexByte(rest, '\\') < 0 {
			if i.key, i.second, ok = plainKeys(rest, first, second); ok {
				return i, true
			}
		}
	}
	value, err := jsontree.Parse(rest)
	if err != nil {
		return indexed{}, false
	}
	switch i.kind {
	case 'v':
		i.key = value.Text()
		return i, true
	case 'k':
		i.key, i.second = value.Get(first).Text(), value.Get(second).Text()
		return i, true
	}
	return indexed{}, false
}
