package acceptance

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// guard looks, again and again while a test runs, whether some API server could
// have come to distrust a stamper: every caBundle that was in force in the last
// second must vouch for what every stamper serves, and the API server's own
// dry-run Pods must come back stamped.
func (f *certsFixture) guard(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var looking sync.WaitGroup
	looks := 0
	looking.Go(func() {
		seen := &seenBundles{}
		for ctx.Err() == nil {
			if err := f.look(ctx, seen); err != nil && ctx.Err() == nil {
				t.Errorf("%s: %v", time.Now().Format("15:04:05.000"), err)
			}
			looks++
		}
	})
	t.Cleanup(func() {
		cancel()
		looking.Wait()
		t.Logf("looked %d times", looks)
		if looks < 10 {
			t.Errorf("looked %d times only", looks)
		}
	})
}

// seenBundles are the caBundles that an API server may know.
type seenBundles struct {
	all []seenBundle
}

type seenBundle struct {
	text  string
	until time.Time // zero: in force
}

// knownFor is how long after its replacement an API server of these tests may
// know a caBundle: well below the controller's PropagationWait.
const knownFor = time.Second

func (s *seenBundles) see(text string) {
	for i := range s.all {
		if s.all[i].text != text && s.all[i].until.IsZero() {
			s.all[i].until = time.Now()
		}
	}
	s.all = slices.DeleteFunc(s.all, func(b seenBundle) bool { return b.text == text || b.forgotten() })
	s.all = append(s.all, seenBundle{text: text})
}

func (b seenBundle) forgotten() bool { return !b.until.IsZero() && time.Since(b.until) > knownFor }

func (f *certsFixture) look(ctx context.Context, seen *seenBundles) error {
	configuration := &admissionregistrationv1.MutatingWebhookConfiguration{}
	if err := f.admin.Get(ctx, client.ObjectKey{Name: "zz-sidecar-drift"}, configuration); err != nil {
		return err
	}
	seen.see(string(configuration.Webhooks[0].ClientConfig.CABundle))
	for _, bundle := range seen.all {
		roots := rootsOf([]byte(bundle.text))
		for _, stamper := range f.stampers {
			dialer := tls.Dialer{Config: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
			connection, err := dialer.DialContext(ctx, "tcp", stamper.address)
			if distrust := new(tls.CertificateVerificationError); errors.As(err, &distrust) && !bundle.forgotten() {
				return err
			}
			if err == nil {
				_ = connection.Close() // an alert that does not arrive
			}
		}
	}
	pod := newPod("default")
	if err := f.admin.Create(ctx, pod, client.DryRunAll); err != nil {
		return err
	}
	if pod.Annotations["sidecar-drift.io/stamp"] == "" {
		return errors.New("a Pod comes back without a stamp")
	}
	return nil
}

func rootsOf(bundle []byte) *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	return roots
}
