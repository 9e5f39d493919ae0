package webhook

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// answers reports whether a client of this configuration gets its review
// answered. A refusal is one of the connection: with TLS 1.3 the client may
// learn of it in several ways, as it has finished its handshake by then.
func (s *stamper) answers(t *testing.T, change func(*tls.Config)) bool {
	t.Helper()
	config := s.trust()
	change(config)
	status, text, err := s.post(clientWith(config), bytes.NewReader(readFixture(t)))
	switch {
	case err == nil && status == http.StatusOK:
		return true
	case err == nil:
		t.Fatalf("neither answered nor refused: status %d, %q", status, text)
	}
	return false
}

func TestTLSVersions(t *testing.T) {
	t.Parallel()
	upTo := func(version uint16, suites ...uint16) func(*tls.Config) {
		return func(config *tls.Config) { config.MaxVersion, config.CipherSuites = version, suites }
	}
	byDefault := startReady(t)
	with12 := startReady(t, func(o *Options) { o.TLS.MinVersion = "VersionTLS12" })
	suites := startReady(t, func(o *Options) {
		o.TLS = TLSOptions{MinVersion: "VersionTLS12", CipherSuites: []string{"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"}}
	})
	for name, test := range map[string]struct {
		stamper *stamper
		client  func(*tls.Config)
		want    bool
	}{
		"1.3 by default":              {byDefault, upTo(tls.VersionTLS13), true},
		"1.2 by default":              {byDefault, upTo(tls.VersionTLS12), false},
		"1.3 where 1.2 is the least":  {with12, upTo(tls.VersionTLS13), true},
		"1.2 where it is the least":   {with12, upTo(tls.VersionTLS12), true},
		"1.1 where 1.2 is the least":  {with12, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, false},
		"a suite that is listed":      {suites, upTo(tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256), true},
		"a suite that is not listed":  {suites, upTo(tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384), false},
		"1.3 where suites are listed": {suites, upTo(tls.VersionTLS13), true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.stamper.answers(t, test.client); got != test.want {
				t.Errorf("answered: %v, want %v", got, test.want)
			}
		})
	}
}

// TestClientCertificates: where one is required, the certificates of the
// authorities that the file holds now are taken, and the stamper's own probe is
// answered.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "clients.crt")
	old, next := newAuthority(t), newAuthority(t)
	old.write(t, file)
	s := startReady(t, func(o *Options) {
		o.TLS.ClientCAFile, o.TLS.ClientNames = file, []string{"kube-apiserver", "another"}
	})
	by := func(a *authority, name string, usage x509.ExtKeyUsage) func(*tls.Config) {
		certificate := a.client(t, name, usage)
		return func(config *tls.Config) { config.Certificates = []tls.Certificate{certificate} }
	}
	of := func(a *authority) func(*tls.Config) { return by(a, "kube-apiserver", x509.ExtKeyUsageClientAuth) }
	want := func(name string, client func(*tls.Config), want bool) {
		t.Helper()
		if got := s.answers(t, client); got != want {
			t.Errorf("%s: answered: %v, want %v", name, got, want)
		}
	}
	want("an API server", of(old), true)
	want("no certificate", func(*tls.Config) {}, false)
	want("of another authority", of(next), false)
	want("of the serving certificate's authority", of(s.authority), false)
	want("for a server", by(old, "kube-apiserver", x509.ExtKeyUsageServerAuth), false)
	want("for another name", by(old, "somebody", x509.ExtKeyUsageClientAuth), false)

	next.write(t, file)
	want("of the new authority", of(next), true)
	want("of the old authority", of(old), false)
	must(t, os.WriteFile(file, []byte("no certificate"), 0o600))
	want("of the last authority that was read", of(next), true)
	must(t, os.Remove(file))
	want("of the last authority, without a file", of(next), true)
	if !s.isReady(t) {
		t.Error("the stamper refuses its own probe")
	}
}

func TestClientAuthoritiesMustBeThere(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	must(t, os.WriteFile(empty, nil, 0o600))
	for file, want := range map[string]string{"no-such-file": "no such file", empty: "no certificate in PEM"} {
		options := Options{
			BindAddress: freeAddress(t), MetricsBindAddress: disabled, HealthProbeBindAddress: disabled,
			CertDir: t.TempDir(), TLS: TLSOptions{ClientCAFile: file},
			Log: logOf(t), Registry: prometheus.NewRegistry(),
		}
		if err := Run(t.Context(), options); err == nil || !strings.Contains(err.Error(), "--client-ca-file") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestTLSOptions(t *testing.T) {
	const gcm, chacha = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"
	for name, test := range map[string]struct {
		options TLSOptions
		want    string
	}{
		"nothing":                {TLSOptions{}, ""},
		"1.3":                    {TLSOptions{MinVersion: "VersionTLS13"}, ""},
		"suites":                 {TLSOptions{MinVersion: "VersionTLS12", CipherSuites: []string{gcm, chacha}}, ""},
		"clients":                {TLSOptions{ClientCAFile: "ca.crt", ClientNames: []string{"a"}}, ""},
		"1.1":                    {TLSOptions{MinVersion: "VersionTLS11"}, "--tls-min-version"},
		"no such version":        {TLSOptions{MinVersion: "1.2"}, "VersionTLS12"},
		"suites of 1.3":          {TLSOptions{CipherSuites: []string{gcm}}, "give --tls-min-version=VersionTLS12 too"},
		"an insecure suite":      {TLSOptions{MinVersion: "VersionTLS12", CipherSuites: []string{gcm, "TLS_RSA_WITH_AES_128_CBC_SHA"}}, "insecure"},
		"a suite without AEAD":   {TLSOptions{MinVersion: "VersionTLS12", CipherSuites: []string{gcm, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"}}, "HTTP/2"},
		"no such suite":          {TLSOptions{MinVersion: "VersionTLS12", CipherSuites: []string{"AES"}}, `"AES" is unknown`},
		"a suite of 1.3":         {TLSOptions{MinVersion: "VersionTLS12", CipherSuites: []string{"TLS_AES_128_GCM_SHA256"}}, "unknown"},
		"none that HTTP/2 needs": {TLSOptions{MinVersion: "VersionTLS12", CipherSuites: []string{chacha}}, "HTTP/2 needs"},
		"names without a file":   {TLSOptions{ClientNames: []string{"a"}}, "--client-ca-file too"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Options{BindAddress: ":1", MetricsBindAddress: "0", HealthProbeBindAddress: "0", CertDir: "tls", TLS: test.options}.Validate()
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
