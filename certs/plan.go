package certs

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// caKey holds the bundle in the serving Secret, where cert-manager keeps it
// too.
const caKey = "ca.crt"

// SecretData is the data of a Secret; nil stands for a Secret that does not
// exist.
type SecretData map[string][]byte

// Change is what one Secret must come to hold, and why what it holds will not
// do. The zero Change: leave the Secret as it is.
type Change struct {
	Data   SecretData
	Reason string
}

// Needed says whether there is anything to write.
func (c Change) Needed() bool { return c.Data != nil }

// Plan is what the cluster must come to hold, to be carried out in this order.
type Plan struct {
	Authority Change
	Serving   Change
	// Trust is what every webhook's caBundle must be.
	Trust Bundle
	// RenewAt is when the serving certificate is next due.
	RenewAt time.Time
}

// MakePlan compares what the two Secrets hold with what they should hold at
// now: an authority, and a certificate for exactly the hosts that the
// authority has issued and that is not due for renewal. Content that is
// missing, corrupt, mismatched or outlived is replaced, never trusted.
func MakePlan(authorityData, servingData SecretData, hosts []string, now time.Time) (Plan, error) {
	authority, authorityChange, err := planAuthority(authorityData, now)
	if err != nil {
		return Plan{}, err
	}
	trust := Bundle{authority.Certificate}
	serving, servingChange, err := planServing(authority, trust, servingData, hosts, now)
	if err != nil {
		return Plan{}, err
	}
	return Plan{Authority: authorityChange, Serving: servingChange, Trust: trust, RenewAt: serving.RenewAt()}, nil
}

func planAuthority(data SecretData, now time.Time) (Authority, Change, error) {
	authority, unusable := ParseAuthority(data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey], now)
	if unusable == nil {
		return authority, Change{}, nil
	}
	authority, err := NewAuthority(now)
	if err != nil {
		return Authority{}, Change{}, err
	}
	content, err := pairData(authority.KeyPair)
	return authority, Change{Data: content, Reason: reason(data, unusable)}, err
}

func planServing(authority Authority, trust Bundle, data SecretData, hosts []string, now time.Time) (KeyPair, Change, error) {
	serving, unusable := parseServing(trust, data, hosts, now)
	switch {
	case unusable != nil:
		issued, err := authority.Issue(hosts, now)
		if err != nil {
			return KeyPair{}, Change{}, err
		}
		if err := trust.Verify(issued.Certificate, hosts, now); err != nil {
			return KeyPair{}, Change{}, fmt.Errorf("the authority cannot vouch for %v (delete its Secret to have another made): %w", hosts, err)
		}
		serving = issued
	case bytes.Equal(data[caKey], trust.PEM()):
		return serving, Change{}, nil
	default:
		unusable = fmt.Errorf("%s is not the authority's certificate", caKey)
	}
	content, err := pairData(serving)
	if err != nil {
		return KeyPair{}, Change{}, err
	}
	content[caKey] = trust.PEM()
	return serving, Change{Data: content, Reason: reason(data, unusable)}, nil
}

// parseServing reads the serving certificate that the Secret holds and fails,
// saying why, if another must be issued.
func parseServing(trust Bundle, data SecretData, hosts []string, now time.Time) (KeyPair, error) {
	serving, err := ParseKeyPair(data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return KeyPair{}, err
	}
	if err := trust.Verify(serving.Certificate, hosts, now); err != nil {
		return KeyPair{}, err
	}
	if held := hostsOf(serving.Certificate); !sameHosts(held, hosts) {
		return KeyPair{}, fmt.Errorf("the certificate is for %v, not for exactly %v", held, hosts)
	}
	if serving.NeedsRenewal(now) {
		return KeyPair{}, fmt.Errorf("the certificate was due for renewal at %s", serving.RenewAt().Format(time.RFC3339))
	}
	return serving, nil
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

func reason(data SecretData, unusable error) string {
	if data == nil {
		return "the Secret does not exist"
	}
	return unusable.Error()
}
