package printable

import (
	"bytes"
	"io"
	"slices"
	"sync"
	"unicode/utf8"
)

// Writer is what everything passes that a program says: whoever forgets to make
// text printable, in a message of a library say, is made up for here. Line breaks,
// tabs and the program's own sequences pass; the rest is spelled out as in JSON,
// which leaves JSON what it is. Its methods may be called concurrently.
type Writer struct {
	mu        sync.Mutex
	out       io.Writer
	sequences [][]byte
	judge     judge
	rest      []byte // the beginning of a character or of a sequence
}

// NewWriter returns a Writer in front of out that lets these escape sequences pass.
func NewWriter(out io.Writer, sequences ...string) *Writer {
	w := &Writer{out: out, judge: newJudge()}
	for _, sequence := range sequences {
		w.sequences = append(w.sequences, []byte(sequence))
	}
	return w
}

// Unwrap returns what is behind: for what is no text, such as moving the cursor.
func (w *Writer) Unwrap() io.Writer { return w.out }

// Write returns len(text) unless what is behind fails. The beginning of a character
// is kept until the next call.
func (w *Writer) Write(text []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	whole := text
	if len(w.rest) > 0 {
		whole = slices.Concat(w.rest, text)
	}
	out, rest := w.spell(whole)
	w.rest = slices.Clone(rest)
	if _, err := w.out.Write(out); err != nil {
		return 0, err
	}
	return len(text), nil
}

// Flush writes what is kept: there comes no more.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.rest) == 0 {
		return nil
	}
	out := []byte(spell(string(w.rest), true, appendJSON))
	w.rest = nil
	_, err := w.out.Write(out)
	return err
}

// spell returns text, which is not copied where it may stay, and what of its end
// cannot be judged yet.
func (w *Writer) spell(text []byte) (spelled, rest []byte) {
	var out []byte
	done, i := 0, 0
	for i < len(text) {
		r, size := rune(text[i]), 1
		switch {
		case r == '\n' || r == '\t':
			w.judge.breaks()
		case r == '\x1b':
			passes, partly := w.sequence(text[i:])
			if partly {
				return append(out, text[done:i]...), text[i:]
			}
			if size = passes; size == 0 {
				size = 1
				w.judge.hides(r, size)
				out, done = appendJSON(append(out, text[done:i]...), r, ""), i+size
			}
		case r >= utf8.RuneSelf && !utf8.FullRune(text[i:]):
			return append(out, text[done:i]...), text[i:]
		default:
			if r >= utf8.RuneSelf {
				r, size = utf8.DecodeRune(text[i:])
			}
			if w.judge.hides(r, size) {
				out, done = appendJSON(append(out, text[done:i]...), r, ""), i+size
			}
		}
		i += size
	}
	if done == 0 {
		return text, nil
	}
	return append(out, text[done:]...), nil
}

// sequence returns the length of the sequence that the text begins with, or that
// it may be the beginning of one.
func (w *Writer) sequence(text []byte) (passes int, partly bool) {
	for _, sequence := range w.sequences {
		switch {
		case bytes.HasPrefix(text, sequence):
			return len(sequence), false
		case bytes.HasPrefix(sequence, text):
			partly = true
		}
	}
	return 0, partly
}
