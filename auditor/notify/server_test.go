package notify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// secret is the part of an address that nothing may show.
const secret = "T0KEN-9f8e7d6c5b4a"

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// request that a server got.
type request struct {
	path   string
	header http.Header
	body   []byte
}

// server takes messages down, and answers as it is told to.
type server struct {
	*httptest.Server
	got chan request
}

func serve(t *testing.T, answer http.HandlerFunc) *server {
	t.Helper()
	s := &server{got: make(chan request, 1000)}
	s.Server = httptest.NewServer(s.handler(answer))
	t.Cleanup(s.Close)
	return s
}

func (s *server) handler(answer http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.got <- request{r.URL.Path, r.Header, body}
		if answer != nil {
			answer(w, r)
		}
	})
}

// next is the next request; the test fails where none comes.
func (s *server) next(t *testing.T) request {
	t.Helper()
	select {
	case r := <-s.got:
		return r
	case <-time.After(30 * time.Second):
		t.Fatal("no request came")
	}
	return request{}
}

// event is the next request's CloudEvent.
func (s *server) event(t *testing.T) CloudEvent {
	t.Helper()
	var e CloudEvent
	if err := json.Unmarshal(s.next(t).body, &e); err != nil {
		t.Fatal(err)
	}
	return e
}

func (s *server) none(t *testing.T) {
	t.Helper()
	select {
	case r := <-s.got:
		t.Errorf("a request came that should not: %s", r.body)
	default:
	}
}

// notifying is a Notifier whose logs and counts are taken down.
type notifying struct {
	*Notifier
	mu      sync.Mutex
	log     bytes.Buffer
	counted map[string]int // "SINK RESULT"
	changed chan struct{}
}

func start(t *testing.T, sinks ...Settings) *notifying {
	t.Helper()
	n := &notifying{counted: map[string]int{}, changed: make(chan struct{}, 1000)}
	n.Notifier = New(Options{
		Namespace: "sidecar-drift", Name: "sidecar-drift-auditor", firstPause: time.Millisecond, flush: time.Second,
		Count: func(sink, result string) {
			n.mu.Lock()
			n.counted[sink+" "+result]++
			n.mu.Unlock()
			n.changed <- struct{}{}
		},
		Log: funcr.New(func(prefix, args string) {
			n.mu.Lock()
			defer n.mu.Unlock()
			fmt.Fprintln(&n.log, prefix, args)
		}, funcr.Options{Verbosity: 10}),
	})
	n.In("prod")
	n.Configure(sinks)
	t.Cleanup(n.Close)
	return n
}

// becomes waits until so many were counted.
func (n *notifying) becomes(t *testing.T, want int, what string) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		n.mu.Lock()
		got := n.counted[what]
		n.mu.Unlock()
		if got >= want {
			return
		}
		select {
		case <-n.changed:
		case <-deadline:
			t.Fatalf("%d %s, want %d", got, what, want)
		}
	}
}

func (n *notifying) logged() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.log.String()
}

func webhook(url string) Settings { return Settings{Name: "hook", Kind: ToWebhook, URL: url} }

// file writes a file of a test.
func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// drifted is a message about so many workloads.
func drifted(n int) Message {
	var items []report.Item
	for i := range n {
		items = append(items, item(fmt.Sprintf("ns-%d", i%3), fmt.Sprintf("web-%d", i), verdict.Drifted))
	}
	return Drift(items, &report.Report{Summary: report.Summary{DriftPercent: new(12.5)}}, noon)
}

func item(namespace, name string, state verdict.State) report.Item {
	return report.Item{
		Namespace: namespace, Kind: "Deployment", Name: name, State: state,
		Revisions: []report.Revision{{State: state, Sidecars: []string{"proxy"}}},
	}
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q does not say %q", text, part)
		}
	}
}
