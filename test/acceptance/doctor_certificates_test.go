package acceptance

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/certs"
)

// servesCertificates looks at replicas through the API server, whose own
// port-forward is real; only the kubelet's end of it is played.
func (p patient) servesCertificates(t *testing.T) {
	authority, other := testAuthority(t), testAuthority(t)
	const name = "sidecar-drift-webhook.sidecar-drift.svc"
	p.replica(t, "trusted", serveWith(t, authority, name, http.NotFoundHandler()))
	p.replica(t, "foreign", serveWith(t, other, name, http.NotFoundHandler()))
	p.replica(t, "misnamed", serveWith(t, authority, "elsewhere.sidecar-drift.svc", http.NotFoundHandler()))
	p.kubectl(t, "patch", "mutatingwebhookconfiguration", "zz-sidecar-drift", "--type=json", "-p", fmt.Sprintf(`[
		{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Ignore"},
		{"op":"replace","path":"/webhooks/0/clientConfig","value":{"service":{"name":"sidecar-drift-webhook","namespace":"sidecar-drift","path":"/stamp"},"caBundle":%q}}]`,
		base64.StdEncoding.EncodeToString(certs.Bundle{authority.Certificate}.PEM())))
	p.eventually(t, nil,
		[]string{"certificate OK Pod trusted", name},
		[]string{"certificate Wrong Pod foreign", "not from the authority in the caBundle"},
		[]string{"certificate Wrong Pod misnamed", "it is for elsewhere.sidecar-drift.svc"},
		// kwok's Nodes have no kubelet at all.
		[]string{"certificate NotChecked Pod sidecar-drift-webhook-", "cannot be reached from here"},
		[]string{"stamp Wrong namespace default", "without a stamp"},
	)
	address := serveWith(t, other, name, http.NotFoundHandler())
	p.eventually(t, []string{"--webhook-url", "https://" + address}, []string{"certificate Wrong " + address, "not from the authority in the caBundle"})
	p.eventually(t, []string{"--webhook-url", "https://127.0.0.1:1"}, []string{"certificate NotChecked 127.0.0.1:1", "connection refused"})
}

func testAuthority(t *testing.T) certs.Authority {
	t.Helper()
	authority, err := certs.NewAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

// replica is a ready Pod behind the stamper's Service, on a Node of its own whose
// kubelet forwards the Pod's port to the address.
func (p patient) replica(t *testing.T, name, address string) {
	t.Helper()
	forwarded(t, p.Cluster, metav1.ObjectMeta{
		Namespace: installation, Name: name,
		Labels: map[string]string{"app.kubernetes.io/name": "sidecar-drift", "app.kubernetes.io/component": "webhook"},
	}, corev1.ContainerPort{Name: "https", ContainerPort: 9443}, address)
}
