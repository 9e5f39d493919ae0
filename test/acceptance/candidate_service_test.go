package acceptance

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/candidate"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/certs"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

// A revision of Istio that is installed and not used yet answers through its Service: by the
// API server's own port-forward, with the rights of whoever asks, and under the Service's name.
// Only the kubelet's end is played.
func TestPreviewThroughAService(t *testing.T) {
	c := testCluster(t)
	present := testIstio(t)
	next, err := istio.Start(t.Context(), c, istio.Options{Set: istio.Values("1.28.0", "150m"), Unregistered: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = next.Stop() })
	mesh := namespaceWith(t, c, nil)
	apply(t, c, mesh, `
apiVersion: v1
kind: Service
metadata: {name: istiod-next}
spec: {selector: {app: istiod-next}, ports: [{name: webhook, port: 443, targetPort: injection}]}
`)
	authority := testAuthority(t)
	forwarded(t, c, metav1.ObjectMeta{Namespace: mesh, Name: "istiod-next-" + mesh, Labels: map[string]string{"app": "istiod-next"}},
		corev1.ContainerPort{Name: "injection", ContainerPort: 15017}, serveWith(t, authority, "istiod-next."+mesh+".svc", before(t, next)))
	namespace := namespaceWith(t, c, injected)
	ofAllOwners(t, c, namespace)

	where, err := candidate.ParseWhere("svc/" + mesh + "/istiod-next:443/inject")
	if err != nil {
		t.Fatal(err)
	}
	opts := candidate.Options{
		Candidates:  []candidate.Place{{Webhook: webhookOfIstio, Where: where}},
		CA:          certs.Bundle{authority.Certificate}.PEM(),
		Concurrency: 4,
	}
	rights := []string{
		readPods, createPods,
		`{apiGroups: [apps, batch], resources: ["*"], verbs: [get, list]}`,
		`{apiGroups: [admissionregistration.k8s.io], resources: ["*"], verbs: [get, list]}`,
		`{apiGroups: [""], resources: [services, namespaces], verbs: [get]}`,
	}
	with := account(t, c, namespaceWith(t, c, nil), append(rights, `{apiGroups: [""], resources: [pods/portforward], verbs: [create]}`)...)
	preview := foresee(t, with, namespace, opts)
	if n := len(preview.Items); n == 0 || preview.Preview.Previewed != n || preview.Summary.Workloads[verdict.Drifted] != n {
		t.Errorf("%d of %d previewed, want all drifted:\n%s", preview.Preview.Previewed, n, details(preview))
	}

	// Whoever may not forward ports is told so, and nothing of workloads.
	without := foresee(t, account(t, c, namespaceWith(t, c, nil), rights...), namespace, opts)
	if reason := reasonOf(t, without, "Deployment", "web"); without.Preview.Previewed != 0 || !strings.Contains(reason, "pods/portforward") {
		t.Errorf("without the right %d are previewed, the reason is %q", without.Preview.Previewed, reason)
	}

	// Another name is not believed.
	opts.CA = certs.Bundle{testAuthority(t).Certificate}.PEM()
	stranger := foresee(t, with, namespace, opts)
	if reason := reasonOf(t, stranger, "Deployment", "web"); stranger.Preview.Previewed != 0 || !strings.Contains(reason, "certificate signed by unknown authority") {
		t.Errorf("of another authority %d are previewed, the reason is %q", stranger.Preview.Previewed, reason)
	}

	if err := present.Configure(t.Context(), istio.Options{Set: istio.Values("1.28.0", "150m")}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := present.Configure(context.Background(), istio.Options{Set: istio.Values("1.27.0", "100m")}); err != nil {
			t.Error(err)
		}
	})
	sameFuture(t, preview, auditOf(t, c, inventory.Selection{Namespace: namespace}))
}

// before passes reviews on to an injector that has another name.
func before(t *testing.T, of serving) http.Handler {
	t.Helper()
	at, err := url.Parse(of.URL())
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(of.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatal("no certificate in the injector's bundle")
	}
	return &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: at.Scheme, Host: at.Host}) },
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}},
	}
}
