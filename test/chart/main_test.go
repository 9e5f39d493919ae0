package chart

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/binaries"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/clustertest"
)

var testCluster *cluster.Cluster

func TestMain(m *testing.M) {
	ctrllog.SetLogger(logr.Discard()) // or controller-runtime complains, with a stack
	os.Exit(clustertest.Main(m, cluster.Options{}, func(_ context.Context, c *cluster.Cluster) error {
		testCluster = c
		return nil
	}))
}

const dir = manifests + "/chart"

// helm is one of the two that are in use.
type helm struct {
	name, path string
}

// helms are Helm 4 and Helm 3.
func helms(t *testing.T) []helm {
	t.Helper()
	four, err := binaries.Helm(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	three, err := binaries.Helm3(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return []helm{{"Helm 4", four.Path("helm")}, {"Helm 3", three.Path("helm3")}}
}

// run returns what it prints; what it says besides is in the error.
func (h helm) run(ctx context.Context, args ...string) (string, error) {
	var stderr bytes.Buffer
	command := exec.CommandContext(ctx, h.path, args...)
	home := filepath.Join(testCluster.Dir(), "helm")
	command.Env = append(os.Environ(), "KUBECONFIG="+testCluster.Kubeconfig(),
		"HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		err = fmt.Errorf("helm %s: %w: %s%s", strings.Join(args, " "), err, out, &stderr)
	}
	return string(out), err
}

func (h helm) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := h.run(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
