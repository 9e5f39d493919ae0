package acceptance

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
)

// TestStalledReviews: a client begins reviews and does not end them, by streams of
// headers that announce 64 KiB, by large bodies that lack a byte, more than there
// is room for. The reviews of another are all answered, and no memory is left over.
func TestStalledReviews(t *testing.T) {
	s := runStamper(t)
	w := watchCertificates(t, s)
	before := costs(t, s)
	announced := stallReviews(t, s, 140, 64<<10, nil)
	wantReviews(t, s, 210)
	refused, err := s.Metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := refused["sidecar_drift_webhook_rejected_reviews_total"]; n != 0 {
		t.Errorf("%.0f reviews were turned away when nothing but headers had arrived", n)
	}
	const large = 4 << 20
	more := stallReviews(t, s, 2000, 64<<10, []byte("{"))
	most := stallReviews(t, s, 6, large, make([]byte, large-1))
	wantReviews(t, s, 210)
	w.wantMore(t)
	for _, end := range []func(){announced, more, most} {
		end()
	}
	wantCosts(t, s, before)
}

// stallReviews begins reviews from floodSource that announce so many bytes and send
// only the first. It returns when those are sent, and what ends them.
func stallReviews(t *testing.T, s *install.Stamper, reviews int, announced int64, first []byte) (end func()) {
	t.Helper()
	client := s.Client()
	transport := client.Transport.(*http.Transport)
	transport.DialContext = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(floodSource)}}).DialContext
	ctx, cancel := context.WithCancel(t.Context())
	var sent, running sync.WaitGroup
	for range reviews {
		sent.Add(1)
		reached := sync.OnceFunc(sent.Done)
		body := io.MultiReader(bytes.NewReader(first), stalledReader{ctx, reached})
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL(), io.NopCloser(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		request.ContentLength = announced
		running.Go(func() {
			defer reached()
			if response, err := client.Do(request); err == nil {
				_ = response.Body.Close() // turned away
			}
		})
	}
	sent.Wait()
	end = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		client.CloseIdleConnections()
	})
	t.Cleanup(end)
	return end
}

// stalledReader tells that it is read, and has nothing until its context is done.
type stalledReader struct {
	ctx     context.Context
	reached func()
}

func (r stalledReader) Read([]byte) (int, error) {
	r.reached()
	<-r.ctx.Done()
	return 0, r.ctx.Err()
}

// wantReviews sends reviews one after the other and wants each answered.
func wantReviews(t *testing.T, s *install.Stamper, count int) {
	t.Helper()
	client, review := s.Client(), capturedReview(t)
	defer client.CloseIdleConnections()
	for i := range count {
		status, text, err := post(t.Context(), client, s.URL(), review)
		if err != nil || status != http.StatusOK {
			t.Fatalf("review %d of %d: status %d, %.200s, %v", i, count, status, text, err)
		}
	}
}
