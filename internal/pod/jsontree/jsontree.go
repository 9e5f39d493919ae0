// Package jsontree is a read-only view of a JSON document on a flat tape.
//
// Admission and audits look at a few members of large documents. Decoding them
// into structs would lose fields that this build does not know and cost an
// allocation per value; a tape costs two allocations a document.
package jsontree

import (
	"cmp"
	"errors"
	"iter"
	"sync"
)

// Kind is the first byte of a JSON value, with '0' for every number.
type Kind byte

// Kinds of value. Absent is the kind of the zero [Node].
const (
	Absent Kind = 0
	Object Kind = '{'
	Array  Kind = '['
	String Kind = '"'
	Number Kind = '0'
	True   Kind = 't'
	False  Kind = 'f'
	Null   Kind = 'n'
)

// text is a string's value, or another scalar as it stands: a range of bytes in
// the source or, with the bit escaped in its start, in the document's buffer of
// unescaped strings.
type text struct{ start, end uint32 }

// escaped is no bit of an offset: see maxSize.
const escaped = 1 << 31

// entry is a value on the tape, in document order: a value's first child, if
// it has any, is the next entry.
type entry struct {
	name       text   // of the member; empty for array items
	text       text   // empty for objects and arrays
	start, end uint32 // the value as it stands in the source
	skip       uint32 // the first entry after the value and all below it
	kind       Kind
}

type document struct {
	src       []byte
	unescaped []byte
	tape      []entry
}

// Node is a value of a document. The zero Node stands for an absent one: every
// method works on it.
type Node struct {
	doc   *document
	index uint32
}

// maxSize keeps offsets in 31 bits.
const maxSize = 1 << 31

var readers = sync.Pool{New: func() any { return new(Reader) }}

// Parse reads one JSON document. It refuses duplicate member names, invalid
// UTF-8 and data after the document. The Node refers to src, which must not
// change while it is in use.
func Parse(src []byte) (Node, error) { return ParseAtMost(src, maxSize) }

// ErrTooMany is that a document holds more values than its reader takes.
var ErrTooMany = errors.New("the document holds too many values")

// ParseAtMost is Parse for documents of anybody's making: a value takes 32 bytes
// of memory, and as few as two of the document. The error is ErrTooMany
// where there are more than so many.
func ParseAtMost(src []byte, values int) (Node, error) {
	r := readers.Get().(*Reader)
	defer readers.Put(r)
	defer func() { r.doc = document{} }()
	root, err := r.Parse(src, values)
	if err != nil {
		return Node{}, err
	}
	doc := r.doc
	root.doc = &doc
	return root, nil
}

// Exists reports whether the value is in the document.
func (n Node) Exists() bool { return n.doc != nil }

// Kind returns the value's kind.
func (n Node) Kind() Kind {
	if n.doc == nil {
		return Absent
	}
	return n.doc.tape[n.index].kind
}

// Name returns the member name under which an object holds the value; it is
// empty for array items and the root.
func (n Node) Name() []byte {
	if n.doc == nil {
		return nil
	}
	return n.doc.name(n.index)
}

// Text returns a string's value, any other scalar as it stands, and nil for
// objects and arrays. The caller must not change it.
func (n Node) Text() []byte {
	if n.doc == nil {
		return nil
	}
	return n.doc.slice(n.doc.tape[n.index].text)
}

// String returns Text as a string.
func (n Node) String() string { return string(n.Text()) }

// Raw returns the value as it stands in the document. The caller must not
// change it.
func (n Node) Raw() []byte {
	if n.doc == nil {
		return nil
	}
	at := n.doc.tape[n.index]
	return n.doc.src[at.start:at.end:at.end]
}

// Offsets returns where in the document the value stands: what [Node.Raw] returns,
// as a range of its bytes.
func (n Node) Offsets() (start, end int) {
	if n.doc == nil {
		return 0, 0
	}
	at := n.doc.tape[n.index]
	return int(at.start), int(at.end)
}

// Get follows member names down from the value. It returns the zero Node where
// one of them is absent.
func (n Node) Get(names ...string) Node {
	for _, name := range names {
		n = n.member(name)
	}
	return n
}

func (n Node) member(name string) Node {
	if n.Kind() != Object {
		return Node{}
	}
	for child := range n.Children() {
		if string(child.Name()) == name {
			return child
		}
	}
	return Node{}
}

// Children yields an object's members or an array's items in document order,
// and nothing for a scalar.
func (n Node) Children() iter.Seq[Node] {
	return func(yield func(Node) bool) {
		if n.doc == nil {
			return
		}
		end := n.doc.tape[n.index].skip
		for i := n.index + 1; i < end; i = n.doc.tape[i].skip {
			if !yield(Node{doc: n.doc, index: i}) {
				return
			}
		}
	}
}

// Compare orders values of one document as they stand in it.
func (n Node) Compare(other Node) int { return cmp.Compare(n.index, other.index) }

// IsEmpty reports whether the value is absent, or an object or array without
// anything in it.
func (n Node) IsEmpty() bool {
	switch n.Kind() {
	case Absent:
		return true
	case Object, Array:
		return n.doc.tape[n.index].skip == n.index+1
	default:
		return false
	}
}

func (d *document) name(index uint32) []byte { return d.slice(d.tape[index].name) }

func (d *document) slice(s text) []byte {
	if s.start&escaped != 0 {
		return d.unescaped[s.start&^escaped : s.end : s.end]
	}
	return d.src[s.start:s.end:s.end]
}
