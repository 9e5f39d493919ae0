package acceptance

import (
	"context"
	"crypto/tls"
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
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/kubelet"
)

// serveWith serves TLS on this machine with a certificate for the host, and
// returns where.
func serveWith(t *testing.T, authority certs.Authority, host string, handler http.Handler) string {
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
	server := httptest.NewUnstartedServer(handler)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{served}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// forwarded is a ready Pod on a Node of its own, whose kubelet forwards the Pod's port to the
// address.
func forwarded(t *testing.T, c *cluster.Cluster, of metav1.ObjectMeta, port corev1.ContainerPort, address string) {
	t.Helper()
	node := httptest.NewTLSServer(kubelet.PortForward(map[string]string{fmt.Sprint(port.ContainerPort): address}))
	t.Cleanup(node.Close)
	at, err := url.Parse(node.URL)
	if err != nil {
		t.Fatal(err)
	}
	kubectl := func(args ...string) {
		if out, err := c.Kubectl(t.Context(), "", args...); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	admin := asAdmin(t, c)
	create(t, admin, &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: of.Name},
		// No other test's Pod would ever run there, a DaemonSet's neither.
		Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: "forwards-ports", Effect: corev1.TaintEffectNoSchedule}}},
	})
	t.Cleanup(func() {
		if err := c.Client().CoreV1().Nodes().Delete(context.Background(), of.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	kubectl("patch", "node", of.Name, "--subresource=status", "--type=merge", "-p", fmt.Sprintf(
		`{"status":{"addresses":[{"type":"InternalIP","address":%q}],"daemonEndpoints":{"kubeletEndpoint":{"Port":%s}}}}`, at.Hostname(), at.Port()))

	pod := newPod(of.Namespace)
	pod.GenerateName, pod.Name, pod.Labels = "", of.Name, of.Labels
	pod.Spec.NodeName = of.Name
	pod.Spec.Containers[0].Ports = []corev1.ContainerPort{port}
	create(t, admin, pod)
	kubectl("-n", of.Namespace, "patch", "pod", of.Name, "--subresource=status", "--type=merge", "-p",
		`{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}`)
}
