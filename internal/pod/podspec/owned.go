package podspec

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// Fields is a set of field paths as managedFields records it (FieldsV1), seen
// from one place in the object: the union of one or more managers' sets.
//
// The empty map that stands for a path does not say "and all below it":
// `f:securityContext: {}` is an empty map without what was injected below it.
// https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
type Fields struct {
	first jsontree.Node
	rest  []jsontree.Node
}

// Manager is one entry of managedFields.
type Manager struct {
	Name, Operation, Subresource string
	Time                         string        // of the last change, RFC 3339 in UTC
	Fields                       jsontree.Node // the FieldsV1
}

// Managers reads a Pod's managedFields. Entries of a status subresource are
// left out: they hold nothing of what the Pod was created with.
func Managers(pod jsontree.Node) ([]Manager, error) {
	managers, err := MetadataManagers(pod)
	return slices.DeleteFunc(managers, func(m Manager) bool { return m.Subresource == "status" }), err
}

// MetadataManagers is Managers with those of the status subresource, by which labels and
// annotations may be written, too: Multus writes what networks a Pod got so
// (github.com/k8snetworkplumbingwg/network-attachment-definition-client pkg/utils).
func MetadataManagers(pod jsontree.Node) ([]Manager, error) {
	list := pod.Get("metadata", "managedFields")
	if !list.Exists() || list.Kind() == jsontree.Null {
		return nil, nil
	}
	if list.Kind() != jsontree.Array {
		return nil, fmt.Errorf("metadata.managedFields is no list")
	}
	var managers []Manager
	for entry := range list.Children() {
		m := Manager{
			Name:        entry.Get("manager").String(),
			Operation:   entry.Get("operation").String(),
			Subresource: entry.Get("subresource").String(),
			Time:        entry.Get("time").String(),
			Fields:      entry.Get("fieldsV1"),
		}
		if kind := m.Fields.Kind(); kind != jsontree.Object && kind != jsontree.Absent && m.Subresource != "status" {
			return nil, fmt.Errorf("fieldsV1 of manager %q is no object", m.Name)
		}
		managers = append(managers, m)
	}
	return managers, nil
}

// Union returns the fields that any of the managers owns.
func Union(managers []Manager) Fields {
	var f Fields
	for _, m := range managers {
		f.add(m.Fields)
	}
	return f
}

func (f *Fields) add(n jsontree.Node) {
	switch {
	case !n.Exists():
	case !f.first.Exists():
		f.first = n
	default:
		f.rest = append(f.rest, n)
	}
}

// Empty reports whether nothing at or below this place is in the set.
func (f Fields) Empty() bool { return !f.first.Exists() }

// Has reports whether the place itself is in the set, whatever is below it.
func (f Fields) Has() bool {
	if owns(f.first) {
		return true
	}
	for _, n := range f.rest {
		if owns(n) {
			return true
		}
	}
	return false
}

func owns(n jsontree.Node) bool {
	return n.Exists() && (n.IsEmpty() || n.Get(".").Exists())
}

// Field returns the set as seen from a field of the map.
func (f Fields) Field(name []byte) Fields {
	return f.descend(func(child jsontree.Node) bool {
		element := child.Name()
		return len(element) == len(name)+2 && element[0] == 'f' && element[1] == ':' && bytes.Equal(element[2:], name)
	})
}

// Item returns the set as seen from an item of a keyed list or set.
func (f Fields) Item(m Member) Fields {
	if setList(m.Field) {
		return f.value(m)
	}
	first, second := listKeys(m.Field)
	return f.descend(func(child jsontree.Node) bool {
		element, found := bytes.CutPrefix(child.Name(), []byte("k:"))
		if !found {
			return false
		}
		if bytes.IndexByte(element, '\\') < 0 {
			return plainKey(element, first, m.Key, second, m.Second)
		}
		keys, err := jsontree.Parse(element)
		return err == nil &&
			bytes.Equal(keys.Get(first).Text(), m.Key) &&
			(second == "" || bytes.Equal(keys.Get(second).Text(), m.Second))
	})
}

