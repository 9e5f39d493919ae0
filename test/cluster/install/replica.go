package install

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// Replica is one of the stamper's.
type Replica struct {
	product               *Product
	name                  string
	port, health, metrics int
	process               *cluster.Process // nil while it does not run
}

func (p *Product) newReplica(i int) (*Replica, error) {
	r := &Replica{product: p, name: "sidecar-drift-webhook"}
	if i > 0 {
		r.name = fmt.Sprintf("%s-%d", r.name, i+1)
	}
	for _, port := range []*int{&r.port, &r.health, &r.metrics} {
		var err error
		if *port, err = cluster.FreePort(); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// Address is where the replica answers API servers.
func (r *Replica) Address() string { return loopback(r.port) }

// Metrics is the address that serves the replica's /metrics.
func (r *Replica) Metrics() string { return loopback(r.metrics) }

// Process is the running replica; nil if it does not run.
func (r *Replica) Process() *cluster.Process { return r.process }

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// Start starts the replica and returns when it is ready.
func (r *Replica) Start(ctx context.Context) error {
	var err error
	r.process, err = r.product.cluster.Run(r.name, r.product.Webhook, []string{
		"--bind-address", r.Address(),
		"--cert-dir", r.product.tlsDir,
		"--metrics-bind-address", r.Metrics(),
		"--health-probe-bind-address", loopback(r.health),
	}, nil)
	if err != nil {
		return err
	}
	return cluster.Poll(ctx, "the stamper", r.Ready, r.process)
}

// Ready asks for /readyz, and returns an error unless it says so.
func (r *Replica) Ready(ctx context.Context) error { return ready(ctx, loopback(r.health)) }

// Stop has the replica end as a kubelet does, with SIGTERM.
func (r *Replica) Stop() error {
	if r.process == nil {
		return nil
	}
	err := r.process.Stop()
	r.process = nil
	return err
}

// Kill ends the replica at once.
func (r *Replica) Kill() {
	r.process.Kill()
	r.process = nil
}

// Certificate returns what the replica serves.
func (r *Replica) Certificate(ctx context.Context) (*x509.Certificate, error) {
	secret, err := r.product.cluster.Client().CoreV1().Secrets(Namespace).Get(ctx, ServingSecret, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(secret.Data["ca.crt"])
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS13}}
	connection, err := dialer.DialContext(ctx, "tcp", r.Address())
	if err != nil {
		return nil, err
	}
	defer func() { _ = connection.Close() }() // nothing was sent
	return connection.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}
