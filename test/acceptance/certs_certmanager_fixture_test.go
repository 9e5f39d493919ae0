package acceptance

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/certs"
	"github.com/sidecar-drift/sidecar-drift/test/chaos/churn"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/certmanager"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/clustertest"
)

// onLoopback is the overlay, with a name of the stamper's that this machine can reach.
const onLoopback = "testdata/cert-manager-on-loopback"

// Names of the overlay's, each of a Certificate and of its Secret.
const (
	authorityName = "sidecar-drift-ca"
	servingName   = "sidecar-drift-webhook-tls"
)

// certManagerFixture is a cluster with the real cert-manager, its overlay applied, and
// two stampers, of which the API server calls the first.
type certManagerFixture struct {
	*certsFixture
	manager *certmanager.Manager
	doctor  patient
	ours    func() // stops our own controller
}

func newCertManagerFixture(t *testing.T) *certManagerFixture {
	t.Helper()
	c := clustertest.New(t, cluster.Options{})
	manager, err := certmanager.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	f := &certManagerFixture{
		certsFixture: &certsFixture{Cluster: c, owner: t, admin: asAdmin(t, c), options: certs.DefaultOptions()},
		manager:      manager,
		doctor:       patient{c, testProduct(t).CLI, c.Kubeconfig()},
	}
	f.options.MetricsBindAddress, f.options.HealthProbeBindAddress = "0", "0"
	f.options.Hosts = append(f.options.Hosts, "127.0.0.1")
	for i := range 2 {
		stamper := f.newStamper(i)
		f.stampers = append(f.stampers, stamper)
		f.options.Replicas = append(f.options.Replicas, stamper.address)
	}
	if _, err := c.Kubectl(t.Context(), "", "create", "namespace", churn.Namespace); err != nil {
		t.Fatal(err)
	}
	f.install(t, onLoopback)
	return f
}

// while does something, with Pods created all the time; each must come to be, and be
// stamped.
func (f *certManagerFixture) while(t *testing.T, act func(context.Context) error) {
	t.Helper()
	tally, err := churn.Light().During(t.Context(), f.Client(), act, churn.Stamped)
	t.Log(tally)
	if err != nil || tally.Failed > 0 || tally.Unstamped > 0 {
		t.Fatalf("%s (%v); the first that could not be created: %v", tally, err, tally.FirstFailure)
	}
}

// step is one of those that a person takes, or waits for.
type step = func(context.Context) error

// inOrder takes steps, up to the first that fails.
func inOrder(ctx context.Context, steps ...step) error {
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// mountedLate takes steps before any stamper gets what they lead to, as kubelets
// update volumes within a minute or two, and waits until the stampers serve it.
func (f *certManagerFixture) mountedLate(ctx context.Context, steps ...step) error {
	for _, stamper := range f.stampers {
		stamper.setStuck(true)
		defer stamper.setStuck(false)
	}
	if err := inOrder(ctx, steps...); err != nil {
		return err
	}
	for _, stamper := range f.stampers {
		stamper.setStuck(false)
	}
	return f.inUse(ctx)
}

// kubectl is a command as docs/certificates.md has it.
func (f *certManagerFixture) kubectl(args ...string) step {
	return func(ctx context.Context) error {
		_, err := f.Kubectl(ctx, "", args...)
		return err
	}
}

// logged waits for our own controller to say something.
func (f *certManagerFixture) logged(text string) step {
	return func(ctx context.Context) error {
		return cluster.Poll(ctx, "our own controller to say "+text, func(context.Context) error { return f.log.since(0, text) })
	}
}

// poll waits for cert-manager to have done something.
func (f *certManagerFixture) poll(ctx context.Context, what string, condition func(context.Context) error) error {
	return cluster.Poll(ctx, what, condition, f.manager.Processes()...)
}

// renew has cert-manager renew a Certificate, as cmctl renew does, and ends when it has.
func (f *certManagerFixture) renew(name string) step {
	return func(ctx context.Context) error {
		before, err := f.certificate(ctx, name)
		if err != nil {
			return err
		}
		condition := fmt.Sprintf(`[{"op":"add","path":"/status/conditions/-","value":{"type":"Issuing","status":"True",
			"reason":"ManuallyTriggered","message":"Certificate re-issuance manually triggered","lastTransitionTime":%q}}]`, time.Now().UTC().Format(time.RFC3339))
		patch := f.kubectl("-n", installation, "patch", "certificate", name, "--subresource=status", "--type=json", "-p", condition)
		return inOrder(ctx, patch, func(ctx context.Context) error {
			return f.poll(ctx, "another certificate in "+name, func(ctx context.Context) error {
				after, err := f.certificate(ctx, name)
				if err == nil && bytes.Equal(before, after) {
					err = errors.New("it is the old one")
				}
				return err
			})
		})
	}
}

// certificate is what a Certificate's Secret holds.
func (f *certManagerFixture) certificate(ctx context.Context, name string) ([]byte, error) {
	p, err := f.read(ctx)
	if err != nil {
		return nil, err
	}
	if name == authorityName {
		return p.authority.Data["tls.crt"], nil
	}
	return p.serving.Data["tls.crt"], nil
}

// inUse waits until every stamper serves the Secret's certificate, which the caBundle
// vouches for.
func (f *certManagerFixture) inUse(ctx context.Context) error {
	return f.poll(ctx, "stampers that serve the new certificate", func(ctx context.Context) error {
		p, err := f.read(ctx)
		if err != nil {
			return err
		}
		block, _ := pem.Decode(p.serving.Data["tls.crt"])
		if block == nil {
			return errors.New("the Secret holds no certificate")
		}
		dialer := tls.Dialer{Config: &tls.Config{RootCAs: rootsOf(bundleOf(p)), MinVersion: tls.VersionTLS12}}
		for _, stamper := range f.stampers {
			connection, err := dialer.DialContext(ctx, "tcp", stamper.address)
			if err != nil {
				return err
			}
			served := connection.(*tls.Conn).ConnectionState().PeerCertificates[0].Raw
			_ = connection.Close() // an alert that does not arrive
			if !bytes.Equal(served, block.Bytes) {
				return fmt.Errorf("%s serves another certificate than the Secret's", stamper.address)
			}
		}
		return nil
	})
}

// injected waits for that many authorities in the caBundle.
func (f *certManagerFixture) injected(authorities int) step {
	return func(ctx context.Context) error {
		return f.poll(ctx, fmt.Sprintf("%d authorities in the caBundle", authorities), func(ctx context.Context) error {
			configuration, err := f.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, "zz-sidecar-drift", metav1.GetOptions{})
			if err != nil {
				return err
			}
			if got := len(certs.ParseBundle(configuration.Webhooks[0].ClientConfig.CABundle)); got != authorities {
				return fmt.Errorf("there are %d", got)
			}
			return nil
		})
	}
}

func bundleOf(p published) []byte { return p.configuration.Webhooks[0].ClientConfig.CABundle }

// mustRead is read.
func (f *certManagerFixture) mustRead(t *testing.T) published {
	t.Helper()
	p, err := f.read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}
