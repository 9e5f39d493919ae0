package webhook

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/go-logr/logr"
)

// clients tells API servers from other clients by their certificates.
type clients struct {
	file  string
	names []string
	own   *certificate
	log   logr.Logger

	mu      sync.Mutex
	content []byte // of the file, when it was last good
	pool    *x509.CertPool
	problem string // that the file has had since
}

// newClients fails if the file holds no certificate.
func newClients(options TLSOptions, own *certificate, log logr.Logger) (*clients, error) {
	c := &clients{file: options.ClientCAFile, names: options.ClientNames, own: own, log: log}
	if err := c.read(); err != nil {
		return nil, err
	}
	return c, nil
}

// verify refuses the connection of a client that is neither an API server nor
// the stamper itself, which probes itself with the certificate that it serves.
// It is called for every handshake.
func (c *clients) verify(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("the client has no certificate")
	}
	leaf := state.PeerCertificates[0]
	if own, err := c.own.get(nil); err == nil && leaf.Equal(own.Leaf) {
		return nil
	}
	intermediates := x509.NewCertPool()
	for _, certificate := range state.PeerCertificates[1:] {
		intermediates.AddCert(certificate)
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: c.authorities(), Intermediates: intermediates, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return fmt.Errorf("the client's certificate: %w", err)
	}
	if name := leaf.Subject.CommonName; len(c.names) > 0 && !slices.Contains(c.names, name) {
		return fmt.Errorf("the client's certificate is for %q, which no --client-name allows", name)
	}
	return nil
}

// authorities are those that the file holds now, or held when it was last good.
func (c *clients) authorities() *x509.CertPool {
	c.mu.Lock()
	defer c.mu.Unlock()
	problem := ""
	if err := c.read(); err != nil {
		problem = err.Error()
	}
	if problem != c.problem && problem != "" {
		c.log.Info("The clients' authorities stay what they were", "reason", problem)
	}
	c.problem = problem
	return c.pool
}

// read reads the file, which is small, and only when a client connects.
func (c *clients) read() error {
	content, err := os.ReadFile(c.file)
	if err != nil {
		return fmt.Errorf("--client-ca-file: %w", err)
	}
	if c.pool != nil && bytes.Equal(content, c.content) {
		return nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		return fmt.Errorf("--client-ca-file: %s holds no certificate in PEM", c.file)
	}
	c.content, c.pool = content, pool
	return nil
}
