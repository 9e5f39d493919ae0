// Package install puts the product on a test cluster as a user would: the
// manifests are applied as they are, and its programs run on this machine, as
// nothing runs in that cluster's Pods, with their own service accounts' tokens.
package install

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// Names of the installed objects that tests refer to.
const (
	Namespace            = "sidecar-drift"
	ServingSecret        = "sidecar-drift-webhook-tls"
	WebhookConfiguration = "zz-sidecar-drift"
	AuditorAccount       = "sidecar-drift-auditor"
	RolloutAccount       = "sidecar-drift-rollout"
	certsAccount         = "sidecar-drift-certs"
)

// Root returns the top of the checkout that holds the working directory.
func Root() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "manifests", "kustomization.yaml")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no manifests/kustomization.yaml in %s or above it: run from within a checkout of sidecar-drift", start)
		}
	}
}

// Product is an installed product.
type Product struct {
	Binaries
	// Replicas are those of the stamper. API servers call the first one, unless
	// Options say otherwise.
	Replicas []*Replica

	cluster   *cluster.Cluster
	certsArgs []string
	served    int  // how many of the replicas run
	older     bool // what is installed is another checkout
	front     int  // the port that API servers call
	manifests func(ctx context.Context, port int) error
	tlsDir    string
	certs     *cluster.Process
	stop      context.CancelFunc
	mounts    sync.WaitGroup
}

// Options of StartWith.
type Options struct {
	// Replicas is how many the stamper has; one more is in Product.Replicas for
	// updates, which does not run.
	Replicas int
	// Front returns the port that API servers call instead of the first
	// replica's, given all of them. Nil: none.
	Front func([]*Replica) (port int, err error)
	// CertsArgs are given to the certificate controller, too.
	CertsArgs []string
	// Manifests installs the objects, with the webhook at that port of loopback. Nil:
	// the overlay rollout is applied.
	Manifests func(ctx context.Context, port int) error
	// Checkout is what is installed; this one if it is empty. Of an earlier one,
	// the certificate controller knows no CertsArgs.
	Checkout string
}

// Start applies the manifests, the rollout overlay included, and starts the
// certificate controller and one stamper. It returns when Pods are stamped.
func Start(ctx context.Context, c *cluster.Cluster) (*Product, error) {
	return StartWith(ctx, c, Options{Replicas: 1})
}

// StartWith does what Start does with more than one replica, or something before
// them.
func StartWith(ctx context.Context, c *cluster.Cluster, options Options) (*Product, error) {
	p := &Product{cluster: c, certsArgs: options.CertsArgs, manifests: options.Manifests, served: options.Replicas, tlsDir: filepath.Join(c.Dir(), "stamper-tls")}
	for i := range options.Replicas + 1 {
		r, err := p.newReplica(i)
		if err != nil {
			return nil, err
		}
		p.Replicas = append(p.Replicas, r)
	}
	p.front = p.Replicas[0].port
	if options.Front != nil {
		var err error
		if p.front, err = options.Front(p.Replicas); err != nil {
			return nil, err
		}
	}
	if err := p.Apply(ctx, options.Checkout); err != nil {
		return nil, err
	}
	if err := p.StartCerts(ctx); err != nil {
		return nil, err
	}
	if err := p.mountSecret(ctx); err != nil {
		return nil, err
	}
	return p, p.StartStamper(ctx)
}

// Apply builds a checkout's programs, which what is started from now on is, and
// applies its manifests; an empty one is this.
func (p *Product) Apply(ctx context.Context, checkout string) error {
	if p.older = checkout != ""; !p.older {
		var err error
		if checkout, err = Root(); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp(p.cluster.Dir(), "product-")
	if err != nil {
		return err
	}
	if p.Binaries, err = build(ctx, checkout, dir); err != nil {
		return err
	}
	if p.manifests != nil {
		return p.manifests(ctx, p.front)
	}
	return p.cluster.InstallManifests(ctx, filepath.Join(checkout, "manifests", "overlays", "rollout"), p.front)
}

// StartCerts starts the certificate controller.
func (p *Product) StartCerts(ctx context.Context) error {
	kubeconfig, err := p.cluster.ServiceAccountKubeconfig(ctx, Namespace, certsAccount)
	if err != nil {
		return err
	}
	args := []string{
		"certs", "--kubeconfig", kubeconfig,
		"--host", "127.0.0.1", "--host", "localhost",
		"--metrics-bind-address", "0", "--health-probe-bind-address", "0",
	}
	if !p.older {
		args = append(args, p.certsArgs...)
		for _, r := range p.Replicas[:p.served] {
			args = append(args, "--replica", r.Address())
		}
	}
	p.certs, err = p.cluster.Run("sidecar-drift-certs", p.CLI, args, nil)
	return err
}

// mountSecret keeps the serving certificate's files current, as the kubelet
// does for a Secret's volume.
func (p *Product) mountSecret(ctx context.Context) error {
	write := func(ctx context.Context) error {
		return p.cluster.WriteSecretFiles(ctx, Namespace, ServingSecret, p.tlsDir)
	}
	if err := cluster.Poll(ctx, "the serving certificate's Secret", write, p.certs); err != nil {
		return err
	}
	ctx, p.stop = context.WithCancel(context.WithoutCancel(ctx))
	p.mounts.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				// A Secret that is gone stays mounted, as on a node.
				_ = write(ctx)
			}
		}
	})
	return nil
}

// StartStamper starts the stamper and returns when the API server's Pods are
// stamped.
func (p *Product) StartStamper(ctx context.Context) error {
	needed := []*cluster.Process{p.certs}
	for _, r := range p.Replicas[:p.served] {
		if err := r.Start(ctx); err != nil {
			return err
		}
		needed = append(needed, r.process)
	}
	return cluster.Poll(ctx, "the first stamped Pod", p.stamps, needed...)
}

// stamps asks for a dry-run Pod and looks for its stamp: API servers learn the
// caBundle a moment after it was written.
func (p *Product) stamps(ctx context.Context) error {
	stamp, err := p.cluster.Kubectl(ctx, probePod, "create", "--dry-run=server", "-f", "-",
		"-o", `jsonpath={.metadata.annotations.sidecar-drift\.io/stamp}`)
	if err != nil {
		return err
	}
	if stamp == "" {
		return fmt.Errorf("a dry-run Pod comes back without a stamp")
	}
	return nil
}

const probePod = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"sidecar-drift-probe","namespace":"default"},
"spec":{"containers":[{"name":"probe","image":"probe"}]}}`

// StopStamper stops the stamper; its webhook configuration stays.
func (p *Product) StopStamper() error {
	var first error
	for _, r := range p.Replicas {
		if err := r.Stop(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// StopCerts has the certificate controller end.
func (p *Product) StopCerts() error { return p.certs.Stop() }

// KillCerts kills the certificate controller.
func (p *Product) KillCerts() { p.certs.Kill() }

// Uninstall stops all programs and deletes the webhook configuration, so that
// Pods are created as if the product had never been there.
func (p *Product) Uninstall(ctx context.Context) error {
	err := p.cluster.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().
		Delete(ctx, WebhookConfiguration, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	return p.Stop()
}

// Stop stops all programs.
func (p *Product) Stop() error {
	if p.stop != nil {
		p.stop()
		p.mounts.Wait()
	}
	err := p.StopStamper()
	if p.certs != nil {
		if certsErr := p.certs.Stop(); err == nil {
			err = certsErr
		}
		p.certs = nil
	}
	return err
}
