package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	start = time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	hosts = append(DefaultOptions().Hosts, "2001:db8::1")
)

const day = 24 * time.Hour

// carriedOut is the Secrets' content after a plan.
func carriedOut(plan Plan, authority, serving SecretData) (SecretData, SecretData) {
	if plan.Authority.Needed() {
		authority = plan.Authority.Data
	}
	if plan.Serving.Needed() {
		serving = plan.Serving.Data
	}
	return authority, serving
}

func mustPlan(t *testing.T, authority, serving SecretData, names []string, now time.Time) Plan {
	t.Helper()
	plan, err := MakePlan(authority, serving, names, now)
	if err != nil {
		t.Fatalf("MakePlan: %v", err)
	}
	return plan
}

// fresh is the Secrets' content as first created at start.
func fresh(t *testing.T) (authority, serving SecretData) {
	t.Helper()
	return carriedOut(mustPlan(t, nil, nil, hosts, start), nil, nil)
}

// with is data with one key set.
func with(data SecretData, key string, value []byte) SecretData {
	changed := maps.Clone(data)
	changed[key] = value
	return changed
}

// selfSigned is a key pair that is no authority but signed by itself.
func selfSigned(t *testing.T) SecretData {
	t.Helper()
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		DNSNames: hosts[:4], IPAddresses: []net.IP{net.ParseIP(hosts[4])}, NotBefore: start, NotAfter: start.Add(AuthorityLifetime),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	pair, err := sign(template, KeyPair{Certificate: template, key: key}, key)
	if err != nil {
		t.Fatal(err)
	}
	data, err := pairData(pair)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestMakePlanReplacesWhatCannotBeUsed(t *testing.T) {
	authority, serving := fresh(t)
	otherAuthority, otherServing := fresh(t)

	tests := []struct {
		name               string
		authority, serving SecretData
		hosts              []string
		after              time.Duration
		wantAuthority      string // what the reason says; empty: kept
		wantServing        string
	}{
		{name: "all is well", authority: authority, serving: serving},
		{name: "extra keys do not matter", authority: with(authority, "note", []byte("mine")), serving: with(serving, "note", []byte("mine"))},
		{name: "hosts written otherwise", authority: authority, serving: serving, hosts: []string{"2001:DB8:0::1", hosts[3], hosts[3], hosts[2], hosts[1], hosts[0]}},
		{name: "nothing there", wantAuthority: "does not exist", wantServing: "does not exist"},
		{name: "no serving Secret", authority: authority, wantServing: "does not exist"},
		{name: "no authority Secret", serving: serving, wantAuthority: "does not exist", wantServing: "unknown authority"},
		{name: "empty Secrets", authority: SecretData{}, serving: SecretData{}, wantAuthority: "PEM", wantServing: "PEM"},

		{name: "authority is not PEM", authority: with(authority, "tls.crt", []byte("x")), serving: serving, wantAuthority: "PEM", wantServing: "unknown authority"},
		{name: "authority's key is another's", authority: with(authority, "tls.key", otherAuthority["tls.key"]), serving: serving, wantAuthority: "does not match", wantServing: "unknown authority"},
		{name: "authority is a serving certificate", authority: serving, serving: serving, wantAuthority: "not a certificate authority", wantServing: "unknown authority"},
		{name: "authority is self-signed but no authority", authority: selfSigned(t), serving: serving, wantAuthority: "not a certificate authority", wantServing: "unknown authority"},
		{name: "authority from the future", authority: authority, serving: serving, after: -day, wantAuthority: "not valid before", wantServing: "not yet valid"},
		{name: "authority would be outlived", authority: authority, serving: serving, after: AuthorityLifetime - 89*day, wantAuthority: "the authority expires", wantServing: "expired"},
		{name: "another authority", authority: otherAuthority, serving: serving, wantServing: "unknown authority"},

		{name: "serving certificate is not PEM", authority: authority, serving: with(serving, "tls.crt", []byte("x")), wantServing: "PEM"},
		{name: "serving key is truncated", authority: authority, serving: with(serving, "tls.key", serving["tls.key"][:40]), wantServing: "PEM"},
		{name: "serving key is another's", authority: authority, serving: with(serving, "tls.key", otherServing["tls.key"]), wantServing: "does not match"},
		{name: "serving certificate is self-signed", authority: authority, serving: selfSigned(t), wantServing: "unknown authority"},
		{name: "authority serves", authority: authority, serving: authority, wantServing: "not valid for any names"},
		{name: "ca.crt is another's", authority: authority, serving: with(serving, "ca.crt", otherServing["ca.crt"]), wantServing: "ca.crt is not"},
		{name: "a DNS name more", authority: authority, serving: serving, hosts: append([]string{"localhost"}, hosts...), wantServing: "not localhost"},
		{name: "a DNS name less", authority: authority, serving: serving, hosts: hosts[1:], wantServing: "not for exactly"},
		{name: "an IP address more", authority: authority, serving: serving, hosts: append([]string{"127.0.0.1"}, hosts...), wantServing: "127.0.0.1"},
		{name: "an IP address less", authority: authority, serving: serving, hosts: hosts[:4], wantServing: "not for exactly"},

		{name: "just before renewal", authority: authority, serving: serving, after: 59 * day},
		{name: "at two thirds", authority: authority, serving: serving, after: 60 * day, wantServing: "due for renewal"},
		{name: "expired", authority: authority, serving: serving, after: 91 * day, wantServing: "expired"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			names := hosts
			if test.hosts != nil {
				names = test.hosts
			}
			now := start.Add(test.after)
			plan := mustPlan(t, test.authority, test.serving, names, now)
			checkReason(t, "authority", plan.Authority, test.wantAuthority)
			checkReason(t, "serving", plan.Serving, test.wantServing)
			checkUsable(t, plan, test.authority, test.serving, names, now)
		})
	}
}

