package jsontree

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// valuesOf reads all values of a text, as they stand.
func valuesOf(from io.Reader) (values []string, err error) {
	s := NewStream(from)
	for {
		value, err := s.Value()
		if errors.Is(err, io.EOF) {
			return values, nil
		}
		if err != nil {
			return values, err
		}
		values = append(values, string(value))
	}
}

func TestStream(t *testing.T) {
	long := strings.Repeat("x", 3*firstBuffer)
	for text, want := range map[string][]string{
		"":                          nil,
		" \n\t ":                    nil,
		"1 true\nnull":              {"1", "true", "null"},
		`{"a":[1,2]}{"b":"}"}`:      {`{"a":[1,2]}`, `{"b":"}"}`},
		`"a\"b" "\\" "\\\""`:        {`"a\"b"`, `"\\"`, `"\\\""`},
		`["` + long + `"] [` + long: {`["` + long + `"]`},
		strings.Repeat("[", 50_000) + strings.Repeat("]", 50_000) + "2": {strings.Repeat("[", 50_000) + strings.Repeat("]", 50_000), "2"},
	} {
		for name, reader := range map[string]func(io.Reader) io.Reader{"whole": func(r io.Reader) io.Reader { return r }, "a byte": iotest.OneByteReader, "half": iotest.HalfReader, "with its end": iotest.DataErrReader} {
			got, err := valuesOf(reader(strings.NewReader(text)))
			if cut := strings.HasSuffix(text, "["+long); cut != errors.Is(err, io.ErrUnexpectedEOF) || !cut && err != nil {
				t.Errorf("%s %.20q: %v", name, text, err)
			}
			if strings.Join(got, "\x00") != strings.Join(want, "\x00") {
				t.Errorf("%s %.20q: %.100q", name, text, got)
			}
		}
	}
}

func TestStreamFails(t *testing.T) {
	broken := errors.New("broken")
	for _, text := range []string{``, `{"a"`, `{"a\`, ` `} {
		_, err := NewStream(io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken))).Value()
		if !errors.Is(err, broken) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := NewStream(strings.NewReader("]")).Value(); err == nil {
		t.Error("a bracket is a value")
	}
	s := NewStream(strings.NewReader("{]"))
	if err := errors.Join(s.Skip('{')); err != nil {
		t.Error(err)
	}
	if err := s.Skip('}'); err == nil {
		t.Error("passes another bracket")
	}
}

// FuzzStream: of what is valid, the values are those that were put together.
func FuzzStream(f *testing.F) {
	f.Add(`{"a":["\\",1e5,null]}`, `"x"`, 3)
	f.Fuzz(func(t *testing.T, a, b string, size int) {
		if !json.Valid([]byte(a)) || !json.Valid([]byte(b)) {
			_, _ = valuesOf(strings.NewReader(a + " " + b)) // no panic
			return
		}
		chunks := &chunked{text: []byte(a + "\n" + b), size: min(max(size, 1), 1<<20)}
		got, err := valuesOf(chunks)
		if err != nil || len(got) != 2 || got[0] != string(bytes.Trim([]byte(a), " \t\r\n")) || got[1] != string(bytes.Trim([]byte(b), " \t\r\n")) {
			t.Errorf("%q and %q: %q, %v", a, b, got, err)
		}
	})
}

// chunked is a text that comes in pieces.
type chunked struct {
	text []byte
	size int
}

func (c *chunked) Read(p []byte) (int, error) {
	if len(c.text) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.text[:min(c.size, len(c.text))])
	c.text = c.text[n:]
	return n, nil
}
