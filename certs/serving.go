package certs

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// serve keeps the serving Secret: a certificate for exactly the hosts that the
// signer has issued and that is not due for renewal, and the bundle beside it.
// Content that is missing, corrupt, mismatched or outlived is replaced.
//
// Without a signer there is nothing to replace it by: what the next authority
// issues is worthless, and breaks what replicas still serve from memory, until
// API servers know it.
func (d *decision) serve() (step, error) {
	data := d.serving.data
	serving, unusable := d.usable()
	switch {
	case unusable != nil && d.ring.signer == nil:
		return step{}, nil
	case unusable != nil:
		issued, err := d.issue()
		if err != nil {
			return step{}, err
		}
		serving = issued
	case bytes.Equal(data[caKey], d.ring.trust.PEM()):
		return step{}, nil
	default:
		unusable = fmt.Errorf("%s is not what the authority's Secret says", caKey)
	}
	content, err := pairData(serving)
	if err != nil {
		return step{}, err
	}
	content[caKey] = d.ring.trust.PEM()
	return step{serving: &change{data: content}, reason: reason(data, unusable)}, nil
}

// usable returns what the Secret holds, or why another certificate must be
// issued.
func (d *decision) usable() (KeyPair, error) {
	serving, err := ParseKeyPair(d.serving.data[corev1.TLSCertKey], d.serving.data[corev1.TLSPrivateKeyKey])
	if err != nil || d.ring.signer == nil {
		return serving, err
	}
	signer := Bundle{d.ring.signer.Certificate}
	if !signer.vouchesFor(serving.Certificate, d.now) && d.ring.trust.vouchesFor(serving.Certificate, d.now) {
		return KeyPair{}, errors.New("another authority signs now")
	}
	if err := signer.Verify(serving.Certificate, d.hosts, d.now); err != nil {
		return KeyPair{}, err
	}
	if held := hostsOf(serving.Certificate); !sameHosts(held, d.hosts) {
		return KeyPair{}, fmt.Errorf("the certificate is for %v, not for exactly %v", held, d.hosts)
	}
	if serving.NeedsRenewal(d.now) {
		return KeyPair{}, fmt.Errorf("the certificate was due for renewal at %s", serving.RenewAt().Format(time.RFC3339))
	}
	return serving, nil
}

func (d *decision) issue() (KeyPair, error) {
	issued, err := d.ring.signer.Issue(d.hosts, d.now)
	if err != nil {
		return KeyPair{}, err
	}
	if err := (Bundle{d.ring.signer.Certificate}).Verify(issued.Certificate, d.hosts, d.now); err != nil {
		return KeyPair{}, fmt.Errorf("the authority cannot vouch for %v (delete its Secret to have another made): %w", d.hosts, err)
	}
	return issued, nil
}

// hostsOf lists the DNS names and IP addresses that a certificate is for.
func hostsOf(certificate *x509.Certificate) []string {
	hosts := slices.Clone(certificate.DNSNames)
	for _, ip := range certificate.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	return hosts
}

// sameHosts compares two sets of hosts, however their IP addresses are written.
func sameHosts(a, b []string) bool {
	return slices.Equal(canonicalHosts(a), canonicalHosts(b))
}

func canonicalHosts(hosts []string) []string {
	canonical := slices.Clone(hosts)
	for i, host := range canonical {
		if ip := net.ParseIP(host); ip != nil {
			canonical[i] = ip.String()
		}
	}
	slices.Sort(canonical)
	return slices.Compact(canonical)
}

// pairData is the content of a kubernetes.io/tls Secret.
func pairData(pair KeyPair) (SecretData, error) {
	key, err := pair.KeyPEM()
	if err != nil {
		return nil, err
	}
	return SecretData{corev1.TLSCertKey: pair.CertificatePEM(), corev1.TLSPrivateKeyKey: key}, nil
}