func checkReason(t *testing.T, what string, change Change, want string) {
	t.Helper()
	switch {
	case want == "" && change.Needed():
		t.Errorf("%s is replaced (%s), want it kept", what, change.Reason)
	case want != "" && !change.Needed():
		t.Errorf("%s is kept, want it replaced with a reason that says %q", what, want)
	case !strings.Contains(change.Reason, want):
		t.Errorf("%s is replaced because %q, want a reason that says %q", what, change.Reason, want)
	}
}

// checkUsable checks what the plan leads to: the key pairs match, the bundle
// vouches for the serving certificate, renewal lies ahead, and a second plan
// has nothing to do.
func checkUsable(t *testing.T, plan Plan, authority, serving SecretData, names []string, now time.Time) {
	t.Helper()
	authority, serving = carriedOut(plan, authority, serving)
	if _, err := ParseAuthority(authority["tls.crt"], authority["tls.key"], now); err != nil {
		t.Errorf("authority after the plan: %v", err)
	}
	pair, err := ParseKeyPair(serving["tls.crt"], serving["tls.key"])
	if err != nil {
		t.Fatalf("serving key pair after the plan: %v", err)
	}
	if err := plan.Trust.Verify(pair.Certificate, names, now); err != nil {
		t.Errorf("the planned bundle does not vouch for the serving certificate: %v", err)
	}
	if !bytes.Equal(serving["ca.crt"], plan.Trust.PEM()) {
		t.Error("ca.crt differs from the planned bundle")
	}
	if !plan.RenewAt.After(now) {
		t.Errorf("renewal at %s is not after %s", plan.RenewAt, now)
	}
	again := mustPlan(t, authority, serving, names, now)
	if again.Authority.Needed() || again.Serving.Needed() {
		t.Errorf("a second plan has changes left: authority %q, serving %q", again.Authority.Reason, again.Serving.Reason)
	}
}

func TestRenewalKeepsTheBundle(t *testing.T) {
	authority, serving := fresh(t)
	renewed := mustPlan(t, authority, serving, hosts, start.Add(60*day))
	if !renewed.Serving.Needed() {
		t.Fatal("the serving certificate is not renewed at two thirds of its validity")
	}
	if diff := cmp.Diff(string(serving["ca.crt"]), string(renewed.Trust.PEM())); diff != "" {
		t.Errorf("renewal changes the bundle (-before +after):\n%s", diff)
	}
	if bytes.Equal(serving["tls.key"], renewed.Serving.Data["tls.key"]) {
		t.Error("renewal keeps the private key")
	}
}

func TestRepairOfTheBundleKeepsTheCertificate(t *testing.T) {
	authority, serving := fresh(t)
	repaired := mustPlan(t, authority, with(serving, "ca.crt", nil), hosts, start)
	if diff := cmp.Diff(serving, repaired.Serving.Data); diff != "" {
		t.Errorf("content of the serving Secret (-before +after):\n%s", diff)
	}
}

func TestMakePlanNeedsAHost(t *testing.T) {
	if plan, err := MakePlan(nil, nil, nil, start); err == nil {
		t.Errorf("MakePlan without hosts returned %+v, want an error", plan)
	}
}

