package podspec

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// reference is a variable that the value of another refers to, as $(NAME), in
// the same list. The kubelet only replaces it by what was defined before:
// https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
type reference struct {
	name    []byte
	defined int // how often, before the item
}

// referring is an item of a list of environment variables, by its name, with
// the references in its value.
type referring struct {
	item []byte
	to   []reference
}

func (r referring) equal(other referring) bool {
	return bytes.Equal(r.item, other.item) && slices.EqualFunc(r.to, other.to, func(a, b reference) bool {
		return a.defined == b.defined && bytes.Equal(a.name, b.name)
	})
}

// references returns the references within a list of environment variables,
// sorted by item. They are all that the order of the list decides.
func references(list Member) []referring {
	if string(list.Field) != "env" || list.Item || list.Node.Kind() != jsontree.Array || !refers(list.Node) {
		return nil
	}
	var found []referring
	defined := map[string]int{}
	for item := range list.Node.Children() {
		r := referring{item: item.Get("name").Text()}
		for name := range referenced(item.Get("value").Text()) {
			r.to = append(r.to, reference{name, defined[string(name)]})
		}
		found = append(found, r)
		defined[string(r.item)]++
	}
	for i := range found {
		found[i].to = slices.DeleteFunc(found[i].to, func(r reference) bool { return defined[string(r.name)] == 0 })
	}
	found = slices.DeleteFunc(found, func(r referring) bool { return len(r.to) == 0 })
	slices.SortStableFunc(found, func(a, b referring) int { return bytes.Compare(a.item, b.item) })
	return found
}

// longName is longer than names of variables are. Only shorter ones are
// repeated for each reference: Pods come from anyone.
const longName = 256

// appendReferences appends the canonical form of the references in a list.
func appendReferences(dst []byte, list Member) []byte {
	for _, r := range references(list) {
		item := r.item
		for _, to := range r.to {
			dst = appendText(appendText(dst, tagReference, item), tagString, to.name)
			dst = binary.AppendUvarint(dst, uint64(to.defined))
			if len(item) > longName {
				item = nil
			}
		}
	}
	return dst
}

func refers(list jsontree.Node) bool {
	for item := range list.Children() {
		if bytes.Contains(item.Get("value").Text(), []byte("$(")) {
			return true
		}
	}
	return false
}

// referenced yields the names in the text's $(NAME); $$ stands for a dollar.
func referenced(text []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for {
			i := bytes.IndexByte(text, '$')
			if i < 0 || i+1 == len(text) {
				return
			}
			opening := text[i+1]
			text = text[i+2:]
			if opening != '(' {
				continue
			}
			end := bytes.IndexByte(text, ')')
			if end < 0 {
				return
			}
			if !yield(text[:end]) {
				return
			}
			text = text[end+1:]
		}
	}
}

func sameReferences(a, b Member) bool {
	return slices.EqualFunc(references(a), references(b), referring.equal)
}
