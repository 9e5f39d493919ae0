package acceptance

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1apply "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/sidecar-drift/sidecar-drift/certs"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// published is what the controller has written.
type published struct {
	authority, serving *corev1.Secret
	configuration      *admissionregistrationv1.MutatingWebhookConfiguration
}

func (f *certsFixture) read(ctx context.Context) (published, error) {
	p := published{&corev1.Secret{}, &corev1.Secret{}, &admissionregistrationv1.MutatingWebhookConfiguration{}}
	return p, errors.Join(
		f.admin.Get(ctx, types.NamespacedName{Namespace: installation, Name: "sidecar-drift-ca"}, p.authority),
		f.admin.Get(ctx, types.NamespacedName{Namespace: installation, Name: "sidecar-drift-webhook-tls"}, p.serving),
		f.admin.Get(ctx, types.NamespacedName{Name: "zz-sidecar-drift"}, p.configuration),
	)
}

// incomplete says why an API server could not trust the stamper: what the
// controller has written does not fit together.
func (p published) incomplete(hosts []string, now time.Time) error {
	if _, err := certs.ParseAuthority(p.authority.Data["tls.crt"], p.authority.Data["tls.key"], now); err != nil {
		return fmt.Errorf("authority: %w", err)
	}
	serving, err := certs.ParseKeyPair(p.serving.Data["tls.crt"], p.serving.Data["tls.key"])
	if err != nil {
		return fmt.Errorf("serving key pair: %w", err)
	}
	bundle := p.configuration.Webhooks[0].ClientConfig.CABundle
	if !bytes.Equal(bundle, p.authority.Data["tls.crt"]) {
		return errors.New("the caBundle is not the authority's certificate alone")
	}
	for what, secret := range map[string]*corev1.Secret{"authority": p.authority, "serving": p.serving} {
		if !bytes.Equal(secret.Data["ca.crt"], bundle) {
			return fmt.Errorf("ca.crt of the %s Secret is not the caBundle", what)
		}
	}
	if len(p.authority.Data["next.crt"]) > 0 {
		return errors.New("a change of the authority is under way")
	}
	return certs.ParseBundle(bundle).Verify(serving.Certificate, hosts, now)
}

