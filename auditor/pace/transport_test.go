package pace_test

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/pace"
)

// answers answers requests after a second each: the status of the path's number.
type answers struct {
	mu             sync.Mutex
	underWay, most int
}

var errLost = errors.New("lost")

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	a.underWay++
	a.most = max(a.most, a.underWay)
	a.mu.Unlock()
	time.Sleep(time.Second)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.underWay--
	switch r.URL.Path {
	case "/lost":
		return nil, errLost
	case "/rejected":
		return &http.Response{StatusCode: http.StatusTooManyRequests, Body: http.NoBody}, nil
	case "/refused":
		return &http.Response{StatusCode: http.StatusForbidden, Body: http.NoBody}, nil
	case "/failed":
		return &http.Response{StatusCode: http.StatusInternalServerError, Body: http.NoBody}, nil
	}
	return &http.Response{StatusCode: http.StatusCreated, Body: http.NoBody}, nil
}

func TestTransport(t *testing.T) {
	for name, test := range map[string]struct {
		method string
		before []string // paths, two of each at once, one path after the other
		most   int      // under way of eight at once after that
	}{
		"the first are two":                  {http.MethodPost, nil, 2},
		"answers raise the limit":            {http.MethodPost, strings.Fields("/pods"), 6},
		"rejections halve it":                {http.MethodPost, strings.Fields("/pods /rejected"), 3},
		"refusals are answers":               {http.MethodPost, strings.Fields("/refused"), 6},
		"failures leave it alone":            {http.MethodPost, strings.Fields("/failed /failed"), 2},
		"lost connections leave it alone":    {http.MethodPost, strings.Fields("/lost /lost"), 2},
		"what is not paced is sent at once":  {http.MethodGet, nil, 8},
		"what is not paced is not looked at": {http.MethodGet, strings.Fields("/rejected"), 8},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &answers{}
				transport := pace.Transport{
					Limiter: pace.New(most), Next: server,
					Paced: func(r *http.Request) bool { return r.Method == http.MethodPost },
				}
				send := func(path string) {
					r, err := http.NewRequestWithContext(t.Context(), test.method, "https://server.test"+path, http.NoBody)
					if err != nil {
						t.Error(err)
						return
					}
					response, err := transport.RoundTrip(r)
					if err != nil {
						if !errors.Is(err, errLost) {
							t.Error(err)
						}
						return
					}
					response.Body.Close()
				}
				var group sync.WaitGroup
				for _, path := range test.before {
					for range 2 {
						group.Go(func() { send(path) })
					}
					group.Wait()
				}
				server.most = 0
				for range 8 {
					group.Go(func() { send("/lost") })
				}
				group.Wait()
				if server.most != test.most {
					t.Errorf("%d were under way, want %d", server.most, test.most)
				}
			})
		})
	}
}
