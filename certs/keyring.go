package certs

import (
	"crypto/x509"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Keys of the authority's Secret, beside tls.crt and tls.key.
const (
	// caKey holds a bundle; in the serving Secret, too, where cert-manager keeps
	// it as well.
	caKey = "ca.crt"
	// nextCertKey and nextKeyKey hold the authority that is to follow.
	nextCertKey = "next.crt"
	nextKeyKey  = "next.key"
)

// SecretData is the data of a Secret; nil stands for a Secret that does not
// exist.
type SecretData map[string][]byte

// keyring is what the authority's Secret holds: the record of how far a change
// of the authority has come.
type keyring struct {
	// signer (tls.crt, tls.key) signs serving certificates: API servers trust it.
	// Nil where its key was lost, until next takes its place.
	signer *Authority
	// next (next.crt, next.key) takes the signer's place as soon as API servers
	// have had the time to learn it. Nil unless a change is under way.
	next *Authority
	// trust (ca.crt) is what API servers are to trust: both of them, and any
	// authority whose certificates replicas may still serve.
	trust Bundle
	// unusable says why there is no signer.
	unusable error
}

// readKeyring reads what it can use; a key that does not fit its certificate
// and an authority that has expired are as good as absent.
func readKeyring(data SecretData, now time.Time) keyring {
	ring := keyring{trust: ParseBundle(data[caKey]).unexpired(now)}
	signer, err := ParseAuthority(data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey], now)
	if err == nil {
		ring.signer = &signer
	}
	ring.unusable = err
	if next, err := ParseAuthority(data[nextCertKey], data[nextKeyKey], now); err == nil {
		ring.next = &next
	}
	return ring
}

// current is the signer and the next one.
func (k keyring) current() Bundle {
	var current Bundle
	for _, authority := range []*Authority{k.signer, k.next} {
		if authority != nil {
			current = current.with(authority.Certificate)
		}
	}
	return current
}

// data is the Secret's content. Keys without a value must not be there.
func (k keyring) data() (SecretData, error) {
	// The type kubernetes.io/tls wants both keys, if empty ones.
	data := SecretData{
		corev1.TLSCertKey: {}, corev1.TLSPrivateKeyKey: {},
		nextCertKey: nil, nextKeyKey: nil,
		caKey: k.trust.PEM(),
	}
	if k.signer != nil {
		pair, err := pairData(k.signer.KeyPair)
		if err != nil {
			return nil, err
		}
		maps.Copy(data, pair)
	}
	if k.next != nil {
		pair, err := pairData(k.next.KeyPair)
		if err != nil {
			return nil, err
		}
		data[nextCertKey], data[nextKeyKey] = pair[corev1.TLSCertKey], pair[corev1.TLSPrivateKeyKey]
	}
	return data, nil
}

// same says whether both rings hold the same authorities in the same places.
func (k keyring) same(other keyring) bool {
	return sameAuthority(k.signer, other.signer) && sameAuthority(k.next, other.next) &&
		slices.EqualFunc(k.trust, other.trust, (*x509.Certificate).Equal)
}

func sameAuthority(a, b *Authority) bool {
	return a == b || a != nil && b != nil && a.Certificate.Equal(b.Certificate)
}