// settled waits until everything fits together, and until more, if given, says
// nothing against it.
func (f *certsFixture) settled(t *testing.T, more ...func(published) error) published {
	t.Helper()
	var p published
	err := cluster.Poll(t.Context(), "certificates that fit together", func(ctx context.Context) (err error) {
		if p, err = f.read(ctx); err != nil {
			return err
		}
		if err := p.incomplete(f.options.Hosts, time.Now()); err != nil {
			return err
		}
		for _, check := range more {
			if err := check(p); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// versions tells whether anything was written in between.
func (p published) versions() map[string]string {
	return map[string]string{
		"authority":     p.authority.ResourceVersion,
		"serving":       p.serving.ResourceVersion,
		"configuration": p.configuration.ResourceVersion,
	}
}

// reconciliations counts how often a controller of this process looked at
// everything and had no error.
func reconciliations(t *testing.T) float64 {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var total float64
	for _, family := range families {
		if family.GetName() != "controller_runtime_reconcile_total" {
			continue
		}
		for _, metric := range family.GetMetric() {
			labels := map[string]string{}
			for _, label := range metric.GetLabel() {
				labels[label.GetName()] = label.GetValue()
			}
			if labels["controller"] == "certs" && labels["result"] != "error" {
				total += metric.GetCounter().GetValue()
			}
		}
	}
	return total
}

func TestCertificateController(t *testing.T) {
	f := newCertsFixture(t)
	stop := f.run()
	f.settled(t)

	t.Run("writes nothing when there is nothing to do", func(t *testing.T) {
		before := f.settled(t)
		checkOwnership(t, before.configuration)
		stop()
		looked := reconciliations(t)
		stop = f.run()
		err := cluster.Poll(t.Context(), "a new controller to look", func(context.Context) error {
			if reconciliations(t) == looked {
				return errors.New("it has not looked yet")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before.versions(), f.settled(t).versions()); diff != "" {
			t.Errorf("resource versions (-before +after):\n%s", diff)
		}
	})

	t.Run("survives that the manifests are applied again", func(t *testing.T) {
		before := f.settled(t)
		f.applyManifests(t)
		after, err := f.read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before.configuration.Webhooks, after.configuration.Webhooks); diff != "" {
			t.Errorf("webhooks (-before +after):\n%s", diff)
		}
	})

	t.Run("replaces a deleted serving Secret", func(t *testing.T) {
		before := f.settled(t)
		f.delete(t, before.serving)
		after := f.settled(t)
		if before.serving.UID == after.serving.UID {
			t.Error("the Secret was not deleted")
		}
		checkAuthorityKept(t, before, after)
	})

	t.Run("replaces a corrupted serving Secret", func(t *testing.T) {
		before := f.settled(t)
		if err := merge(t, f.admin, before.serving, `{"data":{"tls.key":"eA=="}}`); err != nil {
			t.Fatal(err)
		}
		after := f.settled(t)
		if bytes.Equal(before.serving.Data["tls.crt"], after.serving.Data["tls.crt"]) {
			t.Error("the certificate is the old one, want a new one")
		}
		checkAuthorityKept(t, before, after)
	})

	t.Run("restores an overwritten caBundle", func(t *testing.T) {
		before := f.settled(t)
		foreign, err := certs.NewAuthority(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for what, patch := range map[string]string{
			"removed":  `[{"op":"remove","path":"/webhooks/0/clientConfig/caBundle"}]`,
			"replaced": fmt.Sprintf(`[{"op":"replace","path":"/webhooks/0/clientConfig/caBundle","value":%q}]`, base64.StdEncoding.EncodeToString(foreign.CertificatePEM())),
		} {
			if err := f.admin.Patch(t.Context(), before.configuration.DeepCopy(), client.RawPatch(types.JSONPatchType, []byte(patch))); err != nil {
				t.Fatal(err)
			}
			after := f.settled(t)
			if diff := cmp.Diff(before.configuration.Webhooks, after.configuration.Webhooks); diff != "" {
				t.Errorf("webhooks after the caBundle was %s (-before +after):\n%s", what, diff)
			}
		}
	})

	t.Run("gives a new webhook configuration its caBundle", func(t *testing.T) {
		before := f.settled(t)
		f.delete(t, before.configuration)
		f.applyManifests(t)
		after := f.settled(t)
		if diff := cmp.Diff(before.configuration.Webhooks, after.configuration.Webhooks); diff != "" {
			t.Errorf("webhooks (-before +after):\n%s", diff)
		}
	})

	t.Run("leaves alone what cert-manager keeps", func(t *testing.T) {
		before, logged := f.settled(t), f.log.len()
		if err := merge(t, f.admin, before.serving.DeepCopy(), `{"metadata":{"annotations":{"cert-manager.io/certificate-name":"it"}},"data":{"tls.key":"eA=="}}`); err != nil {
			t.Fatal(err)
		}
		err := cluster.Poll(t.Context(), "the controller to say whose it is", func(context.Context) error {
			return f.log.since(logged, "cert-manager keeps the serving Secret (annotation cert-manager.io/certificate-name)")
		})
		if err != nil {
			t.Fatal(err)
		}
		kept, err := f.read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if string(kept.serving.Data["tls.key"]) != "x" {
			t.Error("it was written all the same")
		}
		if err := merge(t, f.admin, kept.serving, `{"metadata":{"annotations":{"cert-manager.io/certificate-name":null}}}`); err != nil {
			t.Fatal(err)
		}
		checkAuthorityKept(t, before, f.settled(t))
	})

	t.Run("hands over to a second replica", func(t *testing.T) {
		f.run()
		stop()
		f.delete(t, f.settled(t).serving)
		f.settled(t)
	})
}

func checkAuthorityKept(t *testing.T, before, after published) {
	t.Helper()
	if before.authority.ResourceVersion != after.authority.ResourceVersion {
		t.Error("the authority's Secret was written, too")
	}
	if before.configuration.ResourceVersion != after.configuration.ResourceVersion {
		t.Error("the webhook configuration was written, too")
	}
}

// checkOwnership checks that the caBundle is all that the controller owns of
// the webhook configuration.
func checkOwnership(t *testing.T, configuration *admissionregistrationv1.MutatingWebhookConfiguration) {
	t.Helper()
	var owned []string
	for _, entry := range configuration.ManagedFields {
		if entry.Manager == "sidecar-drift-certs" {
			owned = append(owned, entry.FieldsV1.GetRawString())
		}
	}
	want := []string{`{"f:webhooks":{"k:{\"name\":\"stamp.sidecar-drift.io\"}":{"f:clientConfig":{"f:caBundle":{}}}}}`}
	if diff := cmp.Diff(want, owned); diff != "" {
		t.Errorf("fields that the controller owns (-want +got):\n%s", diff)
	}
}

func (f *certsFixture) delete(t *testing.T, object client.Object) {
	t.Helper()
	if err := f.admin.Delete(t.Context(), object, client.Preconditions{UID: new(object.GetUID())}); err != nil {
		t.Fatal(err)
	}
}

// The controller's identity is as good as an administrator's as far as its
// webhook configuration goes; with Secrets it is held to two names.
func TestCertificateControllerRights(t *testing.T) {
	c := fenced(t)
	controller := asAccount(t, c, "sidecar-drift-certs")
	other := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: installation, Name: "other"},
		StringData: map[string]string{"password": "secret"},
	}
	admin := asAdmin(t, c)
	create(t, admin, other)
	t.Cleanup(func() {
		if err := admin.Delete(context.Background(), other); err != nil {
			t.Error(err)
		}
	})
	foreign := &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "aa-foreign"}}
	own := &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "zz-sidecar-drift"}}
	ctx := t.Context()
	label := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"evil":"1"}}}`))
	applied := func(namespace string) error {
		return controller.Apply(ctx, corev1apply.Secret("stolen", namespace), client.FieldOwner("test"))
	}
	for what, attempt := range map[string]func() error{
		"read another Secret":              func() error { return controller.Get(ctx, client.ObjectKeyFromObject(other), &corev1.Secret{}) },
		"list the namespace's Secrets":     func() error { return controller.List(ctx, &corev1.SecretList{}, client.InNamespace(installation)) },
		"list all Secrets":                 func() error { return controller.List(ctx, &corev1.SecretList{}) },
		"patch another Secret":             func() error { return controller.Patch(ctx, other.DeepCopy(), label) },
		"delete another Secret":            func() error { return controller.Delete(ctx, other) },
		"apply a new Secret":               func() error { return applied(installation) },
		"apply a Secret elsewhere":         func() error { return applied("kube-system") },
		"patch another's webhooks":         func() error { return controller.Patch(ctx, foreign.DeepCopy(), label) },
		"create a webhook configuration":   func() error { return controller.Create(ctx, foreign.DeepCopy()) },
		"delete its webhook configuration": func() error { return controller.Delete(ctx, own) },
		"list all webhook configurations":  func() error { return controller.List(ctx, &admissionregistrationv1.MutatingWebhookConfigurationList{}) },
		"list EndpointSlices elsewhere": func() error {
			return controller.List(ctx, &discoveryv1.EndpointSliceList{}, client.InNamespace("default"))
		},
		"read an EndpointSlice": func() error {
			return controller.Get(ctx, types.NamespacedName{Namespace: installation, Name: "any"}, &discoveryv1.EndpointSlice{})
		},
		"read Pods": func() error { return controller.List(ctx, &corev1.PodList{}, client.InNamespace(installation)) },
		"create a Secret by a plain create": func() error {
			return controller.Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: installation, Name: "stolen"}})
		},
	} {
		t.Run(what, func(t *testing.T) {
			if err := attempt(); !apierrors.IsForbidden(err) {
				t.Errorf("ended with %v, want it forbidden", err)
			}
		})
	}
}

// Where the replicas are: the controller may list them, and finds the port by
// its name.
func TestCertificateControllerFindsReplicas(t *testing.T) {
	controller := asAccount(t, fenced(t), "sidecar-drift-certs")
	err := cluster.Poll(t.Context(), "the endpoints of the stamper's Service", func(ctx context.Context) error {
		list := &discoveryv1.EndpointSliceList{}
		of := client.MatchingLabels{discoveryv1.LabelServiceName: certs.DefaultOptions().Service}
		if err := controller.List(ctx, list, client.InNamespace(installation), of); err != nil {
			return err
		}
		for _, slice := range list.Items {
			for _, port := range slice.Ports {
				if *port.Name == "https" && *port.Port == 9443 && len(slice.Endpoints) == 2 {
					return nil
				}
			}
		}
		return fmt.Errorf("no slice has two endpoints and the port https: %+v", list.Items)
	})
	if err != nil {
		t.Fatal(err)
	}
}
