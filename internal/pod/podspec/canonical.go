package podspec

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/go-json-experiment/json/jsontext"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// The canonical form is an unambiguous binary encoding, made to be hashed: tag
// bytes, and texts behind their length. Members come sorted, so it does not
// depend on the order of keys, nor on the order of keyed lists.
const (
	tagMap       = '{'
	tagKeyedList = '<'
	tagList      = '['
	tagEnd       = '.'
	tagString    = '"'
	tagScalar    = '0'
	tagQuantity  = 'q'
	tagOwnName   = '@'
	tagReference = '$'
)

func structureTag(m Member) byte {
	if m.Node.Kind() == jsontree.Array {
		return tagKeyedList
	}
	return tagMap
}

// AppendCanonical appends the canonical form of the value to dst. Defaults are
// left out, as values are that the API server would add anyway. The order of an
// env list is in it as far as references within the list depend on it.
func (v *View) AppendCanonical(dst []byte, m Member) []byte {
	base := len(v.stack)
	var structured bool
	v.stack, structured = v.Members(v.stack, m)
	if !structured {
		return v.appendLeaf(dst, m)
	}
	dst = append(dst, structureTag(m))
	for i := base; i < len(v.stack); i++ {
		member := v.stack[i]
		if member.Default {
			continue
		}
		dst = v.appendKey(dst, member)
		dst = v.appendValue(dst, m, member)
	}
	v.pop(base)
	dst = appendReferences(dst, m)
	return append(dst, tagEnd)
}

func (v *View) appendValue(dst []byte, parent, m Member) []byte {
	if quantity(parent.Field, m.Field) && !m.Item {
		if canonical, ok := canonicalQuantity(m.Node); ok {
			return appendText(dst, tagQuantity, canonical)
		}
	}
	return v.AppendCanonical(dst, m)
}

// AppendInjected appends the canonical form of what is in the value and not in
// owned, and reports whether there was anything.
func (v *View) AppendInjected(dst []byte, m Member, owned Fields) ([]byte, bool) {
	if owned.Empty() {
		return v.AppendCanonical(dst, m), true
	}
	if atomicMap(m.Field) && (m.Item || m.Node.Kind() == jsontree.Object) {
		return dst, false
	}
	base := len(v.stack)
	var structured bool
	v.stack, structured = v.Members(v.stack, m)
	if !structured {
		if owned.Has() {
			return dst, false
		}
		return v.appendLeaf(dst, m), true
	}
	start := len(dst)
	dst = append(dst, structureTag(m))
	lookup := v.Lookup(owned, m.Field)
	anything := false
	for i := base; i < len(v.stack); i++ {
		member := v.stack[i]
		if member.Default {
			continue
		}
		mark := len(dst)
		dst = v.appendKey(dst, member)
		below := lookup.Member(member)
		var some bool
		if below.Empty() {
			dst, some = v.appendValue(dst, m, member), true
		} else {
			dst, some = v.AppendInjected(dst, member, below)
		}
		if !some {
			dst = dst[:mark]
		}
		anything = anything || some
	}
	v.pop(base)
	v.Release(lookup)
	if !anything {
		return dst[:start], false
	}
	return append(dst, tagEnd), true
}

func (v *View) appendKey(dst []byte, m Member) []byte {
	dst = v.appendOwnNameless(dst, m.Key)
	if m.Second != nil {
		dst = appendText(dst, tagString, m.Second)
	}
	return dst
}

// appendLeaf appends a scalar or an atomic list.
func (v *View) appendLeaf(dst []byte, m Member) []byte {
	switch m.Node.Kind() {
	case jsontree.Array:
		dst = append(dst, tagList)
		for item := range v.items(m.Field, m.Node) {
			dst = v.AppendCanonical(dst, Member{Node: item, Field: m.Field, Item: true})
		}
		return append(dst, tagEnd)
	case jsontree.String:
		return v.appendOwnNameless(dst, m.Node.Text())
	default:
		return appendText(dst, tagScalar, canonicalNumber(m.Node.Text()))
	}
}

func appendText(dst []byte, tag byte, text []byte) []byte {
	dst = binary.AppendUvarint(append(dst, tag), uint64(len(text)))
	return append(dst, text...)
}

// canonicalNumber writes numbers that are no plain integers as RFC 8785 does;
// other scalars are returned as they are.
func canonicalNumber(text []byte) []byte {
	if !bytes.ContainsAny(text, ".eE") && string(text) != "-0" || len(text) == 0 || text[0] > '9' {
		return text
	}
	value := jsontext.Value(bytes.Clone(text))
	if value.Canonicalize() != nil {
		return text
	}
	return value
}

// canonicalQuantity writes a resource.Quantity so that equal amounts are equal
// texts. It reports false for what is no quantity.
func canonicalQuantity(n jsontree.Node) ([]byte, bool) {
	q, ok := Quantity(n)
	if !ok {
		return nil, false
	}
	q.Format = resource.DecimalSI
	number, suffix := q.CanonicalizeBytes(make([]byte, 0, 24))
	if len(suffix) == 0 && (q.CmpInt64(math.MaxInt64) > 0 || q.CmpInt64(math.MinInt64) < 0) {
		return nil, false // 1e21 and more lack the suffix that they need: 1e21 is written as 1
	}
	return append(number, suffix...), true
}

// Quantity returns the amount that a value is; false of what no API server wrote as one.
func Quantity(n jsontree.Node) (resource.Quantity, bool) {
	if kind := n.Kind(); kind != jsontree.String && kind != jsontree.Number || !parsable(n.Text()) {
		return resource.Quantity{}, false
	}
	q, err := resource.ParseQuantity(n.String())
	return q, err == nil
}

// parsable reports whether a text may be a quantity that an API server wrote.
// On an exponent of many digits ParseQuantity works for minutes, in gigabytes.
func parsable(text []byte) bool {
	const longest, longestExponent = 64, "e-99"
	exponent := bytes.LastIndexAny(text, "eE")
	return len(text) <= longest && (exponent < 0 || len(text)-exponent <= len(longestExponent))
}
