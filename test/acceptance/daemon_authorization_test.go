package acceptance

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// With --require-authorization metrics and page are for those who may get them,
// by their token, over TLS.
func serveRequiresAuthorization(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	rights, err := os.ReadFile("../../manifests/components/authorization/rbac.yaml")
	if err != nil {
		t.Fatal(err)
	}
	clusterWide(t, c, string(rights))
	namespace := namespaceWith(t, c, nil)
	clusterWide(t, c, fmt.Sprintf(`
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ServiceAccount, metadata: {namespace: %[1]s, name: viewer}}
- {apiVersion: v1, kind: ServiceAccount, metadata: {namespace: %[1]s, name: stranger}}
- apiVersion: rbac.authorization.k8s.io/v1
  kind: ClusterRoleBinding
  metadata: {name: %[1]s-viewer}
  roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: sidecar-drift-viewer}
  subjects: [{kind: ServiceAccount, namespace: %[1]s, name: viewer}]
`, namespace))
	certDir := t.TempDir()
	cert, err := cluster.NewServingCert(certDir)
	if err != nil {
		t.Fatal(err)
	}
	port, err := cluster.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	pprof := fmt.Sprintf("127.0.0.1:%d", port)
	d := newHome(t, c).audits(t, "--require-authorization", "--cert-dir", certDir, "--include-namespace", namespace, "--pprof-bind-address", pprof)

	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM(cert.CA) {
		t.Fatal("no certificate")
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS13}}}
	status := func(ctx context.Context, address, account string) (int, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.Replace(address, "http:", "https:", 1), nil)
		if err != nil {
			return 0, err
		}
		if account != "" {
			config, err := c.ServiceAccountConfig(ctx, namespace, account)
			if err != nil {
				return 0, err
			}
			request.Header.Set("Authorization", "Bearer "+config.BearerToken)
		}
		response, err := client.Do(request)
		if err != nil {
			return 0, err
		}
		return response.StatusCode, response.Body.Close()
	}
	// Whether it has audited already is not the question.
	page := []int{http.StatusOK, http.StatusServiceUnavailable}
	for _, tt := range []struct {
		address, account string
		want             []int
	}{
		{d.metrics, "viewer", []int{http.StatusOK}},
		{d.page, "viewer", page},
		{d.page + "report.json", "viewer", page},
		{d.metrics, "", []int{http.StatusUnauthorized}},
		{d.page, "", []int{http.StatusUnauthorized}},
		{d.metrics, "stranger", []int{http.StatusForbidden}},
		{d.page + "report.json", "stranger", []int{http.StatusForbidden}},
		{d.page + "other", "viewer", []int{http.StatusForbidden}},
	} {
		err := cluster.Poll(t.Context(), fmt.Sprintf("%s to answer %q with one of %v", tt.address, tt.account, tt.want), func(ctx context.Context) error {
			got, err := status(ctx, tt.address, tt.account)
			if err == nil && !slices.Contains(tt.want, got) {
				err = fmt.Errorf("it is %d", got)
			}
			return err
		}, d.Process)
		if err != nil {
			t.Fatal(err)
		}
	}

	// Profiles are for whoever is on this machine.
	response, err := http.Get("http://" + pprof + "/debug/pprof/heap?debug=1")
	if err != nil {
		t.Fatal(err)
	}
	if response.Body.Close(); response.StatusCode != http.StatusOK {
		t.Errorf("pprof: %s", response.Status)
	}

	// Without TLS nothing is answered.
	if response, err := http.Get(d.metrics); err == nil {
		if response.Body.Close(); response.StatusCode != http.StatusBadRequest {
			t.Errorf("plain HTTP: %s", response.Status)
		}
	}
}
