package certs

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"
)

// clockSkew is how far a new certificate's validity starts in the past, for
// API servers, and other controllers, whose clocks are behind this one's.
const clockSkew = time.Hour

// KeyPair is a certificate and its private key.
type KeyPair struct {
	Certificate *x509.Certificate
	key         crypto.Signer
}

// ParseKeyPair reads what a kubernetes.io/tls Secret holds under tls.crt and
// tls.key. It fails unless both are well-formed PEM and the key is that
// certificate's.
func ParseKeyPair(certificatePEM, keyPEM []byte) (KeyPair, error) {
	pair, err := tls.X509KeyPair(certificatePEM, keyPEM)
	if err != nil {
		return KeyPair{}, err
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return KeyPair{}, fmt.Errorf("a private key of type %T cannot sign", pair.PrivateKey)
	}
	return KeyPair{Certificate: pair.Leaf, key: key}, nil
}

// CertificatePEM is the certificate as it is stored under tls.crt.
func (p KeyPair) CertificatePEM() []byte {
	return Bundle{p.Certificate}.PEM()
}

// KeyPEM is the private key (PKCS #8) as it is stored under tls.key.
func (p KeyPair) KeyPEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(p.key)
	if err != nil {
		return nil, fmt.Errorf("encode private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// RenewAt is when two thirds of the certificate's validity are over. The last
// third is left to notice, and to repair, a renewal that does not happen.
func (p KeyPair) RenewAt() time.Time {
	validity := p.Certificate.NotAfter.Sub(p.Certificate.NotBefore)
	return p.Certificate.NotBefore.Add(validity / 3 * 2)
}

// NeedsRenewal says whether the certificate is due for renewal at now.
func (p KeyPair) NeedsRenewal(now time.Time) bool {
	return !now.Before(p.RenewAt())
}
