package acceptance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-drift/sidecar-drift/certs"
	"github.com/sidecar-drift/sidecar-drift/test/chaos/churn"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/certmanager"
)

// The overlay with the real cert-manager, while Pods are created: what
// docs/certificates.md says of it is done here, command by command.
func TestCertManager(t *testing.T) {
	t.Parallel()
	f := newCertManagerFixture(t)
	t.Run("a fresh install stamps Pods", f.isFresh)
	t.Run("the stamper's certificate is renewed", f.renewsServing)
	t.Run("the authority is renewed", f.renewsAuthority)
	t.Run("the authority gets another key", f.changesKey)
	t.Run("old authorities are dropped", f.dropsAuthorities)
	t.Run("a Certificate is not ready", f.isNotReady)
	t.Run("our own controller takes over", f.goesBack)
	t.Run("cert-manager takes over", f.takesOver)
	t.Run("cert-manager is gone", f.isGone)
}

func (f *certManagerFixture) isFresh(t *testing.T) {
	tally, err := churn.Light().During(t.Context(), f.Client(), f.inUse, churn.Stamped)
	t.Log(tally)
	if err != nil || tally.Failed > 0 { // there is no stamp before there is a stamper
		t.Fatalf("%s (%v); the first that could not be created: %v", tally, err, tally.FirstFailure)
	}
	p := f.settled(t)
	checkInjector(t, p)
	for what, secret := range map[string]map[string]string{authorityName: p.authority.Annotations, servingName: p.serving.Annotations} {
		if got := secret["cert-manager.io/certificate-name"]; got != what {
			t.Errorf("the Secret %s is of the Certificate %q", what, got)
		}
	}
	f.diagnosed(t, "",
		[]string{"certificate OK Certificate " + authorityName, "ready: Certificate is up to date"},
		[]string{"certificate OK Certificate " + servingName, "ready: Certificate is up to date"},
		[]string{"certificate OK 127.0.0.1", "the caBundle vouches for"},
	)
}

// checkInjector checks that the caBundle is all that cert-manager owns of the webhook
// configuration.
func checkInjector(t *testing.T, p published) {
	t.Helper()
	var owned []string
	for _, entry := range p.configuration.ManagedFields {
		if entry.Manager == certmanager.Injector {
			owned = append(owned, entry.FieldsV1.GetRawString())
		}
	}
	if len(owned) != 1 || !strings.Contains(owned[0], "f:caBundle") || strings.Contains(owned[0], "f:failurePolicy") {
		t.Errorf("fields that the CA injector owns: %q", owned)
	}
}

// Another key and certificate from the same authority leave the caBundle alone.
func (f *certManagerFixture) renewsServing(t *testing.T) {
	before := f.mustRead(t)
	f.while(t, func(ctx context.Context) error {
		return inOrder(ctx, f.renew(servingName), f.inUse, f.renew(servingName), f.inUse)
	})
	after := f.mustRead(t)
	if bytes.Equal(before.serving.Data["tls.key"], after.serving.Data["tls.key"]) {
		t.Error("the stamper has the key that it had before")
	}
	checkAuthority(t, before, after)
}

// The authority keeps its key, so that its old and its new certificate vouch for the
// same. The new one is published with the next certificate of the stamper.
func (f *certManagerFixture) renewsAuthority(t *testing.T) {
	before := f.mustRead(t)
	f.while(t, func(ctx context.Context) error {
		return inOrder(ctx, f.renew(authorityName), f.injected(1), f.renew(servingName), f.injected(2), f.inUse)
	})
	after := f.mustRead(t)
	if !bytes.Equal(before.authority.Data["tls.key"], after.authority.Data["tls.key"]) {
		t.Error("the authority has another key")
	}
	f.diagnosed(t, "authorities in the caBundle")
}

