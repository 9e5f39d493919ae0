package cli

import (
	"os"
	"path/filepath"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// What outputs call the cluster is the context that is used, and the server that is asked,
// whichever way they were chosen; and nothing of who asks.
func TestIdentityOfTheCluster(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kubeconfig")
	text := `{"current-context":"eu","clusters":[{"name":"c","cluster":{"server":"https://eu.example.com"}}],` +
		`"contexts":[{"name":"eu","context":{"cluster":"c"}},{"name":"us","context":{"cluster":"c"}}]}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		kubeconfig, context, host string
		want                      report.ClusterIdentity
	}{
		"current context": {path, "", "https://eu.example.com", report.ClusterIdentity{Name: "eu", Server: "https://eu.example.com"}},
		"--context":       {path, "us", "https://us.example.com/", report.ClusterIdentity{Name: "us", Server: "https://us.example.com"}},
		"--server":        {path, "", "https://me:hunter2@other.example.com:6443/k8s?token=hunter2#x", report.ClusterIdentity{Name: "eu", Server: "https://other.example.com:6443/k8s"}},
		"no scheme":       {path, "", "me:hunter2@other.example.com:6443", report.ClusterIdentity{Name: "eu", Server: "other.example.com:6443"}},
		"in a Pod":        {"", "", "https://10.0.0.1:443", report.ClusterIdentity{Server: "https://10.0.0.1:443"}},
	} {
		t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
		c := newConnection()
		*c.flags.KubeConfig, *c.flags.Context = test.kubeconfig, test.context
		if got := c.identity(&rest.Config{Host: test.host}); got != test.want {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}
