// Package install puts the product on a test cluster as a user would: the
// manifests are applied as they are, and its programs run on this machine, as
// nothing runs in that cluster's Pods, with their own service accounts' tokens.
package install

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
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

// Binaries are the product's programs, built from this checkout.
type Binaries struct {
	CLI, Webhook string
}

// Build builds both programs into dir.
func Build(ctx context.Context, dir string) (Binaries, error) {
	root, err := Root()
	if err != nil {
		return Binaries{}, err
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", dir+string(filepath.Separator), "./cmd/...")
	build.Dir = root
	if output, err := build.CombinedOutput(); err != nil {
		return Binaries{}, fmt.Errorf("build the product: %w\n%s", err, output)
	}
	return Binaries{
		CLI:     filepath.Join(dir, "sidecar-drift"),
		Webhook: filepath.Join(dir, "sidecar-drift-webhook"),
	}, nil
}

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
	cluster *cluster.Cluster
	tlsDir  string
	port    int
	health  int
	metrics int

	certs   *cluster.Process
	stamper *cluster.Process
	stop    context.CancelFunc
	mounts  sync.WaitGroup
}

// Start applies the manifests, the rollout overlay included, and starts the
// certificate controller and one stamper. It returns when Pods are stamped.
func Start(ctx context.Context, c *cluster.Cluster) (*Product, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	p := &Product{cluster: c, tlsDir: filepath.Join(c.Dir(), "stamper-tls")}
	if p.Binaries, err = Build(ctx, filepath.Join(c.Dir(), "product")); err != nil {
		return nil, err
	}
	if p.port, err = cluster.FreePort(); err != nil {
		return nil, err
	}
	if p.health, err = cluster.FreePort(); err != nil {
		return nil, err
	}
	if p.metrics, err = cluster.FreePort(); err != nil {
		return nil, err
	}
	if err := c.InstallManifests(ctx, filepath.Join(root, "manifests", "overlays", "rollout"), p.port); err != nil {
		return nil, err
	}
	if err := p.startCerts(ctx); err != nil {
		return nil, err
	}
	if err := p.mountSecret(ctx); err != nil {
		return nil, err
	}
	return p, p.StartStamper(ctx)
}

func (p *Product) startCerts(ctx context.Context) error {
	kubeconfig, err := p.cluster.ServiceAccountKubeconfig(ctx, Namespace, certsAccount)
	if err != nil {
		return err
	}
	p.certs, err = p.cluster.Run("sidecar-drift-certs", p.CLI, []string{
		"certs", "--kubeconfig", kubeconfig,
		"--host", "127.0.0.1", "--host", "localhost",
		"--replica", fmt.Sprintf("127.0.0.1:%d", p.port),
		"--metrics-bind-address", "0", "--health-probe-bind-address", "0",
	}, nil)
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
	var err error
	p.stamper, err = p.cluster.Run("sidecar-drift-webhook", p.Webhook, []string{
		"--bind-address", fmt.Sprintf("127.0.0.1:%d", p.port),
		"--cert-dir", p.tlsDir,
		"--metrics-bind-address", p.StamperMetrics(),
		"--health-probe-bind-address", fmt.Sprintf("127.0.0.1:%d", p.health),
	}, nil)
	if err != nil {
		return err
	}
	if err := cluster.Poll(ctx, "the stamper", p.ready, p.stamper); err != nil {
		return err
	}
	return cluster.Poll(ctx, "the first stamped Pod", p.stamps, p.stamper, p.certs)
}

// StamperMetrics is the address that serves the stamper's /metrics.
func (p *Product) StamperMetrics() string { return fmt.Sprintf("127.0.0.1:%d", p.metrics) }

func (p *Product) ready(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/readyz", p.health), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("readyz answers %s", resp.Status)
	}
	return nil
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
	if p.stamper == nil {
		return nil
	}
	err := p.stamper.Stop()
	p.stamper = nil
	return err
}

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
