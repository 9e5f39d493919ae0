package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"time"
)

// How long certificates are valid. A year is taken as 365 days.
const (
	AuthorityLifetime = 10 * 365 * 24 * time.Hour
	ServingLifetime   = 90 * 24 * time.Hour
)

// Authority is a certificate authority that signs serving certificates.
type Authority struct {
	KeyPair
}

// NewAuthority creates a self-signed authority with a key of its own (ECDSA
// P-256), valid from now for [AuthorityLifetime].
//
// Randomness is always the system's: crypto/ecdsa takes no other source since
// Go 1.26.
func NewAuthority(now time.Time) (Authority, error) {
	key, err := newKey()
	if err != nil {
		return Authority{}, err
	}
	template := &x509.Certificate{
		// The time tells successive authorities apart: verifiers look
		// issuers up by subject.
		Subject:               pkix.Name{CommonName: "sidecar-drift-ca@" + now.UTC().Format(time.RFC3339)},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(AuthorityLifetime),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	pair, err := sign(template, KeyPair{Certificate: template, key: key}, key)
	if err != nil {
		return Authority{}, fmt.Errorf("create certificate authority: %w", err)
	}
	return Authority{pair}, nil
}

// changeBefore is how long before its end an authority is changed for another:
// twice what a serving certificate lasts, so that one that is issued on the last
// day is still long renewed before the authority ends.
const changeBefore = 2 * ServingLifetime

// ChangeAt is when another authority should follow this one.
func (a Authority) ChangeAt() time.Time { return a.Certificate.NotAfter.Add(-changeBefore) }

// ParseAuthority reads an authority from its certificate and key and fails if
// it could not issue a serving certificate at now.
func ParseAuthority(certificatePEM, keyPEM []byte, now time.Time) (Authority, error) {
	pair, err := ParseKeyPair(certificatePEM, keyPEM)
	if err != nil {
		return Authority{}, err
	}
	certificate := pair.Certificate
	switch {
	case !isAuthority(certificate):
		return Authority{}, errors.New("the certificate is not a certificate authority's")
	case now.Before(certificate.NotBefore):
		return Authority{}, fmt.Errorf("the authority is not valid before %s", certificate.NotBefore.Format(time.RFC3339))
	case !now.Before(certificate.NotAfter):
		return Authority{}, fmt.Errorf("the authority expired at %s", certificate.NotAfter.Format(time.RFC3339))
	}
	return Authority{pair}, nil
}

func isAuthority(certificate *x509.Certificate) bool {
	return certificate.IsCA && certificate.KeyUsage&x509.KeyUsageCertSign != 0
}

// Issue creates a serving certificate with a key of its own (ECDSA P-256) for
// the hosts (DNS names or IP addresses), valid from now for [ServingLifetime],
// or until the authority ends.
func (a Authority) Issue(hosts []string, now time.Time) (KeyPair, error) {
	if len(hosts) == 0 {
		return KeyPair{}, errors.New("issue serving certificate: no host given")
	}
	key, err := newKey()
	if err != nil {
		return KeyPair{}, err
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "sidecar-drift-webhook"},
		NotBefore:   now.Add(-clockSkew),
		NotAfter:    earliest(now.Add(ServingLifetime), a.Certificate.NotAfter),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	pair, err := sign(template, a.KeyPair, key)
	if err != nil {
		return KeyPair{}, fmt.Errorf("issue serving certificate for %v: %w", hosts, err)
	}
	return pair, nil
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func newKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate private key: %w", err)
	}
	return key, nil
}

// sign has the issuer certify the template for key, under a random serial
// number.
func sign(template *x509.Certificate, issuer KeyPair, key *ecdsa.PrivateKey) (KeyPair, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, issuer.Certificate, key.Public(), issuer.key)
	if err != nil {
		return KeyPair{}, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return KeyPair{}, err
	}
	return KeyPair{Certificate: certificate, key: key}, nil
}
