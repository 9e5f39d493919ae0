package webhook

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// apiServer and hostile are the addresses of two clients.
const apiServer, hostile = "127.0.0.1", "127.0.0.2"

// stall is what reviews do that begin and do not end.
type stall struct {
	reviews   int
	announced int64         // -1: nothing
	sent      int           // bytes
	then      time.Duration // between bytes, after those; 0: nothing comes
	http1     bool
	unread    bool // the answers
	again     bool // a new one for each that ends, at once by a reset
}

// TestStalledReviews: whatever one address begins and does not end, the reviews of
// another are all answered, large ones too.
func TestStalledReviews(t *testing.T) {
	large := append(bytes.Repeat([]byte(" "), 1<<20), readFixture(t)...)
	for name, stalled := range map[string]stall{
		"140 streams that announce 64 KiB": {reviews: 140, announced: ordinaryBody},
		"thousands of headers":             {reviews: 2500, announced: ordinaryBody},
		"large ones announced":             {reviews: 800, announced: maxBody},
		"a byte each":                      {reviews: 800, announced: ordinaryBody, sent: 1},
		"nothing announced":                {reviews: 800, announced: -1, sent: 1},
		"all but the last byte":            {reviews: 200, announced: ordinaryBody, sent: ordinaryBody - 1},
		"large ones but for the last byte": {reviews: 6, announced: maxBody, sent: maxBody - 1},
		"a trickle":                        {reviews: 800, announced: ordinaryBody, sent: chunkSize, then: 5 * time.Millisecond},
		"HTTP/1.1":                         {reviews: maxPerAddress, announced: ordinaryBody, sent: 1, http1: true},
		"HTTP/1.1 in chunks":               {reviews: maxPerAddress, announced: -1, sent: 40_000, http1: true},
		"resets":                           {reviews: 100, announced: ordinaryBody, sent: 1, again: true},
		"answers that nobody reads":        {reviews: 800, sent: 8 << 10, unread: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startReady(t)
			stalled.begin(t, s, hostile)
			client := s.clientAt(apiServer)
			defer client.CloseIdleConnections()
			s.wantAnswers(t, client, 210, 2, readFixture(t))
			// On a busy machine a megabyte may take longer than an API server waits.
			for range 4 {
				eventually(t, func() bool {
					status, text, err := s.post(client, bytes.NewReader(large))
					return err == nil && status == http.StatusOK && strings.Contains(text, `"allowed":true`)
				})
			}
		})
	}
}

// TestStalledNeighbour: so are those of the same address, as far as there is room,
// or once what has stalled is overdue. Connections are counted by address, so theirs
// is open before.
func TestStalledNeighbour(t *testing.T) {
	t.Parallel()
	s := startReady(t)
	client := s.clientAt(apiServer)
	defer client.CloseIdleConnections()
	s.wantAnswers(t, client, 1, 1, readFixture(t))
	stall{reviews: 140, announced: ordinaryBody}.begin(t, s, apiServer)
	s.wantAnswers(t, client, 210, 2, readFixture(t))
	s.wantMetric(t, "sidecar_drift_webhook_rejected_reviews_total 0")

	stall{reviews: 6, announced: maxBody, sent: maxBody - 1}.begin(t, s, apiServer)
	eventually(t, func() bool {
		status, _, err := s.post(s.client(), strings.NewReader(strings.Repeat(" ", ordinaryBody)+string(readFixture(t))))
		return err == nil && status == http.StatusOK
	})
}

// clientAt is client at a loopback address, which keeps its connections.
func (s *stamper) clientAt(address string) *http.Client {
	client := clientWith(s.trust())
	transport := client.Transport.(*http.Transport)
	transport.DisableKeepAlives = false
	transport.DialContext = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}).DialContext
	return client
}

// wantAnswers sends reviews, some at a time, and wants each of them answered. No more
// than there are turns: none waits for another of them.
func (s *stamper) wantAnswers(t *testing.T, client *http.Client, count, atOnce int, review []byte) {
	t.Helper()
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i := range count {
		group.Go(func() error {
			status, text, err := s.post(client, bytes.NewReader(review))
			if err == nil && (status != http.StatusOK || !strings.Contains(text, `"allowed":true`)) {
				err = fmt.Errorf("status %d: %.200s", status, text)
			}
			if err != nil {
				return fmt.Errorf("review %d of %d bytes: %w", i, len(review), err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

// begin returns when each review has sent what it sends, or has begun to get an
// answer that nobody reads, or has ended: the stamper may well turn it away.
func (stalled stall) begin(t *testing.T, s *stamper, from string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	client := s.clientAt(from)
	transport := client.Transport.(*http.Transport)
	transport.ForceAttemptHTTP2 = !stalled.http1
	var body []byte
	if stalled.unread {
		transport.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: 1}
		body = []byte(forgedPods["containers"].reviewOf(stalled.sent))
		stalled.announced, stalled.sent = int64(len(body)), len(body)
	} else {
		body = bytes.Repeat([]byte(" "), stalled.sent)
	}
	var begun, running sync.WaitGroup
	for range stalled.reviews {
		begun.Add(1)
		running.Go(func() {
			reached := sync.OnceFunc(begun.Done)
			defer reached()
			for ended := false; !ended; ended = !stalled.again || ctx.Err() != nil {
				stalled.send(ctx, client, s.stampURL(), body, reached)
			}
		})
	}
	begun.Wait()
	t.Cleanup(func() {
		cancel()
		running.Wait()
		client.CloseIdleConnections()
	})
}

// send sends one review, until ctx is done or it has its answer.
func (stalled stall) send(ctx context.Context, client *http.Client, url string, body []byte, reached func()) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sent := func() {
		if !stalled.unread {
			reached()
		}
		if stalled.again {
			cancel()
		}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, &slowBody{ctx, bytes.NewReader(body), sent, stalled})
	if err != nil {
		return
	}
	request.Header.Set("Content-Type", "application/json")
	request.ContentLength = stalled.announced
	response, err := client.Do(request)
	if err != nil {
		return
	}
	defer response.Body.Close()
	if stalled.unread {
		reached()
		<-ctx.Done()
	}
}

// slowBody is a body that does not end.
type slowBody struct {
	ctx  context.Context
	head *bytes.Reader
	sent func()
	stall
}

func (b *slowBody) Read(p []byte) (int, error) {
	if n, err := b.head.Read(p); err == nil {
		return n, nil
	}
	b.sent()
	if b.unread {
		return 0, io.EOF
	}
	var next <-chan time.Time
	if b.then > 0 {
		next = time.After(b.then)
	}
	select {
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	case <-next:
		p[0] = ' '
		return 1, nil
	}
}

func (b *slowBody) Close() error { return nil }
