package doctor

import (
	"crypto/x509"
	"encoding/json"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/certs"
)

func TestCertManagerSaysHowItIs(t *testing.T) {
	injected := map[string]string{"cert-manager.io/inject-ca-from": "sidecar-drift/sidecar-drift-webhook-tls"}
	certificates := func(text string) read[managedCertificates] {
		var found managedCertificates
		if err := json.Unmarshal([]byte(text), &found); err != nil {
			t.Fatal(err)
		}
		return there(&found)
	}
	for _, tt := range []struct {
		name  string
		found read[managedCertificates]
		want  []expected
	}{
		{"ready and not", certificates(`{"items":[
			{"metadata":{"name":"sidecar-drift-ca"},"status":{"conditions":[{"type":"Ready","status":"True","message":"Certificate is up to date and has not expired"}]}},
			{"metadata":{"name":"sidecar-drift-webhook-tls"},"status":{"conditions":[{"type":"Issuing","status":"True"},{"type":"Ready","status":"False","message":"Issuing certificate as Secret does not exist"}]}},
			{"metadata":{"name":"new"}}]}`), []expected{
			{OK, "Certificate sidecar-drift-ca", "ready: Certificate is up to date", ""},
			{Wrong, "Certificate sidecar-drift-webhook-tls", "it is not ready: Issuing certificate as Secret does not exist", "describe certificates.cert-manager.io"},
			{Wrong, "Certificate new", "cert-manager has said nothing of it yet", "describe"},
		}},
		{"none", certificates(`{"items":[]}`), []expected{{Wrong, "cert-manager", "no Certificate in our namespace", "overlays/cert-manager"}}},
		{"no cert-manager", notThere[managedCertificates](), []expected{{Wrong, "cert-manager", "the cluster has no Certificates", "docs/certificates.md"}}},
		{"may not be read", notAllowed[managedCertificates](), []expected{{state: NotChecked}}},
	} {
		t.Run(tt.name, func(t *testing.T) { check(t, judgeCertManager(tt.found, injected), tt.want...) })
	}
}

// Authorities that nobody needs are counted: one that is being dropped by us is well,
// one that cert-manager keeps for ever is not.
func TestAuthoritiesThatNobodyNeeds(t *testing.T) {
	authority, old := newAuthority(t), newAuthority(t)
	leaf, err := x509.ParseCertificate(serving(t, authority, serviceName).Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	served := []*x509.Certificate{leaf}
	both := certs.Bundle{old.Certificate, authority.Certificate}.PEM()
	topic := topic{checkCertificate, configurationName}
	check(t, judgeAuthorities(topic, certs.Bundle{authority.Certificate}.PEM(), served, true))
	check(t, judgeAuthorities(topic, both, served, true),
		expected{Warning, configurationName, "of 2 authorities in the caBundle no replica serves a certificate of 1", "change-the-authority-under-cert-manager"})
	check(t, judgeAuthorities(topic, both, served, false), expected{state: OK, message: "the authority is being changed"})
}
