package apiserver

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	errRefused  = errors.New("connection refused")
	errNotReady = errors.New("readyz check failed")
)

// apiServer is a network and an API server at its other end.
type apiServer struct {
	begin time.Time
	// It does not listen from one time to another, and is not ready until a third.
	away, listens, ready time.Duration
	forbidden            bool // to ask whether it is ready
	drops                int  // connections that are lost though it is there

	mu       sync.Mutex
	requests []string // when and what it was sent
}

func (s *apiServer) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	now := time.Since(s.begin)
	s.requests = append(s.requests, now.String()+" "+string(body))
	if now >= s.away && now < s.listens {
		return nil, errRefused
	}
	if s.drops > 0 && now > 0 {
		s.drops--
		return nil, errRefused
	}
	return &http.Response{StatusCode: http.StatusOK}, nil
}

func (s *apiServer) isReady(context.Context) error {
	switch now := time.Since(s.begin); {
	case s.forbidden:
		return apierrors.NewForbidden(schema.GroupResource{}, "/readyz", nil)
	case now >= s.away && now < s.ready:
		return errNotReady
	}
	return nil
}

func TestPatience(t *testing.T) {
	const never = time.Hour
	for name, test := range map[string]struct {
		server *apiServer
		at     []time.Duration // when requests are made, the first one apart: it is made at 0
		want   string          // what the API server was sent after it
		gaveUp string
	}{
		"there": {&apiServer{away: never}, []time.Duration{time.Second}, "1s one", ""},
		"a connection is lost": {
			&apiServer{away: never, drops: 2}, []time.Duration{time.Second}, "1s one, 1s one, 1s one", "",
		},
		"connections are lost over and over": {
			&apiServer{away: never, drops: 9}, []time.Duration{time.Second}, "1s one, 1s one, 1s one", "",
		},
		"it restarts": {
			&apiServer{away: time.Second, listens: 3 * time.Second, ready: 6 * time.Second},
			[]time.Duration{time.Second, 4 * time.Second}, "1s one, 6s one, 6s two", "",
		},
		"it does not come back": {
			&apiServer{away: time.Second, listens: never, ready: never}, []time.Duration{time.Second}, "1s one",
			"the API server went away in the middle of the audit and was not ready again within 2m0s: connection refused",
		},
		"whether it is ready is nobody's business": {
			&apiServer{away: time.Second, listens: 3 * time.Second, forbidden: true}, []time.Duration{time.Second}, "1s one, 2m1s one", "",
		},
		"it never was there": {&apiServer{listens: never, ready: never}, nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := test.server
				server.begin = time.Now()
				gaveUp := ""
				p := newPatient(server.isReady, func(err error) { gaveUp = err.Error() }).over(server)
				send := func(body string) {
					r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://server.test", strings.NewReader(body))
					if err != nil {
						t.Error(err)
						return
					}
					_, err = p.RoundTrip(r) //nolint:bodyclose // there is none
					if err != nil && !errors.Is(err, errRefused) {
						t.Error(err)
					}
				}
				send("first")
				var group sync.WaitGroup
				for i, at := range test.at {
					group.Go(func() {
						time.Sleep(at)
						send([]string{"one", "two"}[i])
					})
				}
				group.Wait()
				if took := time.Since(server.begin); len(test.at) == 0 && took > 0 {
					t.Errorf("an API server that never was there was waited for, %s", took)
				}
				slices.Sort(server.requests[1:]) // two at the same time have no order
				if got := strings.Join(server.requests[1:], ", "); got != test.want {
					t.Errorf("the API server was sent %s, want %s", got, test.want)
				}
				if gaveUp != test.gaveUp {
					t.Errorf("gave up: %q, want %q", gaveUp, test.gaveUp)
				}
			})
		})
	}
}
