package acceptance

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/certs"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/kubelet"
)

// servesCertificates looks at replicas through the API server, whose own
// port-forward is real; only the kubelet's end of it is played.
func (p patient) servesCertificates(t *testing.T) {
	authority, other := testAuthority(t), testAuthority(t)
	const name = "sidecar-drift-webhook.sidecar-drift.svc"
	p.replica(t, "trusted", serveWith(t, authority, name))
	p.replica(t, "foreign", serveWith(t, other, name))
	p.replica(t, "misnamed", serveWith(t, authority, "elsewhere.sidecar-drift.svc"))
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
	address := serveWith(t, other, name)
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

// serveWith serves TLS on this machine with a certificate for the host, and
// returns where.
func serveWith(t *testing.T, authority certs.Authority, host string) string {
	t.Helper()
	pair, err := authority.Issue([]string{host}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	key, err := pair.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	served, err := tls.X509KeyPair(pair.CertificatePEM(), key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{Certificates: []tls.Certificate{served}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// replica is a ready Pod behind the stamper's Service, on a Node of its own whose
// kubelet forwards the Pod's port to the address.
func (p patient) replica(t *testing.T, name, address string) {
	t.Helper()
	node := httptest.NewTLSServer(kubelet.PortForward(map[string]string{"9443": address}))
	t.Cleanup(node.Close)
	at, err := url.Parse(node.URL)
	if err != nil {
		t.Fatal(err)
	}
	admin := asAdmin(t, p.Cluster)
	create(t, admin, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}})
	p.kubectl(t, "patch", "node", name, "--subresource=status", "--type=merge", "-p", fmt.Sprintf(
		`{"status":{"addresses":[{"type":"InternalIP","address":%q}],"daemonEndpoints":{"kubeletEndpoint":{"Port":%s}}}}`, at.Hostname(), at.Port()))

	pod := newPod(installation)
	pod.GenerateName, pod.Name = "", name
	pod.Labels = map[string]string{"app.kubernetes.io/name": "sidecar-drift", "app.kubernetes.io/component": "webhook"}
	pod.Spec.NodeName = name
	pod.Spec.Containers[0].Ports = []corev1.ContainerPort{{Name: "https", ContainerPort: 9443}}
	create(t, admin, pod)
	p.kubectl(t, "-n", installation, "patch", "pod", name, "--subresource=status", "--type=merge", "-p",
		`{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}`)
}
