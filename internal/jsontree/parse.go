package jsontree

import (
	"bytes"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

type parser struct {
	dec  *jsontext.Decoder
	doc  *document
	open []uint32 // the objects and arrays around the current value
	most int      // values
}

func (p *parser) document() error {
	for {
		if err := p.value(); err != nil {
			return err
		}
		if len(p.doc.tape) > p.most {
			return ErrTooMany
		}
		if len(p.open) == 0 {
			break
		}
	}
	switch _, err := p.dec.ReadToken(); {
	case err == nil:
		return errors.New("data follows the JSON document")
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

// value reads the next value, the begin of one, or the end of the one around.
func (p *parser) value() error {
	var name span
	if n := len(p.open); n > 0 && p.doc.tape[p.open[n-1]].kind == Object && p.dec.PeekKind() == '"' {
		raw, err := p.scalar()
		if err != nil {
			return err
		}
		if name, err = p.text(raw); err != nil {
			return err
		}
	}
	kind := p.dec.PeekKind()
	switch kind {
	case '{', '[':
		if _, err := p.dec.ReadToken(); err != nil {
			return err
		}
		end := uint32(p.dec.InputOffset())
		p.open = append(p.open, uint32(len(p.doc.tape)))
		p.doc.tape = append(p.doc.tape, entry{name: name, raw: span{start: end - 1}, kind: Kind(kind)})
		return nil
	case '}', ']':
		if _, err := p.dec.ReadToken(); err != nil {
			return err
		}
		last := len(p.open) - 1
		closed := &p.doc.tape[p.open[last]]
		closed.raw.end = uint32(p.dec.InputOffset())
		closed.skip = uint32(len(p.doc.tape))
		p.open = p.open[:last]
		return nil
	}
	raw, err := p.scalar()
	if err != nil {
		return err
	}
	text := raw
	if kind == '"' {
		if text, err = p.text(raw); err != nil {
			return err
		}
	}
	p.doc.tape = append(p.doc.tape, entry{
		name: name, raw: raw, text: text,
		kind: Kind(kind), skip: uint32(len(p.doc.tape)) + 1,
	})
	return nil
}

// scalar reads a string, number, boolean or null and says where it stood.
func (p *parser) scalar() (span, error) {
	value, err := p.dec.ReadValue()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return span{}, err
	}
	end := uint32(p.dec.InputOffset())
	return span{start: end - uint32(len(value)), end: end}, nil
}

// text says where the value of the string at raw stands, unescaping it where
// that is needed.
func (p *parser) text(raw span) (span, error) {
	quoted := p.doc.src[raw.start:raw.end]
	if bytes.IndexByte(quoted, '\\') < 0 {
		return span{start: raw.start + 1, end: raw.end - 1}, nil
	}
	start := uint32(len(p.doc.unescaped))
	var err error
	if p.doc.unescaped, err = jsontext.AppendUnquote(p.doc.unescaped, quoted); err != nil {
		return span{}, err
	}
	return span{start: start, end: uint32(len(p.doc.unescaped)), escaped: true}, nil
}
