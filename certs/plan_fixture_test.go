package certs

import (
	"crypto/x509"
	"maps"
	"net"
	"testing"
	"time"
)

var (
	start = time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	hosts = append(DefaultOptions().Hosts, "2001:db8::1")
)

const day = 24 * time.Hour

// settled is a cluster with certificates as first made at start, and with one
// replica that serves.
func settled(t *testing.T) (*cluster, *reconciler) {
	t.Helper()
	c := newCluster()
	controller := c.alone()
	c.settle(t, controller)
	c.checkSettled(t)
	c.replicas = []*replicaInCluster{{name: "replica", reachable: true, listed: c.clock}}
	c.mount()
	return c, controller
}

// mount is what kubelets do in time.
func (c *cluster) mount() {
	for _, r := range c.replicas {
		r.mount(c.secrets[tlsSecret].data)
	}
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
	return signed(t, &x509.Certificate{
		DNSNames: hosts[:4], IPAddresses: []net.IP{net.ParseIP(hosts[4])}, NotBefore: start, NotAfter: start.Add(AuthorityLifetime),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
}

func signed(t *testing.T, template *x509.Certificate) SecretData {
	t.Helper()
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	pair, err := sign(template, KeyPair{Certificate: template, key: key}, key)
	if err != nil {
		t.Fatal(err)
	}
	return pairOf(t, pair)
}

func pairOf(t *testing.T, pair KeyPair) SecretData {
	t.Helper()
	data, err := pairData(pair)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
