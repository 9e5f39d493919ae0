package webhook

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"sync"
)

const (
	// maxBody is more than any AdmissionReview of a new Pod: the API server takes
	// objects of up to 3 MiB, and etcd half of that.
	maxBody = 4 << 20
	// chunkSize is as much of a body as memory is taken for at a time: most are
	// one chunk.
	chunkSize = 16 << 10
	// probeSize is what the beginning of a chunk is read into, before there is one.
	probeSize = 512
)

// refusal is an HTTP request that is not answered with an AdmissionReview. The
// API server takes it for a failed call, and the webhook's failurePolicy
// decides: it can never be mistaken for a denied Pod.
type refusal struct {
	status int
	reason string
}

func (r refusal) Error() string { return r.reason }

// checkHeaders refuses what is no POST of JSON, or too large.
func checkHeaders(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return refusal{http.StatusMethodNotAllowed, "send AdmissionReviews with POST"}
	}
	if !isJSON(r.Header.Get("Content-Type")) {
		return refusal{http.StatusUnsupportedMediaType, "send AdmissionReviews as application/json"}
	}
	if r.ContentLength > maxBody {
		return tooLarge()
	}
	return nil
}

// body is what has arrived of a request's body, in chunks. What an answer needs of
// it is copied: the memory serves the next one.
type body struct {
	probe  [probeSize]byte
	chunks []*[chunkSize]byte
	size   int64
}

// bodies keeps the memory of bodies from one request to the next; the garbage
// collector takes what is not used.
type bodies struct{ bodies, chunks sync.Pool }

func newBodies() *bodies {
	return &bodies{
		bodies: sync.Pool{New: func() any { return new(body) }},
		chunks: sync.Pool{New: func() any { return new([chunkSize]byte) }},
	}
}

func (p *bodies) get() *body { return p.bodies.Get().(*body) }

func (p *bodies) put(b *body) {
	for i, chunk := range b.chunks {
		p.chunks.Put(chunk)
		b.chunks[i] = nil
	}
	b.chunks, b.size = b.chunks[:0], 0
	p.bodies.Put(b)
}

// read reads a request's body to its end. For each chunk hold is asked first, when
// a byte of it has arrived, with the size that makes; its error ends the reading.
func (p *bodies) read(b *body, from io.Reader, hold func(size int64) error) error {
	for {
		into := b.rest()
		if into == nil {
			into = b.probe[:]
		}
		n, err := from.Read(into)
		if n > 0 && &into[0] == &b.probe[0] {
			if err := hold(int64(len(b.chunks)+1) * chunkSize); err != nil {
				return err
			}
			chunk := p.chunks.Get().(*[chunkSize]byte)
			copy(chunk[:], into[:n])
			b.chunks = append(b.chunks, chunk)
		}
		b.size += int64(n)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return notRead(err)
		}
	}
}

// rest is what is free of the last chunk; nil if nothing is.
func (b *body) rest() []byte {
	if used := b.size - int64(len(b.chunks)-1)*chunkSize; len(b.chunks) > 0 && used < chunkSize {
		return b.chunks[len(b.chunks)-1][used:]
	}
	return nil
}

// join returns the body in one piece, in the given memory unless it is in one
// already.
func (b *body) join(memory *[]byte) []byte {
	if len(b.chunks) == 1 {
		return b.chunks[0][:b.size]
	}
	joined := slices.Grow((*memory)[:0], int(b.size))
	for left := b.size; left > 0; left -= chunkSize {
		joined = append(joined, b.chunks[(b.size-left)/chunkSize][:min(left, chunkSize)]...)
	}
	*memory = joined
	return joined
}

func notRead(err error) error {
	if _, is := errors.AsType[*http.MaxBytesError](err); is {
		return tooLarge()
	}
	return refusal{http.StatusBadRequest, "the body ends early, or did not arrive in time"}
}

func tooLarge() error {
	return refusal{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", maxBody)}
}

func isJSON(contentType string) bool {
	const want = "application/json"
	if contentType == want {
		return true
	}
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && media == want
}
