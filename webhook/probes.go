package webhook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
)

// probeTimeout is within the second that a kubelet waits by default.
const probeTimeout = 900 * time.Millisecond

// probes answer the kubelet.
type probes struct {
	certificate *certificate
	listening   atomic.Pointer[string] // the stamper's address; nil before it has one
	stopping    atomic.Bool
	calls       singleflight.Group
}

func (p *probes) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		// However many ask, the stamper is called once at a time.
		_, err, _ := p.calls.Do("", func() (any, error) { return nil, p.ready(context.WithoutCancel(r.Context())) })
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok"))
	})
	return mux
}

// ready calls the stamper as an API server would, and fails if it does not
// answer with its current certificate.
func (p *probes) ready(ctx context.Context) error {
	if p.stopping.Load() {
		return errors.New("the stamper is stopping")
	}
	current, err := p.certificate.get(nil)
	if err != nil {
		return err
	}
	config, err := trusting(current)
	if err != nil {
		return err
	}
	address := p.listening.Load()
	if address == nil {
		return errors.New("the stamper does not listen yet")
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	connection, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", *address)
	if err != nil {
		return fmt.Errorf("the stamper does not accept connections: %w", err)
	}
	return connection.Close()
}

// trusting returns a client's configuration that trusts this very certificate,
// under a name that it holds, and shows it to a stamper that asks for one.
func trusting(served *tls.Certificate) (*tls.Config, error) {
	config := &tls.Config{
		RootCAs:              x509.NewCertPool(),
		MinVersion:           tls.VersionTLS13,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return served, nil },
	}
	config.RootCAs.AddCert(served.Leaf)
	switch leaf := served.Leaf; {
	case len(leaf.DNSNames) > 0:
		config.ServerName = leaf.DNSNames[0]
	case len(leaf.IPAddresses) > 0:
		config.ServerName = leaf.IPAddresses[0].String()
	default:
		return nil, errors.New("the serving certificate names no host: API servers refuse it")
	}
	return config, nil
}
