package webhook

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

// TestBodies: bodies of every size arrive whole, however they arrive, and hold is
// asked for no more than has arrived.
func TestBodies(t *testing.T) {
	pool := newBodies()
	random := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{0, 1, probeSize, chunkSize - 1, chunkSize, chunkSize + 1, 2 * chunkSize, ordinaryBody, 300_001} {
		text := make([]byte, size)
		for i := range text {
			text[i] = byte(random.Uint32())
		}
		for name, reader := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "halves": iotest.HalfReader, "bytes": iotest.OneByteReader, "with its end": iotest.DataErrReader,
		} {
			b := pool.get()
			arrived := countingReader{r: reader(bytes.NewReader(text))}
			var held int64
			err := pool.read(b, &arrived, func(size int64) error {
				if held = size; size >= arrived.n+chunkSize {
					t.Errorf("%d bytes, %s: %d are held when %d have arrived", len(text), name, size, arrived.n)
				}
				return nil
			})
			var memory []byte
			if got := b.join(&memory); err != nil || !bytes.Equal(got, text) || held < int64(size) {
				t.Errorf("%d bytes, %s: %d arrived, %d are held, %v", size, name, len(got), held, err)
			}
			pool.put(b)
		}
	}
	b := pool.get()
	defer pool.put(b)
	full := errors.New("full")
	if err := pool.read(b, bytes.NewReader(make([]byte, 1)), func(int64) error { return full }); !errors.Is(err, full) {
		t.Errorf("without room: %v", err)
	}
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