// value returns the set as seen from an item of a set of scalars.
func (f Fields) value(m Member) Fields {
	return f.descend(func(child jsontree.Node) bool {
		element, found := bytes.CutPrefix(child.Name(), []byte("v:"))
		if !found {
			return false
		}
		value, err := jsontree.Parse(element)
		return err == nil && bytes.Equal(value.Text(), m.Key)
	})
}

// plainKey compares a list key without escapes, as in
// {"containerPort":80,"protocol":"TCP"}, with the values of an item's keys.
func plainKey(element []byte, first string, value1 []byte, second string, value2 []byte) bool {
	has1, has2, ok := plainKeys(element, first, second)
	return ok && bytes.Equal(has1, value1) && (second == "" || bytes.Equal(has2, value2))
}

// plainKeys returns the values in a list key without escapes. It reports false
// for what is written in another way than API servers do.
func plainKeys(element []byte, first, second string) (value1, value2 []byte, ok bool) {
	value1, element, ok = cutKey(element, '{', first)
	if ok && second != "" {
		value2, element, ok = cutKey(element, ',', second)
	}
	return value1, value2, ok && string(element) == "}"
}

func cutKey(element []byte, delimiter byte, key string) (value, rest []byte, ok bool) {
	n := len(key) + 4 // the delimiter, two quotes and the colon
	if len(element) < n || element[0] != delimiter || string(element[2:n-2]) != key {
		return nil, nil, false
	}
	element = element[n:]
	if quoted, found := bytes.CutPrefix(element, []byte{'"'}); found {
		return bytes.Cut(quoted, []byte{'"'})
	}
	end := bytes.IndexAny(element, ",}")
	if end < 0 {
		return nil, nil, false
	}
	return element[:end], element[end:], true
}

// Member returns the set as seen from a member of the map or keyed list.
func (f Fields) Member(m Member) Fields {
	if m.Item {
		return f.Item(m)
	}
	return f.Field(m.Key)
}

func (f Fields) descend(match func(jsontree.Node) bool) Fields {
	if f.Empty() {
		return Fields{}
	}
	var below Fields
	below.add(child(f.first, match))
	for _, n := range f.rest {
		below.add(child(n, match))
	}
	return below
}

func child(n jsontree.Node, match func(jsontree.Node) bool) jsontree.Node {
	for c := range n.Children() {
		if match(c) {
			return c
		}
	}
	return jsontree.Node{}
}

// Created returns the managers that the Pod was created by, and Later those that
// changed it since. A creator owns containers themselves; so does a later
// server-side apply, but an update that changes a container owns only its
// fields.
func Created(managers []Manager) []Manager {
	var creators []Manager
	for _, m := range managers {
		if !createsContainers(m) {
			continue
		}
		if len(creators) > 0 {
			switch first := creators[0]; {
			case m.precedes(first):
				creators = creators[:0]
			case first.precedes(m):
				continue
			}
		}
		creators = append(creators, m)
	}
	return creators
}

// precedes orders managers that own containers: an update that does can only be
// the creation, and of applies the creation is the first.
func (m Manager) precedes(other Manager) bool {
	if applies := m.applies(); applies != other.applies() {
		return !applies
	}
	return m.applies() && m.Time < other.Time
}

func (m Manager) applies() bool { return m.Operation == "Apply" }

// Resizer is the manager under whose name rollouts resize Pods.
const Resizer = "sidecar-drift-resize"

// resizes reports whether an entry says no more than that a rollout has resized the Pod.
func (m Manager) resizes() bool { return m.Name == Resizer && m.Subresource == "resize" }

// Later returns the managers that are not among [Created]. What a rollout of ours has
// resized is nobody's edit.
func Later(managers []Manager) []Manager {
	creators := Created(managers)
	return slices.DeleteFunc(slices.Clone(managers), func(m Manager) bool {
		return slices.Contains(creators, m) || m.resizes()
	})
}

func createsContainers(m Manager) bool {
	for item := range m.Fields.Get("f:spec", "f:containers").Children() {
		if item.Get(".").Exists() {
			return true
		}
	}
	return false
}
