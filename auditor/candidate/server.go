package candidate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sidecar-drift/sidecar-drift/internal/printable"
)

// maxAnswer is the number of bytes of the largest answer that is read. A Pod that can be
// stored has 1.5 MiB, and an answer may have that twice, in base64.
const maxAnswer = 4 << 20

// server is who answers AdmissionReviews. It may be asked concurrently.
type server interface {
	// ask returns the answer to a review, both as JSON, of maxAnswer bytes at most.
	ask(ctx context.Context, review []byte) ([]byte, error)
	close()
}

// errTooLarge is an answer of more than maxAnswer bytes.
var errTooLarge = fmt.Errorf("its answer has more than %d MiB", maxAnswer>>20)

// httpServer is one that is asked as API servers ask.
type httpServer struct {
	client *http.Client
	at     url.URL
}

// newHTTPServer returns one that is asked through the transport.
func newHTTPServer(at url.URL, transport *http.Transport) *httpServer {
	return &httpServer{at: at, client: &http.Client{
		Transport: transport,
		// Neither do API servers follow them: who answers is who was named.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (s *httpServer) ask(ctx context.Context, review []byte) ([]byte, error) {
	at := s.at
	if deadline, ok := ctx.Deadline(); ok {
		// Whole seconds, as API servers have it: what a webhook has time for may follow from it.
		left := time.Until(deadline).Round(time.Second)
		at.RawQuery = url.Values{"timeout": {max(left, time.Second).String()}}.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, at.String(), bytes.NewReader(review))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json, */*")
	request.Header.Set("User-Agent", "kube-apiserver-admission")
	response, err := s.client.Do(request)
	if err != nil {
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err // who was asked is said by whoever reports this
		}
		return nil, err
	}
	defer response.Body.Close()
	answer, err := read(response.Body)
	switch {
	case err != nil:
		return nil, err
	case response.StatusCode >= 300 && response.StatusCode < 400:
		return nil, fmt.Errorf("%s: it redirects to another place, which is not followed", response.Status)
	case response.StatusCode < 200 || response.StatusCode > 299:
		return nil, fmt.Errorf("%s: %s", response.Status, said(answer))
	}
	return answer, nil
}

func (s *httpServer) close() { s.client.CloseIdleConnections() }

// read reads an answer whole.
func read(r io.Reader) ([]byte, error) {
	answer, err := io.ReadAll(io.LimitReader(r, maxAnswer+1))
	if err == nil && len(answer) > maxAnswer {
		err = errTooLarge
	}
	return answer, err
}

// maxSaid is how much of what a stranger says is told, in columns.
const maxSaid = 300

// said is what a stranger said, on one line, safe to show.
func said(text []byte) string {
	text = text[:min(len(text), 4*maxSaid)]
	return printable.Cut(printable.Text(strings.Join(strings.Fields(string(text)), " ")), maxSaid)
}
