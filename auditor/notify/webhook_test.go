package notify

import (
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// conforms fails unless the body is what the published schema says.
func conforms(t *testing.T, body []byte) {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	schema, err := compiler.Compile("../../docs/schema/notification.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("%v: %s", err, body)
	}
}

func TestAWebhookGetsACloudEvent(t *testing.T) {
	s := serve(t, nil)
	n := start(t, webhook(s.URL+"/hook"))
	ids := map[string]bool{}
	for _, event := range append(Events(), Suppressed) {
		m := Sample(event)
		if event == Suppressed { // which no sink can choose
			m.Event = DriftFound
		}
		n.Tell(m)
		r := s.next(t)
		conforms(t, r.body)
		if got := r.header.Get("Content-Type"); got != "application/cloudevents+json; charset=utf-8" || r.path != "/hook" {
			t.Errorf("%s to %s", got, r.path)
		}
		var e CloudEvent
		if err := json.Unmarshal(r.body, &e); err != nil {
			t.Fatal(err)
		}
		if e.Type != typePrefix+Type(m.Event) || ids[e.ID] {
			t.Errorf("%s has type %s and id %s", m.Event, e.Type, e.ID)
		}
		ids[e.ID] = true
	}
	n.Tell(drifted(2))
	want := CloudEvent{
		SpecVersion: "1.0", Source: "/clusters/prod/namespaces/sidecar-drift/auditors/sidecar-drift-auditor",
		Type: "io.sidecar-drift.drift.found", Time: noon, DataContentType: "application/json",
		Data: Message{
			Event: DriftFound, Cluster: "prod", Time: noon, Summary: "2 workloads in 2 namespaces drifted",
			Text:          "[prod] 2 workloads in 2 namespaces drifted\n- ns-0/Deployment/web-0: Drifted\n- ns-1/Deployment/web-1: Drifted",
			WorkloadCount: 2, NamespaceCount: 2, DriftPercent: new(12.5), Webhooks: []Webhook{},
			Workloads: []Workload{
				{Namespace: "ns-0", Kind: "Deployment", Name: "web-0", State: "Drifted", Sidecars: []string{"proxy"}},
				{Namespace: "ns-1", Kind: "Deployment", Name: "web-1", State: "Drifted", Sidecars: []string{"proxy"}},
			},
		},
	}
	got := s.event(t)
	got.ID = ""
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// The subject is the one thing that a message is about.
func TestSubject(t *testing.T) {
	for want, m := range map[string]Message{
		"":                             drifted(3),
		"ns-0/Deployment/web-0":        drifted(1),
		"example/sidecars.example.com": Sample(InjectorDown),
	} {
		if got := m.subject(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestTriesAgain(t *testing.T) {
	answers := []func(http.ResponseWriter){
		func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) },
		func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusTooManyRequests)
		},
		func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		func(w http.ResponseWriter) { w.WriteHeader(http.StatusAccepted) },
	}
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		answer := answers[0]
		answers = answers[1:]
		answer(w)
	})
	n := start(t, webhook(s.URL))
	n.Tell(drifted(1))
	id := s.event(t).ID
	for range 3 {
		if again := s.event(t).ID; again != id {
			t.Errorf("the same message has the ids %s and %s", id, again)
		}
	}
	n.becomes(t, 1, "hook sent")
}

// What another attempt would not help is not tried again; the next message tells of it.
func TestGivesUp(t *testing.T) {
	status := http.StatusNotFound
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	n := start(t, webhook(s.URL))
	n.Tell(drifted(1))
	n.becomes(t, 1, "hook failed")
	s.next(t)
	s.none(t)
	status = http.StatusBadGateway
	n.Tell(drifted(1))
	n.becomes(t, 2, "hook failed")
	for range mostTries {
		s.next(t)
	}
	s.none(t)
	status = http.StatusOK
	n.Tell(drifted(1))
	if got := s.event(t).Data.Suppressed[DriftFound]; got != 2 {
		t.Errorf("it tells of %d messages that failed, want 2", got)
	}
	contains(t, n.logged(), "it answers 404 Not Found", "it answers 502 Bad Gateway")
}

func TestRedirects(t *testing.T) {
	other := serve(t, nil)
	var to string
	var status int
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			http.Redirect(w, r, to, status)
		}
	})
	for _, tt := range []struct {
		to       string
		status   int
		followed bool
	}{
		{"/elsewhere", http.StatusPermanentRedirect, true},
		{"/elsewhere", http.StatusTemporaryRedirect, true},
		{"/elsewhere", http.StatusFound, false}, // becomes a GET without a body
		{other.URL, http.StatusPermanentRedirect, false},
		{"/", http.StatusPermanentRedirect, false},
	} {
		to, status = tt.to, tt.status
		n := start(t, webhook(s.URL+"/"))
		n.Tell(drifted(1))
		if tt.followed {
			n.becomes(t, 1, "hook sent")
			if first, second := s.event(t), s.event(t); first.ID != second.ID {
				t.Error("another message arrived")
			}
			continue
		}
		n.becomes(t, 1, "hook failed")
		contains(t, n.logged(), "it redirects")
		for len(s.got) > 0 {
			<-s.got
		}
	}
	other.none(t)
}

func TestTLSIsVerified(t *testing.T) {
	s := &server{got: make(chan request, 100)}
	s.Server = httptest.NewUnstartedServer(s.handler(nil))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	s.StartTLS()
	t.Cleanup(s.Close)
	n := start(t, webhook(s.URL))
	n.Tell(drifted(1))
	n.becomes(t, 1, "hook failed")
	s.none(t)
	contains(t, n.logged(), "certificate signed by unknown authority")

	trusting := webhook(s.URL)
	trusting.CAFile = file(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
	n = start(t, trusting)
	n.Tell(drifted(1))
	s.next(t)
	n.becomes(t, 1, "hook sent")
}
