package certs

import (
	"bytes"
	"crypto/x509"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

// What is wrong is put right at once where the authority is there to do it, and
// nothing else is written.
func TestServingCertificateIsReplacedAtOnce(t *testing.T) {
	_, other := settledSecrets(t)
	_, serving := settledSecrets(t)
	tests := []struct {
		name  string
		edit  func(serving SecretData) SecretData
		hosts []string
		after time.Duration
		want  string // what the reason says; empty: kept
	}{
		{name: "all is well"},
		{name: "extra keys do not matter", edit: func(s SecretData) SecretData { return with(s, "note", []byte("mine")) }},
		{name: "hosts written otherwise", hosts: []string{"2001:DB8:0::1", hosts[3], hosts[3], hosts[2], hosts[1], hosts[0]}},
		{name: "emptied", edit: func(SecretData) SecretData { return SecretData{} }, want: "no certificate"},
		{name: "certificate is not PEM", edit: func(s SecretData) SecretData { return with(s, "tls.crt", []byte("x")) }, want: "PEM"},
		{name: "key is truncated", edit: func(s SecretData) SecretData { return with(s, "tls.key", s["tls.key"][:40]) }, want: "PEM"},
		{name: "key is another's", edit: func(s SecretData) SecretData { return with(s, "tls.key", other["tls.key"]) }, want: "does not match"},
		{name: "another authority's", edit: func(SecretData) SecretData { return serving }, want: "unknown authority"},
		{name: "self-signed", edit: func(SecretData) SecretData { return selfSigned(t) }, want: "unknown authority"},
		{name: "bundle is another's", edit: func(s SecretData) SecretData { return with(s, "ca.crt", other["ca.crt"]) }, want: "ca.crt is not"},
		{name: "a DNS name more", hosts: append([]string{"localhost"}, hosts...), want: "not localhost"},
		{name: "a DNS name less", hosts: hosts[1:], want: "not for exactly"},
		{name: "an IP address more", hosts: append([]string{"127.0.0.1"}, hosts...), want: "127.0.0.1"},
		{name: "an IP address less", hosts: hosts[:4], want: "not for exactly"},
		{name: "just before renewal", after: 59 * day},
		{name: "at two thirds", after: 60 * day, want: "due for renewal"},
		{name: "expired", after: 91 * day, want: "expired"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, controller := settled(t)
			bundle := c.secrets[tlsSecret].data["ca.crt"]
			if test.edit != nil {
				c.setSecret(tlsSecret, test.edit(c.secrets[tlsSecret].data))
			}
			if test.hosts != nil {
				controller.hosts = test.hosts
			}
			c.clock = c.clock.Add(test.after)
			written, _ := c.settle(t, controller)
			if test.want == "" {
				checkWritten(t, written)
			} else {
				checkWritten(t, written, "serving: "+test.want)
			}
			if !bytes.Equal(bundle, c.secrets[tlsSecret].data["ca.crt"]) {
				t.Error("the bundle has changed")
			}
		})
	}
}

func settledSecrets(t *testing.T) (authority, serving SecretData) {
	t.Helper()
	c, _ := settled(t)
	return c.secrets[caSecret].data, c.secrets[tlsSecret].data
}

// checkWritten compares what was written with "WHAT: PART OF THE REASON".
func checkWritten(t *testing.T, written []string, want ...string) {
	t.Helper()
	for i := range min(len(written), len(want)) {
		what, why, _ := strings.Cut(want[i], ": ")
		if strings.HasPrefix(written[i], what) && strings.Contains(written[i], why) {
			written[i] = want[i]
		}
	}
	if diff := cmp.Diff(want, written); diff != "" {
		t.Errorf("written (-want +got):\n%s", diff)
	}
}

func TestFirstInstallation(t *testing.T) {
	c := newCluster()
	controller := c.alone()
	written, waiting := c.settle(t, controller)
	checkWritten(t, written, "authority: does not exist", "authority: no certificate", "caBundle: is not", "serving: does not exist", "serving: no certificate")
	if waiting != "" {
		t.Errorf("then %q, want nothing to wait for", waiting)
	}
	c.checkSettled(t)
}

// The stamper can start before there is a webhook configuration.
func TestFirstInstallationWithoutAConfiguration(t *testing.T) {
	c := newCluster()
	c.deleteConfiguration()
	controller := c.alone()
	c.settle(t, controller)
	c.checkSettled(t)
	c.applyConfiguration()
	written, _ := c.settle(t, controller)
	checkWritten(t, written, "caBundle: is not")
}

func TestRenewalChangesTheKey(t *testing.T) {
	c, controller := settled(t)
	before := c.secrets[tlsSecret].data["tls.key"]
	c.clock = c.clock.Add(60 * day)
	c.settle(t, controller)
	if bytes.Equal(before, c.secrets[tlsSecret].data["tls.key"]) {
		t.Error("renewal keeps the private key")
	}
}

