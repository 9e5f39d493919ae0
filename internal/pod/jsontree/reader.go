package jsontree

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// Reader reads one document after another into the same memory. The zero Reader
// is ready to use; it is for one goroutine.
type Reader struct {
	doc   document
	dec   jsontext.Decoder
	src   bytes.Buffer // the decoder reads it in place
	open  []uint32     // the objects and arrays around the current value
	names []uint32     // members of an object, by name
}

// bytesPerValue are fewer than Pods have: 19 and more.
const bytesPerValue = 16

// Parse is [ParseAtMost], but the Node is good until the next call only.
func (r *Reader) Parse(src []byte, values int) (Node, error) {
	if len(src) >= maxSize {
		return Node{}, fmt.Errorf("a document of %d bytes is too large", len(src))
	}
	if err := r.validate(src); err != nil {
		return Node{}, err
	}
	r.doc.src, r.doc.unescaped = src, r.doc.unescaped[:0]
	r.doc.tape = slices.Grow(r.doc.tape[:0], min(len(src)/bytesPerValue+1, values))
	r.open = r.open[:0]
	if err := r.fill(values); err != nil {
		return Node{}, err
	}
	return Node{doc: &r.doc}, nil
}

// Forget lets go of the document, and keeps the memory of the tape.
func (r *Reader) Forget() { r.doc.src = nil }

// validate fails on what is not one JSON document. Names may be there twice: the
// decoder would remember each one, and the tape has them anyway.
func (r *Reader) validate(src []byte) error {
	r.src = *bytes.NewBuffer(src)
	r.dec.Reset(&r.src, jsontext.AllowDuplicateNames(true))
	defer func() {
		r.src = bytes.Buffer{}
		r.dec.Reset(&r.src)
	}()
	if _, err := r.dec.ReadValue(); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	switch _, err := r.dec.ReadToken(); {
	case err == nil:
		return errors.New("data follows the JSON document")
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

// fill puts the valid document on the tape.
func (r *Reader) fill(most int) error {
	var (
		d    = &r.doc
		name text
	)
	for i := uint32(0); i < uint32(len(d.src)); {
		switch c := d.src[i]; c {
		case ' ', '\t', '\r', '\n', ',':
			i++
			continue
		case '{', '[':
			r.open = append(r.open, uint32(len(d.tape)))
			d.tape = append(d.tape, entry{name: name, start: i, kind: Kind(c)})
			i++
		case '}', ']':
			i++
			if err := r.close(i); err != nil {
				return err
			}
			continue
		case '"':
			start := i
			var value text
			var err error
			if value, i, err = d.text(start); err != nil {
				return err
			}
			if next := d.afterSpace(i); next < uint32(len(d.src)) && d.src[next] == ':' {
				name, i = value, next+1
				continue
			}
			d.scalar(name, value, start, i, String)
		default:
			start := i
			i = d.scalarEnd(i)
			d.scalar(name, text{start: start, end: i}, start, i, kindOf(c))
		}
		name = text{}
		if len(d.tape) > most {
			return ErrTooMany
		}
	}
	return nil
}

// close ends the innermost object or array at this offset.
func (r *Reader) close(end uint32) error {
	last := len(r.open) - 1
	index := r.open[last]
	r.open = r.open[:last]
	closed := &r.doc.tape[index]
	closed.end, closed.skip = end, uint32(len(r.doc.tape))
	if closed.kind == Object {
		return r.unique(index)
	}
	return nil
}

// unique fails on an object that has two members of one name. Where many members
// are, they mostly come sorted.
func (r *Reader) unique(object uint32) error {
	d := &r.doc
	r.names = r.names[:0]
	sorted := true
	var last []byte
	for i := object + 1; i < d.tape[object].skip; i = d.tape[i].skip {
		name := d.name(i)
		sorted = sorted && (len(r.names) == 0 || bytes.Compare(last, name) < 0)
		last = name
		r.names = append(r.names, i)
	}
	if sorted {
		return nil
	}
	slices.SortFunc(r.names, func(a, b uint32) int { return bytes.Compare(d.name(a), d.name(b)) })
	for i := 1; i < len(r.names); i++ {
		if a, b := r.names[i-1], r.names[i]; bytes.Equal(d.name(a), d.name(b)) {
			return &jsontext.SyntacticError{ByteOffset: int64(d.tape[max(a, b)].start), Err: jsontext.ErrDuplicateName}
		}
	}
	return nil
}

func (d *document) scalar(name, value text, start, end uint32, kind Kind) {
	d.tape = append(d.tape, entry{
		name: name, text: value, start: start, end: end,
		skip: uint32(len(d.tape)) + 1, kind: kind,
	})
}

// text reads the string at this offset, unescaping it where that is needed, and
// returns the offset behind it.
func (d *document) text(start uint32) (text, uint32, error) {
	end, plain := start+1, true
	for ; d.src[end] != '"'; end++ {
		if d.src[end] == '\\' {
			end++
			plain = false
		}
	}
	if plain {
		return text{start: start + 1, end: end}, end + 1, nil
	}
	begin := uint32(len(d.unescaped))
	var err error
	if d.unescaped, err = jsontext.AppendUnquote(d.unescaped, d.src[start:end+1]); err != nil {
		return text{}, 0, err
	}
	return text{start: begin | escaped, end: uint32(len(d.unescaped))}, end + 1, nil
}

func (d *document) scalarEnd(i uint32) uint32 {
	for ; i < uint32(len(d.src)); i++ {
		switch d.src[i] {
		case ',', '}', ']', ' ', '\t', '\r', '\n':
			return i
		}
	}
	return i
}

func (d *document) afterSpace(i uint32) uint32 {
	for i < uint32(len(d.src)) && (d.src[i] == ' ' || d.src[i] == '\t' || d.src[i] == '\r' || d.src[i] == '\n') {
		i++
	}
	return i
}

func kindOf(first byte) Kind {
	switch kind := Kind(first); kind {
	case True, False, Null:
		return kind
	}
	return Number
}
