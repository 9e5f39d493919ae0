package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
)

// certificateEvery is how often the certificate's files are looked at. Watching
// them would take more: a kubelet swaps links, and some file systems tell of
// nothing.
const certificateEvery = time.Second

var errNoCertificate = errors.New("there is no serving certificate yet")

// certificate is the serving certificate: two files that somebody else writes
// and renews.
//
// It is none of controller-runtime's certwatcher, which brings client-go's
// metrics and with them half of the program's memory.
type certificate struct {
	certFile, keyFile string
	log               logr.Logger
	current           atomic.Pointer[tls.Certificate]
	read              []byte // what the current one was made of
}

func newCertificate(dir string, registry prometheus.Registerer, log logr.Logger) *certificate {
	c := &certificate{certFile: filepath.Join(dir, "tls.crt"), keyFile: filepath.Join(dir, "tls.key"), log: log}
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "sidecar_drift_certificate_expiry_timestamp_seconds",
		Help: "When the serving certificate expires, in seconds since 1970; 0 while there is none.",
	}, c.expiry))
	return c
}

// load makes the files' content the current certificate, unless it is so
// already. Where it cannot be used, the one before it stays.
func (c *certificate) load() error {
	certPEM, err := os.ReadFile(c.certFile)
	if err != nil {
		return err
	}
	keyPEM, err := os.ReadFile(c.keyFile)
	if err != nil {
		return err
	}
	read := slices.Concat(certPEM, keyPEM)
	if bytes.Equal(read, c.read) {
		return nil
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return fmt.Errorf("%s and %s: %w", c.certFile, c.keyFile, err)
	}
	c.current.Store(&pair)
	c.read = read
	c.log.Info("Read the serving certificate", "serial", pair.Leaf.SerialNumber.Text(16), "notAfter", pair.Leaf.NotAfter)
	return nil
}

// wait returns once both files are there and belong together, or with ctx's
// error.
func (c *certificate) wait(ctx context.Context) error {
	return c.look(ctx, "Waiting for the serving certificate", func() bool { return c.current.Load() != nil })
}

// follow takes renewed certificates over until ctx is done.
func (c *certificate) follow(ctx context.Context) {
	_ = c.look(ctx, "The renewed certificate cannot be used: the one before it stays", func() bool { return false })
}

// look loads the files again and again, until that is enough or ctx is done. What
// is wrong with them is logged once.
func (c *certificate) look(ctx context.Context, wrong string, enough func() bool) error {
	tick := time.NewTicker(certificateEvery)
	defer tick.Stop()
	for said := ""; ; {
		reason := ""
		if err := c.load(); err != nil {
			reason = err.Error()
		}
		if reason != said && reason != "" {
			c.log.Info(wrong, "reason", reason)
		}
		said = reason
		if enough() {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// get returns the current certificate. Its signature is tls.Config's.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if current := c.current.Load(); current != nil {
		return current, nil
	}
	return nil, errNoCertificate
}

func (c *certificate) expiry() float64 {
	current := c.current.Load()
	if current == nil {
		return 0
	}
	return float64(current.Leaf.NotAfter.Unix())
}
