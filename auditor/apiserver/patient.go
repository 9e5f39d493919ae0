package apiserver

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

const (
	// patience is how long an API server is waited for that has gone away: a
	// restart takes some seconds, a control plane's upgrade up to a minute.
	patience = 2 * time.Minute
	// readyEvery is how often it is asked meanwhile whether it is back.
	readyEvery = time.Second
	// sendings is how often a request is sent whose connection is lost though the
	// API server is there.
	sendings = 3
)

// patient sends requests again that were lost with an API server that went away,
// when that is back and ready: one that has just started forbids everything until
// it has read its RBAC rules. Requests must be repeatable, as reads and dry runs are.
type patient struct {
	next   http.RoundTripper
	ready  func(context.Context) error
	giveUp context.CancelCauseFunc

	// there: it has answered before. One that never did is not waited for.
	there atomic.Bool
	gate  chan struct{} // holds one while the API server is not waited for
}

func newPatient(ready func(context.Context) error, giveUp context.CancelCauseFunc) *patient {
	p := &patient{ready: ready, giveUp: giveUp, gate: make(chan struct{}, 1)}
	p.gate <- struct{}{}
	return p
}

func (p *patient) over(next http.RoundTripper) http.RoundTripper {
	p.next = next
	return p
}

// RoundTrip sends the request, again if it is lost.
func (p *patient) RoundTrip(r *http.Request) (*http.Response, error) {
	for sent := 1; ; sent++ {
		response, err := p.send(r)
		if err == nil || sent == sendings || r.Context().Err() != nil || !p.there.Load() {
			return response, err
		}
		if p.await(r.Context()) != nil {
			if r.Context().Err() != nil {
				return nil, err
			}
			err = fmt.Errorf("the API server went away in the middle of the audit and was not ready again within %s: %w", patience, err)
			p.giveUp(err)
			return nil, err
		}
		again := r.Clone(r.Context())
		if r.GetBody != nil {
			if again.Body, err = r.GetBody(); err != nil {
				return nil, err
			}
		}
		r = again
	}
}

func (p *patient) send(r *http.Request) (*http.Response, error) {
	<-p.gate
	p.gate <- struct{}{}
	response, err := p.next.RoundTrip(r)
	if err == nil {
		p.there.Store(true)
	}
	return response, err
}

// await returns when the API server is ready, with an error if it is not in time.
// One that does not let the identity ask that, as long as it may, counts as ready.
func (p *patient) await(ctx context.Context) error {
	<-p.gate
	defer func() { p.gate <- struct{}{} }()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := p.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			if apierrors.IsForbidden(err) {
				return nil
			}
			return err
		case <-time.After(readyEvery):
		}
	}
}
