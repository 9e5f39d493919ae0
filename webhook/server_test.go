package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
)

// stamper is Run, under way.
type stamper struct {
	Options
	authority *authority
	ended     chan error
	stop      context.CancelFunc
}

func startStamper(t *testing.T, dir string, shutdownDelay time.Duration, changes ...func(*Options)) *stamper {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	s := &stamper{
		Options: Options{
			BindAddress: freeAddress(t), MetricsBindAddress: freeAddress(t), HealthProbeBindAddress: freeAddress(t),
			CertDir: dir, ShutdownDelay: shutdownDelay,
			Log: logOf(t), Registry: prometheus.NewRegistry(),
		},
		authority: newAuthority(t),
		ended:     make(chan error, 1),
		stop:      stop,
	}
	for _, change := range changes {
		change(&s.Options)
	}
	go func() { s.ended <- Run(ctx, s.Options) }()
	t.Cleanup(func() {
		stop()
		if err := <-s.ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s
}

// logOf logs to the test, for as long as it runs: of requests whose connection
// is cut, net/http does not wait for the handlers.
func logOf(t *testing.T) logr.Logger {
	var mu sync.Mutex
	ended := false
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		ended = true
	})
	return funcr.New(func(_, text string) {
		mu.Lock()
		defer mu.Unlock()
		if !ended {
			t.Log(text)
		}
	}, funcr.Options{})
}

// startReady returns a stamper that is ready, with a certificate of its
// authority.
func startReady(t *testing.T, changes ...func(*Options)) *stamper {
	t.Helper()
	dir := t.TempDir()
	s := startStamper(t, dir, 0, changes...)
	s.authority.issue(t, dir, 1)
	eventually(t, func() bool {
		select {
		case err := <-s.ended:
			s.ended <- err
			t.Fatalf("Run: %v", err)
		default:
		}
		return s.isReady(t)
	})
	return s
}

// freeAddress is one that nobody listens on. No system takes its port for an outgoing
// connection, as it does with those of port 0, and no test cluster has it.
func freeAddress(t *testing.T) string {
	t.Helper()
	for {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 30000+rand.IntN(2768)))
		if err == nil {
			must(t, listener.Close())
			return listener.Addr().String()
		}
	}
}

// wait returns when the stamper has ended; the test's cleanup judges how.
func (s *stamper) wait() {
	s.ended <- <-s.ended
}

// client trusts the authority alone and opens a connection for each request.
func (s *stamper) client() *http.Client { return clientWith(s.trust()) }

func clientWith(config *tls.Config) *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true, ForceAttemptHTTP2: true}}
}

// trust is what an API server knows by the caBundle.
func (s *stamper) trust() *tls.Config {
	config := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost"}
	config.RootCAs.AddCert(s.authority.certificate)
	return config
}

