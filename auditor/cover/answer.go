package cover

import (
	"bytes"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec"
)

// keys are the fields by which items of a list are told apart, in the order in which
// they are looked for.
var keys = []string{"name", "mountPath", "containerPort", "key"}

// answer takes down what admission added to a spec, leaf by leaf. Of a list without
// keys the whole is a leaf.
func (f *finder) answer(fresh, submitted jsontree.Node) {
	switch {
	case fresh.Kind() == jsontree.Object:
		for member := range fresh.Children() {
			f.below(string(member.Name()), member, submitted.Get(string(member.Name())))
		}
	case fresh.Kind() == jsontree.Array:
		f.list(fresh, submitted)
	case !fresh.Exists() || submitted.Exists() && bytes.Equal(fresh.Raw(), submitted.Raw()):
	default:
		if value := fresh.String(); !strings.HasPrefix(value, podspec.TokenVolume) {
			f.leaf(value)
		}
	}
}

func (f *finder) below(name string, fresh, submitted jsontree.Node) {
	mark := len(f.path)
	f.path = append(append(f.path, '.'), name...)
	f.answer(fresh, submitted)
	f.path = f.path[:mark]
}

func (f *finder) leaf(value string) { f.add(f.abstract(value), "answer", string(f.path)) }

func (f *finder) list(fresh, submitted jsontree.Node) {
	before := map[string]jsontree.Node{}
	for item := range submitted.Children() {
		if key, has := keyOf(item); has {
			before[key] = item
		}
	}
	for item := range fresh.Children() {
		key, has := keyOf(item)
		if !has {
			if !submitted.Exists() || !bytes.Equal(fresh.Raw(), submitted.Raw()) {
				f.leaf(string(fresh.Raw()))
			}
			return
		}
		if strings.HasPrefix(key, podspec.TokenVolume) {
			continue
		}
		name := f.abstract(key)
		if _, had := before[key]; !had {
			f.add("", "added", string(f.path), name)
		}
		f.below(name, item, before[key])
	}
}

func keyOf(item jsontree.Node) (key string, has bool) {
	if item.Kind() != jsontree.Object {
		return "", false
	}
	for _, name := range keys {
		if value := item.Get(name); value.Exists() {
			return value.String(), true
		}
	}
	return "", false
}
