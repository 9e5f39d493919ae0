package podspec

import (
	"bytes"
	"slices"

	"github.com/sidecar-drift/sidecar-drift/internal/jsontree"
)

// reference is a variable that the value of another refers to, as $(NAME), in
// the same list. The kubelet only replaces it by what was defined before:
// https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
type reference struct {
	item, name []byte
	defined    int // how often, before the item
}

func (r reference) equal(other reference) bool {
	return r.defined == other.defined && bytes.Equal(r.item, other.item) && bytes.Equal(r.name, other.name)
}

// references returns the references within a list of environment variables,
// sorted by item. They are all that the order of the list decides.
func references(list Member) []reference {
	if string(list.Field) != "env" || list.Item || list.Node.Kind() != jsontree.Array || !refers(list.Node) {
		return nil
	}
	var found []reference
	defined := map[string]int{}
	for item := range list.Node.Children() {
		key := item.Get("name").Text()
		value := item.Get("value").Text()
		for name := range referenced(value) {
			found = append(found, reference{key, name, defined[string(name)]})
		}
		defined[string(key)]++
	}
	found = slices.DeleteFunc(found, func(r reference) bool { return defined[string(r.name)] == 0 })
	slices.SortStableFunc(found, func(a, b reference) int { return bytes.Compare(a.item, b.item) })
	return found
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
	return slices.EqualFunc(references(a), references(b), reference.equal)
}