// An authority that may not sign for our names is somebody's mistake: said
// aloud, rather than a new certificate at every look.
func TestMakePlanRefusesAConstrainedAuthority(t *testing.T) {
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		NotBefore: start, NotAfter: start.Add(AuthorityLifetime), KeyUsage: x509.KeyUsageCertSign,
		IsCA: true, BasicConstraintsValid: true,
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: []string{"example.com"},
	}
	pair, err := sign(template, KeyPair{Certificate: template, key: key}, key)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := pairData(pair)
	if err != nil {
		t.Fatal(err)
	}
	if plan, err := MakePlan(authority, nil, hosts, start); err == nil {
		t.Errorf("MakePlan returned %+v, want an error", plan)
	}
}

func TestCertificatesAsIssued(t *testing.T) {
	authority, err := NewAuthority(start)
	if err != nil {
		t.Fatal(err)
	}
	serving, err := authority.Issue(hosts, start)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := authority.Certificate.NotAfter, start.Add(10*365*day); !got.Equal(want) {
		t.Errorf("the authority is valid until %s, want %s", got, want)
	}
	if got, want := serving.Certificate.NotAfter, start.Add(90*day); !got.Equal(want) {
		t.Errorf("the serving certificate is valid until %s, want %s", got, want)
	}
	for what, pair := range map[string]KeyPair{"authority": authority.KeyPair, "serving": serving} {
		if got, want := pair.Certificate.NotBefore, start.Add(-clockSkew); !got.Equal(want) {
			t.Errorf("%s is valid from %s, want %s", what, got, want)
		}
		if got := pair.Certificate.PublicKeyAlgorithm; got != x509.ECDSA {
			t.Errorf("%s has a key of kind %s, want ECDSA", what, got)
		}
	}
	if serving.Certificate.IsCA {
		t.Error("the serving certificate can issue certificates")
	}
	if diff := cmp.Diff(hosts, hostsOf(serving.Certificate)); diff != "" {
		t.Errorf("hosts (-want +got):\n%s", diff)
	}
}

func TestBundleVouchesForOldAndNew(t *testing.T) {
	var bundle Bundle
	var issued []*x509.Certificate
	for range 2 {
		authority, err := NewAuthority(start)
		if err != nil {
			t.Fatal(err)
		}
		serving, err := authority.Issue(hosts, start)
		if err != nil {
			t.Fatal(err)
		}
		bundle, issued = append(bundle, authority.Certificate), append(issued, serving.Certificate)
	}
	for i, certificate := range issued {
		if err := bundle.Verify(certificate, hosts, start); err != nil {
			t.Errorf("certificate %d of the bundle's two authorities: %v", i, err)
		}
	}
	if err := bundle[:1].Verify(issued[1], hosts, start); err == nil {
		t.Error("a bundle without its authority vouches for a certificate")
	}
	count := 0
	for rest := bundle.PEM(); len(rest) > 0; count++ {
		block, remaining := pem.Decode(rest)
		if block == nil {
			t.Fatalf("not PEM: %q", rest)
		}
		rest = remaining
	}
	if count != 2 {
		t.Errorf("the bundle's PEM holds %d certificates, want 2", count)
	}
}

func FuzzMakePlan(f *testing.F) {
	plan, err := MakePlan(nil, nil, hosts, start)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plan.Authority.Data["tls.crt"], plan.Authority.Data["tls.key"], plan.Serving.Data["tls.crt"], plan.Serving.Data["tls.key"])
	f.Add([]byte(nil), []byte("-----BEGIN"), []byte("x"), []byte{0})
	f.Fuzz(func(t *testing.T, authorityCert, authorityKey, servingCert, servingKey []byte) {
		authority := SecretData{"tls.crt": authorityCert, "tls.key": authorityKey}
		serving := SecretData{"tls.crt": servingCert, "tls.key": servingKey}
		checkUsable(t, mustPlan(t, authority, serving, hosts, start), authority, serving, hosts, start)
	})
}

// FuzzParseKeyPair: a pair that is read is written so that it is read again.
func FuzzParseKeyPair(f *testing.F) {
	plan, err := MakePlan(nil, nil, hosts, start)
	if err != nil {
		f.Fatal(err)
	}
	for _, data := range []SecretData{plan.Authority.Data, plan.Serving.Data} {
		certificate, key := data["tls.crt"], data["tls.key"]
		f.Add(certificate, key)
		f.Add(append(bytes.Clone(certificate), certificate...), append([]byte("# a comment\n"), key...))
		f.Add(key, certificate)
		f.Add(certificate[:len(certificate)/2], key)
	}
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), []byte("\xff\x00"))
	f.Fuzz(func(t *testing.T, certificate, key []byte) {
		pair, err := ParseKeyPair(certificate, key)
		if err != nil {
			return
		}
		written, err := pair.KeyPEM()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseKeyPair(pair.CertificatePEM(), written)
		if err != nil || !again.Certificate.Equal(pair.Certificate) {
			t.Errorf("written and read again, it is another pair: %v", err)
		}
	})
}
