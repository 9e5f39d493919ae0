package jsontree

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Stream cuts values out of JSON that is read bit by bit. It finds where they end and
// checks nothing else, so that a value which no parser takes, as one that is nested
// more deeply than those go, keeps nobody from the values behind it.
type Stream struct {
	from   io.Reader
	buffer []byte
	at     int   // what is before it was handed on
	err    error // of from
}

// firstBuffer is what a Stream reads at once, and largestKept what it keeps of a
// buffer that a large value has made grow.
const (
	firstBuffer = 16 << 10
	largestKept = 64 << 10
)

// NewStream returns a Stream of what is read from a Reader.
func NewStream(from io.Reader) *Stream { return &Stream{from: from} }

// Peek returns the first byte of what comes next, white space apart. At the end of
// the stream the error is io.EOF.
func (s *Stream) Peek() (byte, error) {
	for {
		for ; s.at < len(s.buffer); s.at++ {
			switch c := s.buffer[s.at]; c {
			case ' ', '\t', '\r', '\n':
			default:
				return c, nil
			}
		}
		if err := s.more(); err != nil {
			return 0, err
		}
	}
}

// Skip passes one byte, which must be the given one: a bracket, colon or comma.
func (s *Stream) Skip(c byte) error {
	next, err := s.Peek()
	if err != nil {
		return unexpected(err)
	}
	if next != c {
		return fmt.Errorf("found %q, not %q", next, c)
	}
	s.at++
	return nil
}

// Value returns the next value as it stands, which is valid until the next call. At
// the end of the stream the error is io.EOF.
func (s *Stream) Value() ([]byte, error) {
	first, err := s.Peek()
	if err != nil {
		return nil, err
	}
	var end int
	switch first {
	case '{', '[', '"':
		end, err = s.structure()
	case '}', ']', ':', ',':
		return nil, fmt.Errorf("found %q, not a value", first)
	default:
		end, err = s.literal()
	}
	if err != nil {
		return nil, err
	}
	value := s.buffer[s.at:end:end]
	s.at = end
	return value, nil
}

// structure returns where an object, array or string ends.
func (s *Stream) structure() (int, error) {
	depth, quoted := 0, false
	for i := 0; ; i++ {
		if s.at+i == len(s.buffer) {
			if err := s.more(); err != nil {
				return 0, unexpected(err)
			}
		}
		c := s.buffer[s.at+i]
		switch {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++ // the next byte ends no string
			if s.at+i == len(s.buffer) {
				if err := s.more(); err != nil {
					return 0, unexpected(err)
				}
			}
			continue
		case quoted:
			continue
		case c == '{', c == '[':
			depth++
		case c == '}', c == ']':
			depth--
		}
		if depth == 0 && !quoted {
			return s.at + i + 1, nil
		}
	}
}

// literal returns where a number, true, false or null ends.
func (s *Stream) literal() (int, error) {
	for i := 0; ; i++ {
		if s.at+i == len(s.buffer) {
			err := s.more()
			if errors.Is(err, io.EOF) {
				return s.at + i, nil
			}
			if err != nil {
				return 0, err
			}
		}
		if bytes.IndexByte([]byte(" \t\r\n,:]}"), s.buffer[s.at+i]) >= 0 {
			return s.at + i, nil
		}
	}
}

// more reads on. It keeps what was not handed on, with which the buffer then begins.
func (s *Stream) more() error {
	if s.err != nil {
		return s.err
	}
	rest := s.buffer[s.at:]
	switch {
	case len(rest) == cap(s.buffer): // of a value that is larger
		s.buffer = append(make([]byte, 0, max(2*cap(s.buffer), firstBuffer)), rest...)
	case cap(s.buffer) > largestKept && len(rest) < firstBuffer:
		s.buffer = append(make([]byte, 0, 2*firstBuffer), rest...)
	default:
		s.buffer = s.buffer[:copy(s.buffer[:cap(s.buffer)], rest)]
	}
	s.at = 0
	for {
		n, err := s.from.Read(s.buffer[len(s.buffer):cap(s.buffer)])
		s.buffer, s.err = s.buffer[:len(s.buffer)+n], err
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