// The whole of an ordered change, step by step, whatever it begins with.
func TestChangeOfTheAuthority(t *testing.T) {
	tests := []struct {
		name  string
		begin func(t *testing.T, c *cluster, controller *reconciler)
		want  []string // before the first wait
		// lost says that the old key is not there to sign with.
		lost bool
	}{
		{name: "asked for", begin: func(_ *testing.T, c *cluster, _ *reconciler) { c.request() }, want: []string{"authority: asked for", "caBundle: is not", "serving: ca.crt"}},
		{name: "nears its end", begin: func(t *testing.T, c *cluster, controller *reconciler) {
			c.clock = c.clock.Add(AuthorityLifetime - 181*day)
			c.settle(t, controller) // renews the serving certificate
			c.mount()
			c.clock = c.clock.Add(day)
		}, want: []string{"authority: ends at", "caBundle: is not", "serving: ca.crt"}},
		{name: "deleted", lost: true, begin: func(_ *testing.T, c *cluster, _ *reconciler) { c.setSecret(caSecret, nil) },
			want: []string{"authority: does not exist", "authority: no certificate", "caBundle: is not", "serving: ca.crt"}},
		{name: "damaged", lost: true, begin: func(_ *testing.T, c *cluster, _ *reconciler) { c.edit(caSecret, SecretData{"tls.key": []byte("x")}) },
			want: []string{"authority: PEM", "caBundle: is not", "serving: ca.crt"}},
		{name: "deleted together with the caBundle", lost: true, begin: func(_ *testing.T, c *cluster, _ *reconciler) {
			c.setSecret(caSecret, nil)
			c.setBundle(nil)
		}, want: []string{"authority: does not exist", "authority: no certificate", "caBundle: is not", "serving: ca.crt"}},
		{name: "replaced by somebody's own", lost: true, begin: func(t *testing.T, c *cluster, _ *reconciler) {
			own, err := NewAuthority(c.clock)
			if err != nil {
				t.Fatal(err)
			}
			c.setSecret(caSecret, pairOf(t, own.KeyPair))
		}, want: []string{"authority: do not know its authority yet", "caBundle: is not", "serving: ca.crt"}},
		{name: "restored from a backup", lost: true, begin: func(t *testing.T, c *cluster, _ *reconciler) {
			backup, _ := settledSecrets(t)
			c.setSecret(caSecret, backup)
		}, want: []string{"authority: does not name every authority in use", "caBundle: is not", "serving: ca.crt"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, controller := settled(t)
			old := c.ring().signer
			test.begin(t, c, controller)
			written, waiting := c.settle(t, controller)
			checkWritten(t, written, test.want...)
			checkWaiting(t, waiting, "the next authority is published")
			if signer := c.ring().signer; (signer == nil) != test.lost {
				t.Errorf("meanwhile there is a signer: %v", signer != nil)
			}

			c.clock = c.clock.Add(wait - time.Second)
			written, _ = c.settle(t, controller)
			checkWritten(t, written)
			c.clock = c.clock.Add(time.Second)
			written, waiting = c.settle(t, controller)
			checkWritten(t, written, "authority: it signs from now on", "serving: another authority signs now")
			checkWaiting(t, waiting, "the replica replica still serves a certificate of it")

			c.clock = c.clock.Add(10 * wait)
			written, _ = c.settle(t, controller)
			checkWritten(t, written)
			c.mount()
			written, waiting = c.settle(t, controller)
			checkWritten(t, written)
			checkWaiting(t, waiting, "every replica serves the new authority's certificate")

			c.clock = c.clock.Add(wait)
			written, _ = c.settle(t, controller)
			checkWritten(t, written, "authority: the old one is dropped", "caBundle: is not", "serving: ca.crt")
			c.checkSettled(t)
			if c.ring().trust.contains(old.Certificate) {
				t.Error("the old authority is still trusted")
			}
			if err := c.broken(wait); err != nil {
				t.Error(err)
			}
		})
	}
}

func checkWaiting(t *testing.T, waiting, want string) {
	t.Helper()
	if !strings.Contains(waiting, want) {
		t.Errorf("waits because %q, want a reason that says %q", waiting, want)
	}
}

// The old authority stays while it is not known what every replica serves.
func TestOldAuthorityIsKept(t *testing.T) {
	tests := []struct {
		name     string
		replicas []*replicaInCluster
		want     string
	}{
		{"no replica", nil, "no replica is there"},
		{"a replica cannot be reached", []*replicaInCluster{{name: "a", reachable: false}}, "replica a cannot be asked"},
		{"a replica waits for its certificate", []*replicaInCluster{{name: "a", reachable: true}}, "replica a cannot be asked"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, controller := settled(t)
			c.request()
			c.settle(t, controller)
			c.clock = c.clock.Add(wait)
			c.settle(t, controller)
			c.mount()
			c.replicas = append(c.replicas[:1:1], test.replicas...)
			if test.replicas == nil {
				c.replicas = nil
			}
			for range 3 {
				c.clock = c.clock.Add(day)
				written, waiting := c.settle(t, controller)
				checkWritten(t, written)
				checkWaiting(t, waiting, test.want)
			}
		})
	}
}