// post returns the answer's status and body.
func (s *stamper) post(client *http.Client, body io.Reader) (int, string, error) {
	response, err := client.Post(s.stampURL(), "application/json", body)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// wantAnswer checks that an ordinary review is answered.
func (s *stamper) wantAnswer(t *testing.T) {
	t.Helper()
	status, text, err := s.post(s.client(), bytes.NewReader(readFixture(t)))
	if err != nil || status != http.StatusOK || !strings.Contains(text, `"allowed":true`) {
		t.Errorf("an ordinary review gets status %d: %q, %v", status, text, err)
	}
}

func (s *stamper) stampURL() string { return "https://" + s.BindAddress + path }

// get returns the status and the body of a plain HTTP server; 0 if it does not
// answer.
func get(t *testing.T, address, path string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
	must(t, err)
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(t, err)
	return response.StatusCode, string(body)
}

// eventually waits for a condition, for at most as long as go test does.
func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	for !condition() {
		select {
		case <-t.Context().Done():
			t.Fatal("the test ended")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *stamper) isReady(t *testing.T) bool {
	t.Helper()
	status, _ := get(t, s.HealthProbeBindAddress, "/readyz")
	return status == http.StatusOK
}

// serves reports whether the certificate with this serial number is served.
func (s *stamper) serves(t *testing.T, serial int64) bool {
	t.Helper()
	response, err := s.client().Post(s.stampURL(), "application/json", bytes.NewReader(readFixture(t)))
	must(t, err)
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK || response.ProtoMajor != 2 || response.TLS.Version != tls.VersionTLS13 {
		t.Fatalf("status %d, %s, TLS %x", response.StatusCode, response.Proto, response.TLS.Version)
	}
	return response.TLS.PeerCertificates[0].SerialNumber.Int64() == serial
}

func (s *stamper) wantMetric(t *testing.T, line string) {
	t.Helper()
	status, body := get(t, s.MetricsBindAddress, "/metrics")
	if status != http.StatusOK || !strings.Contains(body, line+"\n") {
		t.Errorf("status %d, no line %q in:\n%s", status, line, body)
	}
}

func TestCertificateComesAndChanges(t *testing.T) {
	dir := t.TempDir()
	s := startStamper(t, dir, 0)
	eventually(t, func() bool { status, _ := get(t, s.HealthProbeBindAddress, "/healthz"); return status == http.StatusOK })
	if status, reason := get(t, s.HealthProbeBindAddress, "/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(reason, "no serving certificate") {
		t.Errorf("without a certificate readyz says %d %s", status, reason)
	}
	eventually(t, func() bool { status, _ := get(t, s.MetricsBindAddress, "/metrics"); return status == http.StatusOK })
	s.wantMetric(t, "sidecar_drift_certificate_expiry_timestamp_seconds 0")

	s.authority.issue(t, dir, 1)
	eventually(t, func() bool { return s.isReady(t) })
	if !s.serves(t, 1) {
		t.Error("another certificate than the first is served")
	}
	s.wantMetric(t, `sidecar_drift_webhook_reviews_total{outcome="stamped"} 1`)
	s.wantMetric(t, `sidecar_drift_webhook_reviews_total{outcome="panic"} 0`)
	s.wantMetric(t, "sidecar_drift_certificate_expiry_timestamp_seconds 4.000000001e+09")

	s.authority.issue(t, dir, 2)
	eventually(t, func() bool { return s.serves(t, 2) })
	s.wantMetric(t, "sidecar_drift_certificate_expiry_timestamp_seconds 4.000000002e+09")
	eventually(t, func() bool { return s.isReady(t) })

	s.stop()
	s.wait()
}

func TestStopWhileWaitingForTheCertificate(t *testing.T) {
	s := startStamper(t, t.TempDir(), time.Hour)
	eventually(t, func() bool { status, _ := get(t, s.HealthProbeBindAddress, "/healthz"); return status == http.StatusOK })
	s.stop()
	s.wait()
}

// TestStopFinishesRequests: a review whose body is still coming when the
// stamper is told to stop is answered, and new ones are taken for a while.
func TestStopFinishesRequests(t *testing.T) {
	dir := t.TempDir()
	s := startStamper(t, dir, 3*time.Second)
	s.authority.issue(t, dir, 1)
	eventually(t, func() bool { return s.isReady(t) })

	review := readFixture(t)
	body, rest := io.Pipe()
	type answer struct {
		text string
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		response, err := s.client().Post(s.stampURL(), "application/json", body)
		if err != nil {
			answered <- answer{err: err}
			return
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		answered <- answer{string(text), err}
	}()
	_, err := rest.Write(review[:100])
	must(t, err)

	s.stop()
	eventually(t, func() bool { return !s.isReady(t) })
	if !s.serves(t, 1) {
		t.Error("no new connection is accepted right after the signal")
	}
	// The delay passes, and connections are not accepted any more.
	eventually(t, func() bool {
		connection, err := net.Dial("tcp", s.BindAddress)
		if err == nil {
			err = connection.Close()
		}
		return err != nil
	})
	_, err = rest.Write(review[100:])
	must(t, err)
	must(t, rest.Close())
	if got := <-answered; got.err != nil || !strings.Contains(got.text, `"allowed":true`) {
		t.Errorf("the request under way got %q, %v", got.text, got.err)
	}
	s.wait()
}

func TestAddressTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { must(t, taken.Close()) }()
	options := Options{
		BindAddress: taken.Addr().String(), MetricsBindAddress: disabled, HealthProbeBindAddress: disabled,
		CertDir: t.TempDir(), Log: logOf(t), Registry: prometheus.NewRegistry(),
	}
	newAuthority(t).issue(t, options.CertDir, 1)
	for name, change := range map[string]func(*Options){
		"stamper": func(*Options) {},
		"metrics": func(o *Options) { o.BindAddress, o.MetricsBindAddress = freeAddress(t), taken.Addr().String() },
		"probes":  func(o *Options) { o.BindAddress, o.HealthProbeBindAddress = freeAddress(t), taken.Addr().String() },
	} {
		t.Run(name, func(t *testing.T) {
			options := options
			options.Registry = prometheus.NewRegistry()
			change(&options)
			if err := Run(t.Context(), options); err == nil || !strings.Contains(err.Error(), "address already in use") {
				t.Errorf("Run: %v", err)
			}
		})
	}
}

// TestAnyPort starts a stamper whose ports the system chooses; its log names them.
func TestAnyPort(t *testing.T) {
	served := make(chan [2]string, 3)
	anyPort := func(o *Options) {
		o.BindAddress, o.MetricsBindAddress, o.HealthProbeBindAddress = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
		o.Log = funcr.NewJSON(func(text string) {
			var line struct{ Msg, Address string }
			if err := json.Unmarshal([]byte(text), &line); err != nil {
				t.Errorf("%s: %v", text, err)
			}
			if line.Address != "" {
				served <- [2]string{line.Msg, line.Address}
			}
		}, funcr.Options{})
	}
	dir := t.TempDir()
	s := startStamper(t, dir, 0, anyPort)
	s.authority.issue(t, dir, 1)
	address := map[string]string{}
	for range 3 {
		each := <-served
		address[each[0]] = each[1]
	}
	s.BindAddress, s.MetricsBindAddress, s.HealthProbeBindAddress = address["Serving"], address["Serving metrics"], address["Serving probes"]
	eventually(t, func() bool { return s.isReady(t) })
	s.wantAnswer(t)
	s.wantMetric(t, "sidecar_drift_webhook_rejected_connections_total 0")
}

func TestValidate(t *testing.T) {
	for name, test := range map[string]struct {
		options Options
		want    string
	}{
		"valid":       {Options{BindAddress: ":9443", MetricsBindAddress: "0", HealthProbeBindAddress: "[::1]:8081", CertDir: "tls"}, ""},
		"no port":     {Options{BindAddress: "localhost", MetricsBindAddress: "0", HealthProbeBindAddress: "0", CertDir: "tls"}, "--bind-address"},
		"any port":    {Options{BindAddress: ":0", MetricsBindAddress: ":0", HealthProbeBindAddress: "127.0.0.1:0", CertDir: "tls"}, ""},
		"disabled":    {Options{BindAddress: "0", MetricsBindAddress: "0", HealthProbeBindAddress: "0", CertDir: "tls"}, "--bind-address"},
		"metrics":     {Options{BindAddress: ":1", MetricsBindAddress: ":http", HealthProbeBindAddress: "0", CertDir: "tls"}, "--metrics-bind-address"},
		"probes":      {Options{BindAddress: ":1", MetricsBindAddress: "0", HealthProbeBindAddress: ":70000", CertDir: "tls"}, "--health-probe-bind-address"},
		"no cert dir": {Options{BindAddress: ":1", MetricsBindAddress: "0", HealthProbeBindAddress: "0"}, "--cert-dir"},
		"delay":       {Options{BindAddress: ":1", MetricsBindAddress: "0", HealthProbeBindAddress: "0", CertDir: "tls", ShutdownDelay: -1}, "--shutdown-delay"},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.options.Validate()
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
