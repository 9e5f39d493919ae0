package inventory

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
)

// cutWatches is an API server behind a proxy that cuts every watch after a while.
type cutWatches struct {
	after time.Duration
	begun []time.Time
}

func (c *cutWatches) RoundTrip(r *http.Request) (*http.Response, error) {
	c.begun = append(c.begun, time.Now())
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
		Body: &cutBody{ctx: r.Context(), after: c.after, events: strings.NewReader(
			`{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7","annotations":{"k8s.io/initial-events-end":"true"}}}}` + "\n")},
	}, nil
}

type cutBody struct {
	ctx    context.Context
	after  time.Duration
	events io.Reader
}

func (b *cutBody) Read(p []byte) (int, error) {
	if n, err := b.events.Read(p); err == nil {
		return n, nil
	}
	select {
	case <-time.After(b.after):
		return 0, errors.New("connection reset by peer")
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	}
}

func (b *cutBody) Close() error { return nil }

// A watch that is cut was followed until then: it is begun again at once. One that
// is cut as soon as it begins is begun ever more seldom.
func TestSourceGoesOn(t *testing.T) {
	for name, test := range map[string]struct {
		cutAfter time.Duration
		pauses   []time.Duration
	}{
		"cut":         {time.Minute, []time.Duration{time.Second, time.Second, time.Second, time.Second, time.Second, time.Second, time.Second}},
		"cut at once": {0, []time.Duration{1 * time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second, 30 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &cutWatches{after: test.cutAfter}
				client, err := rest.UnversionedRESTClientForConfigAndClient(&rest.Config{
					Host: "http://api.test", QPS: -1, ContentConfig: rest.ContentConfig{NegotiatedSerializer: scheme.Codecs.WithoutConversion()},
				}, &http.Client{Transport: server})
				if err != nil {
					t.Fatal(err)
				}
				ctx, stop := context.WithTimeout(t.Context(), 10*time.Minute)
				defer stop()
				NewLive(client, Selection{}).Run(ctx)
				var pauses []time.Duration
				for i := 1; i < len(server.begun) && len(pauses) < len(test.pauses); i++ {
					pauses = append(pauses, server.begun[i].Sub(server.begun[i-1])-test.cutAfter)
				}
				if diff := cmp.Diff(test.pauses, pauses); diff != "" {
					t.Errorf("pauses (-want +got):\n%s", diff)
				}
			})
		})
	}
}
