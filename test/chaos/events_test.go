package chaos

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sidecar-drift/sidecar-drift/certs"
	"github.com/sidecar-drift/sidecar-drift/test/chaos/churn"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
)

// events are what happens, in the order of the published page.
func events() []event {
	return []event{
		{"nothing", true, true, func(context.Context, *world) error { return nil }},
		{"a replica is asked to end (SIGTERM)", true, true, func(ctx context.Context, w *world) error {
			return errors.Join(w.product.Replicas[0].Stop(), w.proxy.Start(ctx, 0))
		}},
		{"a rolling update", true, false, func(ctx context.Context, w *world) error { return w.proxy.Update(ctx) }},
		{"the serving certificate is renewed", true, true, renewal},
		{"the certificate authority is changed", true, false, changeOfAuthority},
		{"the certificate authority is changed, and its controller killed in the middle", true, false, changeOfAuthorityKilled},
		{"the serving Secret is deleted", true, false, func(ctx context.Context, w *world) error { return w.deleteSecrets(ctx, install.ServingSecret) }},
		{"the authority's Secret is deleted", true, false, func(ctx context.Context, w *world) error { return w.deleteSecrets(ctx, authoritySecret) }},
		{"both Secrets are deleted", true, false, func(ctx context.Context, w *world) error {
			return w.deleteSecrets(ctx, install.ServingSecret, authoritySecret)
		}},
		{"a GitOps tool empties the caBundle", false, false, emptyBundle},
		{"a replica is killed (SIGKILL) and restarted", false, true, func(ctx context.Context, w *world) error {
			w.product.Replicas[0].Kill()
			return w.proxy.Start(ctx, 0)
		}},
		{"all replicas are killed and restarted", false, false, func(ctx context.Context, w *world) error {
			w.product.Replicas[0].Kill()
			w.product.Replicas[1].Kill()
			return errors.Join(w.proxy.Start(ctx, 0), w.proxy.Start(ctx, 1))
		}},
		{"the way to the stamper is slow (3 s)", false, false, during(churn.Slow, 8)},
		{"connections are cut in the middle of an answer", false, false, during(churn.Cut, 200)},
		{"answers are garbage", false, true, during(churn.Garbage, 200)},
		{"connections are closed at once", false, false, during(churn.Away, 200)},
	}
}

const authoritySecret = "sidecar-drift-ca"

// during has the proxy fail until a number of Pods have been created.
func during(f churn.Fault, pods int) func(context.Context, *world) error {
	return func(ctx context.Context, w *world) error {
		w.proxy.Set(f)
		defer w.proxy.Set(churn.None)
		return w.poll(ctx, fmt.Sprintf("%d more Pods", pods), w.morePods(ctx, pods))
	}
}

// morePods is met when there are that many more Pods than now.
func (w *world) morePods(ctx context.Context, more int) func(context.Context) error {
	count := func(ctx context.Context) (int, error) {
		list, err := w.Client().CoreV1().Pods(churn.Namespace).List(ctx, metav1.ListOptions{ResourceVersion: "0", Limit: 0})
		if err != nil {
			return 0, err
		}
		return len(list.Items), nil
	}
	before, err := count(ctx)
	return func(ctx context.Context) error {
		if err != nil {
			return err
		}
		now, err := count(ctx)
		if err == nil && now < before+more {
			err = fmt.Errorf("there are %d more", now-before)
		}
		return err
	}
}

func (w *world) poll(ctx context.Context, what string, condition func(context.Context) error) error {
	return cluster.Poll(ctx, what, condition)
}

// renewal has the serving certificate be one of two months ago, which is due.
func renewal(ctx context.Context, w *world) error {
	secrets := w.Client().CoreV1().Secrets(install.Namespace)
	held, err := secrets.Get(ctx, authoritySecret, metav1.GetOptions{})
	if err != nil {
		return err
	}
	now := time.Now()
	authority, err := certs.ParseAuthority(held.Data[corev1.TLSCertKey], held.Data[corev1.TLSPrivateKeyKey], now)
	if err != nil {
		return err
	}
	old, err := authority.Issue([]string{"127.0.0.1", "localhost"}, now.AddDate(0, 0, -61))
	if err != nil {
		return err
	}
	key, err := old.KeyPEM()
	if err != nil {
		return err
	}
	serving, err := secrets.Get(ctx, install.ServingSecret, metav1.GetOptions{})
	if err != nil {
		return err
	}
	serving.Data[corev1.TLSCertKey], serving.Data[corev1.TLSPrivateKeyKey] = old.CertificatePEM(), key
	if _, err := secrets.Update(ctx, serving, metav1.UpdateOptions{}); err != nil {
		return err
	}
	return w.poll(ctx, "the renewed certificate on both replicas", func(ctx context.Context) error {
		return w.serveNewerThan(ctx, now.AddDate(0, 0, -1))
	})
}

