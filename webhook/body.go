package webhook

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"sync"
)

// maxBody is more than any AdmissionReview of a new Pod: the API server takes
// objects of up to 3 MiB, and etcd half of that.
const maxBody = 4 << 20

// keptBuffer is the largest buffer that is used again.
const keptBuffer = 128 << 10

// refusal is an HTTP request that is not answered with an AdmissionReview. The
// API server takes it for a failed call, and the webhook's failurePolicy
// decides: it can never be mistaken for a denied Pod.
type refusal struct {
	status int
	reason string
}

func (r refusal) Error() string { return r.reason }

// buffers keeps the memory of bodies from one request to the next. What an
// answer needs of a body it copies.
type buffers struct{ pool sync.Pool }

func (b *buffers) get() *bytes.Buffer {
	if buffer, ok := b.pool.Get().(*bytes.Buffer); ok {
		return buffer
	}
	return new(bytes.Buffer)
}

// put takes a buffer back. Unusually much memory is left to the garbage
// collector, as one big Pod should not be remembered for ever.
func (b *buffers) put(buffer *bytes.Buffer) {
	if buffer.Cap() > keptBuffer {
		*buffer = bytes.Buffer{}
	}
	buffer.Reset()
	b.pool.Put(buffer)
}

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

// readBody reads the request's body into buffer. What the request says that it
// will send there is room for: its lane has seen to it.
func readBody(buffer *bytes.Buffer, w http.ResponseWriter, r *http.Request) ([]byte, error) {
	buffer.Grow(int(max(r.ContentLength, 0)) + bytes.MinRead)
	if _, err := buffer.ReadFrom(http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
		var limit *http.MaxBytesError
		if errors.As(err, &limit) {
			return nil, tooLarge()
		}
		return nil, refusal{http.StatusBadRequest, "the body ends early, or did not arrive in time"}
	}
	return buffer.Bytes(), nil
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
