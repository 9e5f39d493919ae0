package podspec

import (
	"bytes"
	"iter"

	"github.com/sidecar-drift/sidecar-drift/internal/jsontree"
)

// Lookup finds the members of one map or list in a set of fields. Pods come
// from anyone, so that the cost must not grow with members times fields: many
// fields are indexed.
type Lookup struct {
	fields Fields
	index  map[string]Fields // nil: few fields, looked through
}

// fewFields are looked through faster than they are indexed.
const fewFields = 64

// Lookup returns a Lookup of what is directly below the set's place: fields of
// a map, or items of the list under the given field name.
func (f Fields) Lookup(field []byte) Lookup {
	l := Lookup{fields: f}
	if !f.many() {
		return l
	}
	l.index = map[string]Fields{}
	for node := range f.nodes() {
		for child := range node.Children() {
			if key, ok := indexKey(field, child.Name()); ok {
				below := l.index[key]
				below.add(child)
				l.index[key] = below
			}
		}
	}
	return l
}

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
	switch {
	case l.index == nil:
		return l.fields.Member(m)
	case !m.Item:
		return l.index["f:"+string(m.Key)]
	case setList(m.Field):
		return l.index["v:"+string(m.Key)]
	}
	return l.index["k:"+string(m.Key)+"\x00"+string(m.Second)]
}

// Field returns the set as seen from a field of the map.
func (l Lookup) Field(name []byte) Fields { return l.Member(Member{Key: name}) }

// indexKey returns the key of the index for a path element of FieldsV1.
func indexKey(list, element []byte) (string, bool) {
	kind, rest, ok := bytes.Cut(element, []byte(":"))
	switch {
	case !ok:
		return "", false
	case string(kind) == "f":
		return string(element), true
	}
	value, err := jsontree.Parse(rest)
	if err != nil {
		return "", false
	}
	switch string(kind) {
	case "v":
		return "v:" + value.String(), true
	case "k":
		first, second := listKeys(list)
		return "k:" + value.Get(first).String() + "\x00" + value.Get(second).String(), true
	}
	return "", false
}
