package certs

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"slices"
	"time"
)

// Bundle is the certificates of authorities that API servers are to trust, in a
// stable order. It holds one, and more while the authority changes.
type Bundle []*x509.Certificate

// ParseBundle reads a caBundle, or what ca.crt holds. What is not a certificate
// authority's certificate is passed over, and a second copy is, too.
func ParseBundle(text []byte) Bundle {
	var bundle Bundle
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return bundle
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err == nil && isAuthority(certificate) {
			bundle = bundle.with(certificate)
		}
	}
}

// PEM is the bundle as it is stored in a caBundle and under ca.crt.
func (b Bundle) PEM() []byte {
	var encoded []byte
	for _, certificate := range b {
		encoded = append(encoded, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})...)
	}
	return encoded
}

// Verify checks, as an API server will, that the bundle vouches for a serving
// certificate for each of the hosts (DNS names or IP addresses) at now.
func (b Bundle) Verify(certificate *x509.Certificate, hosts []string, now time.Time) error {
	if len(hosts) == 0 {
		return errors.New("no host to verify a certificate for")
	}
	for _, host := range hosts {
		if err := b.verify(certificate, host, now); err != nil {
			return err
		}
	}
	return nil
}

// vouchesFor says whether the bundle vouches for a serving certificate,
// whatever its hosts.
func (b Bundle) vouchesFor(certificate *x509.Certificate, now time.Time) bool {
	return b.verify(certificate, "", now) == nil
}

func (b Bundle) verify(certificate *x509.Certificate, host string, now time.Time) error {
	_, err := certificate.Verify(x509.VerifyOptions{
		DNSName:     host,
		Roots:       b.pool(),
		CurrentTime: now,
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	return err
}

func (b Bundle) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	for _, certificate := range b {
		pool.AddCert(certificate)
	}
	return pool
}

func (b Bundle) contains(certificate *x509.Certificate) bool {
	return slices.ContainsFunc(b, certificate.Equal)
}

// with returns the bundle and, at its end, what of more it does not hold.
func (b Bundle) with(more ...*x509.Certificate) Bundle {
	joined := slices.Clip(b)
	for _, certificate := range more {
		if !joined.contains(certificate) {
			joined = append(joined, certificate)
		}
	}
	return joined
}

// without returns what of the bundle is not in other.
func (b Bundle) without(other Bundle) Bundle {
	return slices.DeleteFunc(slices.Clone(b), other.contains)
}

// unexpired returns what of the bundle can still vouch for anything.
func (b Bundle) unexpired(now time.Time) Bundle {
	return slices.DeleteFunc(slices.Clone(b), func(certificate *x509.Certificate) bool {
		return !now.Before(certificate.NotAfter)
	})
}