// serveNewerThan fails unless the serving Secret holds a certificate that is valid
// from then on or later, and both replicas serve it.
func (w *world) serveNewerThan(ctx context.Context, from time.Time) error {
	secret, err := w.Client().CoreV1().Secrets(install.Namespace).Get(ctx, install.ServingSecret, metav1.GetOptions{})
	if err != nil {
		return err
	}
	leaf, err := first(secret.Data[corev1.TLSCertKey])
	if err != nil {
		return err
	}
	if leaf.NotBefore.Before(from) {
		return fmt.Errorf("the Secret's is valid from %s", leaf.NotBefore)
	}
	for _, r := range w.product.Replicas[:2] {
		served, err := r.Certificate(ctx)
		if err != nil {
			return err
		}
		if !served.Equal(leaf) {
			return errors.New("a replica serves another one")
		}
	}
	return nil
}

func first(text []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}

func changeOfAuthority(ctx context.Context, w *world) error {
	return w.changeAuthority(ctx, func() error { return nil })
}

func changeOfAuthorityKilled(ctx context.Context, w *world) error {
	return w.changeAuthority(ctx, func() error {
		w.product.KillCerts()
		return w.product.StartCerts(ctx)
	})
}

// changeAuthority asks for another authority, does something when API servers are
// told to trust both, and waits until only the new one is left.
func (w *world) changeAuthority(ctx context.Context, meanwhile func() error) error {
	before, err := w.bundle(ctx)
	if err != nil {
		return err
	}
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:""}}}`, certs.RotateAnnotation)
	if _, err := w.Client().CoreV1().Secrets(install.Namespace).Patch(ctx, authoritySecret, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return err
	}
	trusted := func(n int) func(context.Context) error {
		return func(ctx context.Context) error {
			now, err := w.bundle(ctx)
			if err == nil && (len(now) != n || slices.Equal(now, before)) {
				err = fmt.Errorf("there are %d", len(now))
			}
			return err
		}
	}
	if err := w.poll(ctx, "both authorities in the caBundle", trusted(2)); err != nil {
		return err
	}
	if err := meanwhile(); err != nil {
		return err
	}
	return w.poll(ctx, "the new authority alone in the caBundle", trusted(1))
}

// bundle returns the certificates of the caBundle.
func (w *world) bundle(ctx context.Context) ([]string, error) {
	configuration, err := w.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, install.WebhookConfiguration, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	var all []string
	rest := configuration.Webhooks[0].ClientConfig.CABundle
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return all, nil
		}
		all = append(all, string(block.Bytes))
	}
}

// deleteSecrets deletes Secrets, and waits until they are there again and served.
func (w *world) deleteSecrets(ctx context.Context, names ...string) error {
	begin := time.Now()
	secrets := w.Client().CoreV1().Secrets(install.Namespace)
	for _, name := range names {
		if err := secrets.Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	for _, name := range names {
		err := w.poll(ctx, "the Secret "+name, func(ctx context.Context) error {
			secret, err := secrets.Get(ctx, name, metav1.GetOptions{})
			if err == nil && secret.CreationTimestamp.Add(time.Second).Before(begin) {
				err = errors.New("it is the old one")
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return w.poll(ctx, "the caBundle to hold one authority that the replicas' certificates are of", func(ctx context.Context) error {
		now, err := w.bundle(ctx)
		if err == nil && len(now) != 1 {
			err = fmt.Errorf("there are %d", len(now))
		}
		return errors.Join(err, w.serveNewerThan(ctx, time.Time{}))
	})
}

// emptyBundle does what a tool does that puts an object back to what its manifest
// says, and says nothing about the caBundle.
func emptyBundle(ctx context.Context, w *world) error {
	patch := []byte(`[{"op":"remove","path":"/webhooks/0/clientConfig/caBundle"}]`)
	_, err := w.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().Patch(ctx, install.WebhookConfiguration, types.JSONPatchType, patch, metav1.PatchOptions{})
	return err
}
