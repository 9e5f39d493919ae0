package podspec

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// Submitted returns the fields that whoever submits this Pod comes to own, as an API
// server records them before admission: what a stored Pod's managedFields would say of
// its creator. The error is that of a document which is no Pod's.
func Submitted(pod jsontree.Node) (Fields, error) {
	v := NewView(pod)
	form := []byte{'{'}
	for _, field := range []string{"metadata", "spec"} {
		if node := pod.Get(field); node.Kind() == jsontree.Object {
			form = v.appendSubmitted(appendElement(form, 'f', []byte(field)), Member{Node: node, Field: []byte(field)})
		}
	}
	root, err := jsontree.Parse(append(form, '}'))
	return Fields{first: root}, err
}

// appendSubmitted appends the FieldsV1 of a value.
func (v *View) appendSubmitted(dst []byte, m Member) []byte {
	var members []Member
	if !atomicMap(m.Field) {
		members, _ = v.Members(nil, m)
	}
	dst = append(dst, '{')
	if len(members) > 0 {
		dst = append(dst, `".":{}`...)
	}
	for _, member := range members {
		switch {
		case !member.Item:
			dst = appendElement(dst, 'f', member.Key)
		case setList(m.Field):
			dst = appendElement(dst, 'v', member.Node.Raw())
		default:
			dst = appendElement(dst, 'k', itemKey(member))
		}
		dst = v.appendSubmitted(dst, member)
	}
	return append(dst, '}')
}

// itemKey is the key of a list's item, as in {"containerPort":80,"protocol":"TCP"}.
func itemKey(m Member) []byte {
	first, second := listKeys(m.Field)
	key := []byte{'{'}
	for _, name := range []string{first, second} {
		if name == "" {
			continue
		}
		if len(key) > 1 {
			key = append(key, ',')
		}
		key = append(append(append(key, '"'), name...), `":`...)
		if value := m.Node.Get(name); value.Exists() {
			key = append(key, value.Raw()...)
		} else {
			key = append(append(append(key, '"'), keyDefault(name)...), '"')
		}
	}
	return append(key, '}')
}

// appendElement appends a path element and a colon.
func appendElement(dst []byte, kind byte, key []byte) []byte {
	if last := dst[len(dst)-1]; last != '{' {
		dst = append(dst, ',')
	}
	element := bytes.Join([][]byte{{kind}, key}, []byte{':'})
	quoted, err := jsontext.AppendQuote(nil, element)
	if err != nil { // cannot be: what was read is UTF-8
		quoted = []byte(`""`)
	}
	return append(append(dst, quoted...), ':')
}
