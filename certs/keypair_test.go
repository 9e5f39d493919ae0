package certs

import (
	"bytes"
	"crypto/x509"
	"testing"

	"github.com/google/go-cmp/cmp"
)

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

func TestNothingOutlivesItsAuthority(t *testing.T) {
	authority, err := NewAuthority(start)
	if err != nil {
		t.Fatal(err)
	}
	serving, err := authority.Issue(hosts, authority.Certificate.NotAfter.Add(-day))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := serving.Certificate.NotAfter, authority.Certificate.NotAfter; !got.Equal(want) {
		t.Errorf("the serving certificate is valid until %s, want %s as its authority", got, want)
	}
	if _, err := authority.Issue(nil, start); err == nil {
		t.Error("a certificate for no host was issued")
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
		bundle, issued = bundle.with(authority.Certificate), append(issued, serving.Certificate)
	}
	for i, certificate := range issued {
		if err := bundle.Verify(certificate, hosts, start); err != nil {
			t.Errorf("certificate %d of the bundle's two authorities: %v", i, err)
		}
	}
	if err := bundle[:1].Verify(issued[1], hosts, start); err == nil {
		t.Error("a bundle without its authority vouches for a certificate")
	}
	if err := bundle.Verify(issued[0], nil, start); err == nil {
		t.Error("a bundle vouches for a certificate for no host")
	}
}

func TestParseBundle(t *testing.T) {
	a, err := NewAuthority(start)
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewAuthority(start)
	if err != nil {
		t.Fatal(err)
	}
	serving, err := a.Issue(hosts, start)
	if err != nil {
		t.Fatal(err)
	}
	key, err := a.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	text := bytes.Join([][]byte{
		[]byte("# a comment"), a.CertificatePEM(), key, serving.CertificatePEM(),
		[]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"), b.CertificatePEM(), a.CertificatePEM(), []byte("-----BEGIN"),
	}, []byte("\n"))
	want := Bundle{a.Certificate, b.Certificate}
	if diff := cmp.Diff(string(want.PEM()), string(ParseBundle(text).PEM())); diff != "" {
		t.Errorf("bundle (-want +got):\n%s", diff)
	}
}

// FuzzParseKeyPair: a pair that is read is written so that it is read again.
func FuzzParseKeyPair(f *testing.F) {
	authority, err := NewAuthority(start)
	if err != nil {
		f.Fatal(err)
	}
	certificate := authority.CertificatePEM()
	key, err := authority.KeyPEM()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(certificate, key)
	f.Add(append(bytes.Clone(certificate), certificate...), append([]byte("# a comment\n"), key...))
	f.Add(key, certificate)
	f.Add(certificate[:len(certificate)/2], key)
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