// As in docs/certificates.md. Kubelets update the volumes when the injector has long
// added the new authority; so do the stampers here.
func (f *certManagerFixture) changesKey(t *testing.T) {
	before := f.mustRead(t)
	f.while(t, func(ctx context.Context) error {
		return f.mountedLate(ctx,
			f.kubectl("-n", installation, "delete", "secret", authorityName),
			f.kubectl("-n", installation, "wait", "certificate/"+authorityName, "--for=condition=Ready"),
			f.kubectl("-n", installation, "delete", "secret", servingName),
			f.injected(3),
		)
	})
	after := f.mustRead(t)
	if bytes.Equal(before.authority.Data["tls.key"], after.authority.Data["tls.key"]) {
		t.Error("the authority has the key that it had before")
	}
	if err := f.mintedWith(before, after); err != nil {
		t.Errorf("what the old key signs is not trusted any more, against the documentation: %v", err)
	}
	f.diagnosed(t, "", []string{"certificate Warning zz-sidecar-drift", "of 3 authorities in the caBundle no replica serves a certificate of 2"})
}

// mintedWith tells whether API servers trust what somebody signs today with the key
// of an authority of the past.
func (f *certManagerFixture) mintedWith(past, now published) error {
	authority, err := certs.ParseAuthority(past.authority.Data["tls.crt"], past.authority.Data["tls.key"], time.Now())
	if err != nil {
		return err
	}
	minted, err := authority.Issue(f.options.Hosts, time.Now())
	if err != nil {
		return err
	}
	return certs.ParseBundle(bundleOf(now)).Verify(minted.Certificate, f.options.Hosts, time.Now())
}

// As in docs/certificates.md: the injector adds to what is there, so what is there has
// to be replaced. Removed, it would be missing until the injector has looked.
func (f *certManagerFixture) dropsAuthorities(t *testing.T) {
	f.while(t, func(ctx context.Context) error {
		authority, err := f.Kubectl(ctx, "", "-n", installation, "get", "secret", servingName, "-o", `jsonpath={.data.ca\.crt}`)
		if err != nil {
			return err
		}
		return inOrder(ctx,
			f.kubectl("patch", "mutatingwebhookconfiguration", "zz-sidecar-drift", "--type=json",
				"-p", fmt.Sprintf(`[{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": %q}]`, authority)),
			f.renew(servingName), f.inUse,
		)
	})
	after := f.settled(t) // with one authority in the caBundle
	checkInjector(t, after)
	f.diagnosed(t, "authorities in the caBundle")
}

// diagnosed waits until doctor has a finding for each of want, and none with not.
func (f *certManagerFixture) diagnosed(t *testing.T, not string, want ...[]string) {
	t.Helper()
	f.doctor.eventually(t, nil, want...)
	if not == "" {
		return
	}
	found, err := f.doctor.examine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(findings(found), not) {
		t.Errorf("doctor speaks of %q:\n%s", not, findings(found))
	}
}

// A Certificate that cannot be issued is told of, and what is served meanwhile is the
// one before.
func (f *certManagerFixture) isNotReady(t *testing.T) {
	issuer := func(secret string) step {
		return f.kubectl("-n", installation, "patch", "issuer", authorityName, "--type=merge", "-p", fmt.Sprintf(`{"spec":{"ca":{"secretName":%q}}}`, secret))
	}
	f.while(t, func(ctx context.Context) error {
		return inOrder(ctx, issuer("nowhere"), f.kubectl("-n", installation, "delete", "secret", servingName))
	})
	f.diagnosed(t, "",
		[]string{"certificate OK Certificate " + authorityName},
		[]string{"certificate Wrong Certificate " + servingName, "it is not ready", "Secret does not exist"},
		[]string{"certificate OK 127.0.0.1"})
	f.while(t, func(ctx context.Context) error { return inOrder(ctx, issuer(authorityName), f.inUse) })
}

