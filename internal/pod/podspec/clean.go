package podspec

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// OwnNameMark stands for the Pod's own name in what AppendClean writes.
const OwnNameMark = "<pod>"

// AppendClean appends the Pod's spec as JSON, for people to compare: without
// noise and defaults, the Pod's own name replaced by <pod>, lists in their
// order.
func (v *View) AppendClean(dst []byte) []byte {
	return v.appendClean(dst, cleaner{view: v})
}

// AppendNamed is AppendClean with the Pod's own name where it stands: it may be part of any
// other word, of a container's name and of a field's.
func (v *View) AppendNamed(dst []byte) []byte {
	return v.appendClean(dst, cleaner{view: v, named: true})
}

func (v *View) appendClean(dst []byte, c cleaner) []byte {
	dst = append(dst, '{')
	first := len(dst)
	for field := range v.spec.Children() {
		name := field.Name()
		if string(name) == "ephemeralContainers" || placement(name) || v.hollow(field) || isDefault([]byte(podField), field) {
			continue
		}
		dst = c.member(dst, first, Member{Key: name, Node: field, Field: name})
	}
	return append(dst, '}')
}

type cleaner struct {
	view  *View
	named bool // the Pod's own name stays
}

// member appends a field of an object that begins at first.
func (c cleaner) member(dst []byte, first int, m Member) []byte {
	if len(dst) > first {
		dst = append(dst, ',')
	}
	return c.value(append(c.text(dst, m.Key), ':'), m)
}

func (c cleaner) value(dst []byte, m Member) []byte {
	switch m.Node.Kind() {
	case jsontree.Object:
		return c.object(dst, m)
	case jsontree.Array:
		dst = append(dst, '[')
		first := len(dst)
		for item := range c.view.items(m.Field, m.Node) {
			if len(dst) > first {
				dst = append(dst, ',')
			}
			dst = c.value(dst, Member{Node: item, Field: m.Field, Item: true})
		}
		return append(dst, ']')
	case jsontree.String:
		return c.text(dst, m.Node.Text())
	}
	return append(dst, m.Node.Raw()...)
}

func (c cleaner) object(dst []byte, m Member) []byte {
	dst = append(dst, '{')
	first := len(dst)
	for child := range m.Node.Children() {
		name := child.Name()
		if c.view.hollow(child) || c.view.noiseField(m.Field, name) || isDefault(m.Field, child) || c.view.derivedDefault(m, child) {
			continue
		}
		dst = c.member(dst, first, Member{Key: name, Node: child, Field: name})
	}
	return append(dst, '}')
}

// text appends a quoted string, which was read from valid JSON.
func (c cleaner) text(dst, text []byte) []byte {
	if !c.named {
		text = c.view.ownNameless(text)
	}
	quoted, err := jsontext.AppendQuote(dst, text)
	if err != nil { // cannot be: what was read is UTF-8
		return append(dst, `""`...)
	}
	return quoted
}
