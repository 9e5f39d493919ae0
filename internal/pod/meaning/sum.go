package meaning

import (
	"crypto/sha256"
	"encoding/binary"
)

// sum is the beginning of a SHA-256.
type sum [16]byte

// newMap and newList take over what they are given; a map's names are sorted.
func newMap(names []string, items []Value) Value {
	return summed(Value{kind: mapping, names: names, items: items})
}

// newList returns a list; flags are nil if none of its items is an argument.
func newList(flags []string, items []Value) Value {
	return summed(Value{kind: list, names: flags, items: items})
}

func summed(v Value) Value {
	form := []byte{byte(v.kind)}
	for i := range v.items {
		form = v.appendToken(form, i)
	}
	digest := sha256.Sum256(form)
	v.sum = sum(digest[:])
	return v
}

// appendToken appends what is the same for members and items that mean the same, of
// whatever map or list.
func (v *Value) appendToken(dst []byte, i int) []byte {
	item := &v.items[i]
	name := ""
	if v.names != nil {
		name = v.names[i]
	}
	dst = append(binary.AppendUvarint(dst, uint64(len(name))), name...)
	dst = append(dst, byte(item.kind), byte(item.form))
	if item.Decoded() {
		return append(dst, item.sum[:]...)
	}
	return append(binary.AppendUvarint(dst, uint64(len(item.raw))), item.raw...)
}

// tokens are those of all items.
func (v *Value) tokens() []string {
	tokens := make([]string, len(v.items))
	var scratch []byte
	for i := range v.items {
		scratch = v.appendToken(scratch[:0], i)
		tokens[i] = string(scratch)
	}
	return tokens
}
