package injection

import (
	"bytes"
	"strconv"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// Ordinals are the answers about two Pods of one StatefulSet, which tell what follows
// the ordinal: an index variable, a label that a policy reads.
type Ordinals struct {
	// First and Second are ordinals.
	First, Second int
	// OfFirst and OfSecond are their Pods.
	OfFirst, OfSecond jsontree.Node
}

// At returns, as JSON, what the Pod of an ordinal would be: the first answer, with the
// ordinal in the place of each number, standing by itself in a text, that is the one
// ordinal here and the other one there. A number that is more than either by the same
// (a port, an index that begins with 1) goes on by that; one that is less is left as it
// is, as a remainder is, which comes round again.
func (o Ordinals) At(ordinal int) []byte {
	a := at{Ordinals: o, ordinal: ordinal}
	return a.value(nil, o.OfFirst, o.OfSecond)
}

// at writes the Pod of an ordinal.
type at struct {
	Ordinals
	ordinal int
}

func (a at) value(dst []byte, first, second jsontree.Node) []byte {
	if first.Kind() != second.Kind() {
		return append(dst, first.Raw()...)
	}
	switch first.Kind() {
	case jsontree.Object:
		return a.object(dst, first, second)
	case jsontree.Array:
		return a.array(dst, first, second)
	case jsontree.String:
		if text, follows := a.text(first.Text(), second.Text()); follows {
			return appendQuoted(dst, text)
		}
	case jsontree.Number:
		if bytes.ContainsAny(first.Text(), ".eE") {
			break // a fraction is no ordinal
		}
		if text, follows := a.text(first.Text(), second.Text()); follows {
			return append(dst, text...)
		}
	}
	return append(dst, first.Raw()...)
}

func (a at) object(dst []byte, first, second jsontree.Node) []byte {
	others := make(map[string]jsontree.Node)
	for member := range second.Children() {
		others[string(member.Name())] = member
	}
	dst = append(dst, '{')
	start := len(dst)
	for member := range first.Children() {
		if len(dst) > start {
			dst = append(dst, ',')
		}
		name := member.Name()
		other, has := others[string(name)]
		if !has {
			name, other = a.renamed(member, others)
		}
		dst = append(appendQuoted(dst, name), ':')
		dst = a.value(dst, member, other)
	}
	return append(dst, '}')
}

// renamed returns the name that a member has at the ordinal, and the second answer's
// member of the name that follows from the second ordinal.
func (a at) renamed(member jsontree.Node, others map[string]jsontree.Node) ([]byte, jsontree.Node) {
	name := member.Name()
	atSecond := at{a.Ordinals, a.Second}.numbers(name)
	other, has := others[string(atSecond)]
	if !has {
		return name, jsontree.Node{}
	}
	renamed, _ := a.text(name, atSecond)
	if _, taken := others[string(renamed)]; taken && string(renamed) != string(atSecond) {
		return name, jsontree.Node{}
	}
	return renamed, other
}

// numbers puts the ordinal in the place of the first one wherever that stands.
func (a at) numbers(text []byte) []byte {
	first := strconv.Itoa(a.First)
	var out []byte
	for len(text) > 0 {
		token := nextToken(text)
		text = text[len(token):]
		if string(token) == first {
			token = strconv.AppendInt(nil, int64(a.ordinal), 10)
		}
		out = append(out, token...)
	}
	return out
}

func (a at) array(dst []byte, first, second jsontree.Node) []byte {
	items, others := children(first), children(second)
	if len(items) != len(others) {
		return append(dst, first.Raw()...)
	}
	dst = append(dst, '[')
	for i, item := range items {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = a.value(dst, item, others[i])
	}
	return append(dst, ']')
}

func children(node jsontree.Node) []jsontree.Node {
	var all []jsontree.Node
	for child := range node.Children() {
		all = append(all, child)
	}
	return all
}

// text returns the text of the ordinal; follows is false where the two texts differ in
// more than that.
func (a at) text(first, second []byte) (_ []byte, follows bool) {
	if bytes.Equal(first, second) {
		return first, true
	}
	var out []byte
	for len(first) > 0 && len(second) > 0 {
		one, other := nextToken(first), nextToken(second)
		first, second = first[len(one):], second[len(other):]
		switch {
		case bytes.Equal(one, other):
			out = append(out, one...)
		default:
			n, follows := a.number(one, other)
			if !follows {
				return nil, false
			}
			out = strconv.AppendInt(out, n, 10)
		}
	}
	return out, len(first) == 0 && len(second) == 0
}

// number returns the number of the ordinal, given those of the two.
func (a at) number(first, second []byte) (_ int64, follows bool) {
	one, err1 := strconv.ParseInt(string(first), 10, 64)
	other, err2 := strconv.ParseInt(string(second), 10, 64)
	beyond := one - int64(a.First)
	if err1 != nil || err2 != nil || beyond < 0 || beyond != other-int64(a.Second) ||
		len(first) > 1 && first[0] == '0' { // of a fixed width, or octal
		return 0, false
	}
	return beyond + int64(a.ordinal), true
}

// EqualButZeros reports whether two texts are equal but for zeros that numbers in them
// begin with.
func EqualButZeros(a, b []byte) bool {
	for len(a) > 0 && len(b) > 0 {
		one, other := nextToken(a), nextToken(b)
		a, b = a[len(one):], b[len(other):]
		if !bytes.Equal(one, other) && (!isNumber(one) || !isNumber(other) || !bytes.Equal(bytes.TrimLeft(one, "0"), bytes.TrimLeft(other, "0"))) {
			return false
		}
	}
	return len(a) == 0 && len(b) == 0
}

func isNumber(token []byte) bool {
	return !bytes.ContainsFunc(token, func(c rune) bool { return c < '0' || c > '9' })
}

// nextToken returns what a text begins with: a run of letters and digits, or of what
// is between those. A number counts only if it is such a run: one within a hash is no
// ordinal.
func nextToken(text []byte) []byte {
	word := isWord(text[0])
	for i, c := range text {
		if isWord(c) != word {
			return text[:i]
		}
	}
	return text
}

func isWord(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}