// As in docs/certificates.md, our controller goes on with what cert-manager made.
func (f *certManagerFixture) goesBack(t *testing.T) {
	before := f.settled(t)
	f.while(t, func(ctx context.Context) error {
		f.applyManifests(t)
		f.ours = f.run()
		return inOrder(ctx, f.logged("cert-manager keeps"),
			f.kubectl("-n", installation, "delete", "certificates.cert-manager.io,issuers.cert-manager.io", "-l", "app.kubernetes.io/name=sidecar-drift"),
			f.kubectl("-n", installation, "annotate", "secret", authorityName, servingName, "cert-manager.io/certificate-name-"),
			f.logged("as they should be"), f.serves(before),
		)
	})
	checkAuthority(t, before, f.settled(t))
	found, err := f.doctor.examine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(findings(found), "Certificate sidecar-drift") {
		t.Errorf("doctor speaks of Certificates:\n%s", findings(found))
	}
}

// As in docs/certificates.md, cert-manager goes on with the key and the certificate that
// our controller alone made, and gives the authority another name.
func (f *certManagerFixture) takesOver(t *testing.T) {
	f.ours() // or it would see what is lost in turn, and wait in between
	err := inOrder(t.Context(),
		f.kubectl("-n", installation, "delete", "secret", authorityName, servingName),
		f.kubectl("patch", "mutatingwebhookconfiguration", "zz-sidecar-drift", "--type=json", "-p", `[{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]`),
	)
	if err != nil {
		t.Fatal(err)
	}
	f.ours = f.run()
	before := f.settled(t)
	if err := f.inUse(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.while(t, func(ctx context.Context) error {
		f.install(t, onLoopback)
		f.ours()
		return inOrder(ctx,
			f.kubectl("-n", installation, "wait", "certificate/"+authorityName, "certificate/"+servingName, "--for=condition=Ready", "--timeout=5m"),
			f.inUse, f.serves(before),
			func(ctx context.Context) error { return f.mountedLate(ctx, f.renew(servingName), f.injected(2)) },
		)
	})
	after := f.mustRead(t)
	if bytes.Equal(before.authority.Data["tls.crt"], after.authority.Data["tls.crt"]) {
		t.Error("the authority is the one that was there, against the documentation")
	}
	if err := authorityOf(t, after).Certificate.CheckSignatureFrom(authorityOf(t, before).Certificate); err != nil {
		t.Errorf("the authority has another key: %v", err)
	}
	f.diagnosed(t, "authorities in the caBundle",
		[]string{"certificate OK Certificate " + authorityName},
		[]string{"certificate OK Certificate " + servingName})
}

func authorityOf(t *testing.T, p published) certs.Authority {
	t.Helper()
	authority, err := certs.ParseAuthority(p.authority.Data["tls.crt"], p.authority.Data["tls.key"], time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

// serves checks that the stamper's certificate is the one of before.
func (f *certManagerFixture) serves(before published) step {
	return func(ctx context.Context) error {
		after, err := f.read(ctx)
		if err == nil && !bytes.Equal(before.serving.Data["tls.crt"], after.serving.Data["tls.crt"]) {
			err = errors.New("the stamper has another certificate than before")
		}
		return err
	}
}

// checkAuthority checks that neither the authority nor the trust in it is another.
func checkAuthority(t *testing.T, before, after published) {
	t.Helper()
	if !bytes.Equal(before.authority.Data["tls.crt"], after.authority.Data["tls.crt"]) {
		t.Error("the authority is another")
	}
	if !bytes.Equal(bundleOf(before), bundleOf(after)) {
		t.Error("the caBundle is another")
	}
}

// An annotation renews nothing.
func (f *certManagerFixture) isGone(t *testing.T) {
	if err := f.manager.Stop(); err != nil {
		t.Error(err)
	}
	if err := f.kubectl("delete", "crd", "certificates.cert-manager.io")(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.diagnosed(t, "", []string{"certificate Wrong cert-manager", "the cluster has no Certificates"})
}
