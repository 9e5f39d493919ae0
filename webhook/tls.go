package webhook

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"

	cliflag "k8s.io/component-base/cli/flag"
)

// TLSOptions say which connections the stamper takes. The names are those of
// Kubernetes' own components.
type TLSOptions struct {
	// MinVersion is VersionTLS13, which "" stands for too, or VersionTLS12.
	MinVersion string
	// CipherSuites are those of TLS 1.2, by their IANA names; empty stands for
	// Go's choice. TLS 1.3 has no insecure ones to leave out.
	CipherSuites []string
	// ClientCAFile holds, as PEM, the authorities that clients' certificates
	// must be from; "" takes clients without a certificate.
	ClientCAFile string
	// ClientNames are the common names that such a certificate may be for;
	// empty stands for all.
	ClientNames []string
}

// Without one of these an HTTP/2 server does not start (RFC 9113, 9.2.2).
var http2Suites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}

func (o TLSOptions) minVersion() (uint16, error) {
	switch o.MinVersion {
	case "", "VersionTLS13":
		return tls.VersionTLS13, nil
	case "VersionTLS12":
		return tls.VersionTLS12, nil
	}
	return 0, fmt.Errorf("--tls-min-version: %q is neither VersionTLS12 nor VersionTLS13", o.MinVersion)
}

// cipherSuites returns the suites' numbers, and nil for Go's choice.
func (o TLSOptions) cipherSuites() ([]uint16, error) {
	if len(o.CipherSuites) == 0 {
		return nil, nil
	}
	if version, err := o.minVersion(); err == nil && version == tls.VersionTLS13 {
		return nil, errors.New("--tls-cipher-suites: TLS 1.3 has no choice of suites: leave the flag out, or give --tls-min-version=VersionTLS12 too")
	}
	for _, name := range o.CipherSuites {
		if !slices.Contains(suiteNames(), name) {
			return nil, fmt.Errorf("--tls-cipher-suites: %q is unknown, insecure, or not for HTTP/2: choose from %s", name, strings.Join(suiteNames(), ", "))
		}
	}
	suites, err := cliflag.TLSCipherSuites(o.CipherSuites)
	if err != nil {
		return nil, fmt.Errorf("--tls-cipher-suites: %w", err)
	}
	if !slices.ContainsFunc(suites, func(suite uint16) bool { return slices.Contains(http2Suites, suite) }) {
		return nil, fmt.Errorf("--tls-cipher-suites: HTTP/2 needs %s or %s", tls.CipherSuiteName(http2Suites[0]), tls.CipherSuiteName(http2Suites[1]))
	}
	return suites, nil
}

// suiteNames are those of TLS 1.2 that encrypt and authenticate in one (AEAD):
// HTTP/2 forbids the others.
func suiteNames() []string {
	var names []string
	for _, suite := range tls.CipherSuites() {
		aead := strings.Contains(suite.Name, "GCM") || strings.Contains(suite.Name, "CHACHA20")
		if aead && slices.Contains(suite.SupportedVersions, tls.VersionTLS12) {
			names = append(names, suite.Name)
		}
	}
	return names
}

// problems says what could not work.
func (o TLSOptions) problems() []error {
	_, versionErr := o.minVersion()
	_, suitesErr := o.cipherSuites()
	problems := []error{versionErr, suitesErr}
	if len(o.ClientNames) > 0 && o.ClientCAFile == "" {
		problems = append(problems, errors.New("--client-name: names are only asked of certificates: give --client-ca-file too"))
	}
	return problems
}

// config returns the server's configuration with this certificate; clients may
// be nil.
func (o TLSOptions) config(served *certificate, clients *clients) (*tls.Config, error) {
	version, err := o.minVersion()
	if err != nil {
		return nil, err
	}
	suites, err := o.cipherSuites()
	if err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: version, CipherSuites: suites, GetCertificate: served.get}
	if clients != nil {
		// Who they are is clients' to judge: the authorities may change.
		config.ClientAuth = tls.RequireAnyClientCert
		config.VerifyConnection = clients.verify
	}
	return config, nil
}