// A look at which one replica serves the old certificate again starts the wait
// anew.
func TestReplicasMustStaySettled(t *testing.T) {
	c, controller := settled(t)
	before := c.secrets[tlsSecret].data
	c.request()
	c.settle(t, controller)
	c.clock = c.clock.Add(wait)
	c.settle(t, controller)
	c.mount()
	c.settle(t, controller)
	c.clock = c.clock.Add(wait / 2)
	c.replicas[0].mount(before)
	c.settle(t, controller)
	c.mount()
	c.clock = c.clock.Add(wait / 2)
	c.settle(t, controller)
	c.clock = c.clock.Add(wait - time.Second)
	written, _ := c.settle(t, controller)
	checkWritten(t, written)
}

// A controller that has just started has seen nothing, and waits.
func TestRestartStartsTheWaitAnew(t *testing.T) {
	c, controller := settled(t)
	c.request()
	c.settle(t, controller)
	c.clock = c.clock.Add(wait)
	written, waiting := c.settle(t, c.alone())
	checkWritten(t, written)
	checkWaiting(t, waiting, "the next authority is published")
}

// GitOps tools and people overwrite the caBundle; what they write is not kept.
func TestOverwrittenBundleIsRestored(t *testing.T) {
	foreign, err := NewAuthority(start)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"emptied": nil, "garbage": []byte("x"), "foreign": foreign.CertificatePEM()} {
		t.Run(name, func(t *testing.T) {
			c, controller := settled(t)
			c.setBundle(text)
			written, _ := c.settle(t, controller)
			checkWritten(t, written, "caBundle: is not")
			c.checkSettled(t)
		})
	}
}

// Secrets of earlier versions have no record of authorities.
func TestSecretWithoutARecordIsCompleted(t *testing.T) {
	c, controller := settled(t)
	authority := maps.Clone(c.secrets[caSecret].data)
	delete(authority, caKey)
	c.setSecret(caSecret, authority)
	written, _ := c.settle(t, controller)
	checkWritten(t, written, "authority: record")
	c.checkSettled(t)
}

// An authority that may not sign for our names is somebody's mistake: said
// aloud, rather than a new certificate at every look.
func TestConstrainedAuthorityIsRefused(t *testing.T) {
	c := newCluster()
	c.setSecret(caSecret, signed(t, &x509.Certificate{
		NotBefore: start, NotAfter: start.Add(AuthorityLifetime), KeyUsage: x509.KeyUsageCertSign,
		IsCA: true, BasicConstraintsValid: true,
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: []string{"example.com"},
	}))
	controller := c.alone()
	var err error
	for range 10 {
		if _, err = controller.advance(t.Context()); err != nil {
			break
		}
	}
	if err == nil || !strings.Contains(err.Error(), "cannot vouch") {
		t.Errorf("the error is %v, want one that says that it cannot vouch for our names", err)
	}
}

func TestUnusableAuthorities(t *testing.T) {
	authority, serving := settledSecrets(t)
	other, _ := settledSecrets(t)
	tests := []struct {
		name  string
		data  SecretData
		after time.Duration
		want  string
	}{
		{"not PEM", with(authority, "tls.crt", []byte("x")), 0, "PEM"},
		{"key is another's", with(authority, "tls.key", other["tls.key"]), 0, "does not match"},
		{"a serving certificate", serving, 0, "not a certificate authority"},
		{"self-signed but no authority", selfSigned(t), 0, "not a certificate authority"},
		{"from the future", authority, -day, "not valid before"},
		{"expired", authority, AuthorityLifetime, "expired"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := ParseAuthority(test.data["tls.crt"], test.data["tls.key"], start.Add(test.after))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("ParseAuthority: %v, want an error that says %q", err, test.want)
			}
		})
	}
}

func FuzzSecrets(f *testing.F) {
	c := newCluster()
	controller := c.alone()
	for range 10 {
		if _, err := controller.advance(f.Context()); err != nil {
			f.Fatal(err)
		}
	}
	authority, serving := c.secrets[caSecret].data, c.secrets[tlsSecret].data
	f.Add(authority["tls.crt"], authority["tls.key"], authority["ca.crt"], serving["tls.crt"], serving["tls.key"], c.config.webhooks[0].caBundle)
	f.Add(authority["tls.crt"], authority["tls.key"], []byte(nil), serving["tls.crt"], serving["tls.key"], []byte(nil))
	f.Add([]byte(nil), []byte("-----BEGIN"), []byte(nil), []byte("x"), []byte{0}, []byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, authorityCert, authorityKey, record, servingCert, servingKey, bundle []byte) {
		c := newCluster()
		c.setSecret(caSecret, SecretData{corev1.TLSCertKey: authorityCert, corev1.TLSPrivateKeyKey: authorityKey, caKey: record})
		c.setSecret(tlsSecret, SecretData{corev1.TLSCertKey: servingCert, corev1.TLSPrivateKeyKey: servingKey})
		c.setBundle(bundle)
		controller := c.alone()
		c.settle(t, controller)
		c.clock = c.clock.Add(wait)
		c.settle(t, controller)
		if ring := c.ring(); ring.signer == nil || !ring.trust.contains(ring.signer.Certificate) {
			t.Error("there is no authority that is trusted and signs")
		}
	})
}
