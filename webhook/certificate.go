package webhook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
)

// certificatePoll is how often a certificate that is not there yet is looked
// for.
const certificatePoll = time.Second

var errNoCertificate = errors.New("there is no serving certificate yet")

// certificate is the serving certificate: two files that somebody else writes
// and renews.
type certificate struct {
	certFile, keyFile string
	watcher           atomic.Pointer[certwatcher.CertWatcher]
}

func newCertificate(dir string, registry prometheus.Registerer) *certificate {
	c := &certificate{certFile: filepath.Join(dir, "tls.crt"), keyFile: filepath.Join(dir, "tls.key")}
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "sidecar_drift_certificate_expiry_timestamp_seconds",
		Help: "When the serving certificate expires, in seconds since 1970; 0 while there is none.",
	}, c.expiry))
	return c
}

// wait returns once both files are there and belong together, or with ctx's
// error. The watcher that it returns must be started.
func (c *certificate) wait(ctx context.Context, log logr.Logger) (*certwatcher.CertWatcher, error) {
	tick := time.NewTicker(certificatePoll)
	defer tick.Stop()
	for reason := ""; ; {
		watcher, err := certwatcher.New(c.certFile, c.keyFile)
		if err == nil {
			c.watcher.Store(watcher)
			return watcher, nil
		}
		if reason != err.Error() {
			reason = err.Error()
			log.Info("Waiting for the serving certificate", "reason", reason)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}

// get returns the current certificate. Its signature is tls.Config's.
func (c *certificate) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	watcher := c.watcher.Load()
	if watcher == nil {
		return nil, errNoCertificate
	}
	return watcher.GetCertificate(hello)
}

func (c *certificate) leaf() (*x509.Certificate, error) {
	current, err := c.get(nil)
	if err != nil {
		return nil, err
	}
	return current.Leaf, nil
}

func (c *certificate) expiry() float64 {
	leaf, err := c.leaf()
	if err != nil {
		return 0
	}
	return float64(leaf.NotAfter.Unix())
}
