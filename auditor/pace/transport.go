package pace

import (
	"net/http"
	"strconv"
)

// Transport has a Limiter decide when requests are sent: each sending of one that
// is rejected and sent again.
type Transport struct {
	Limiter *Limiter
	// Paced reports whether a request is; others are sent at once.
	Paced func(*http.Request) bool
	Next  http.RoundTripper
}

// RoundTrip sends the request. Those to one path that are answered with one status
// are a class: a refusal comes early.
func (t Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if !t.Paced(r) {
		return t.Next.RoundTrip(r)
	}
	slot, err := t.Limiter.Acquire(r.Context())
	if err != nil {
		return nil, err
	}
	response, err := t.Next.RoundTrip(r)
	result := Result{Outcome: Failed}
	switch {
	case err != nil:
	case response.StatusCode == http.StatusTooManyRequests:
		result.Outcome = Rejected
	case response.StatusCode < http.StatusInternalServerError:
		result = Result{Class: strconv.Itoa(response.StatusCode) + " " + r.URL.Path, Outcome: Answered}
	}
	slot.Release(result)
	return response, err
}
