package chart

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/test/cluster/binaries"
)

// installKinds has the real definitions of what the chart can hold be there.
func installKinds(t *testing.T) {
	t.Helper()
	module, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/cert-manager/cert-manager").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"certificates", "issuers"} {
		definition, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(module)), "deploy", "crds", "cert-manager.io_"+kind+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		installKind(t, kind+".cert-manager.io", definition)
	}
	for _, kind := range []string{"servicemonitors", "podmonitors", "prometheusrules"} {
		definition, err := binaries.PrometheusOperator.File(t.Context(), "example/prometheus-operator-crd/monitoring.coreos.com_"+kind+".yaml")
		if err != nil {
			t.Fatal(err)
		}
		installKind(t, kind+".monitoring.coreos.com", definition)
	}
}

func installKind(t *testing.T, resource string, definition []byte) {
	t.Helper()
	if err := testCluster.Define(t.Context(), resource, string(definition)); err != nil {
		t.Fatal(err)
	}
}
