// Package binaries builds the programs of the test cluster from Go modules
// alone and caches them in the user's cache directory, outside of any checkout.
//
// Each module below test/build is built by itself and cached under a key of its
// own, so that a change to one never rebuilds the others.
package binaries

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// Beside the bin directory of a Set.
const (
	// StagesFile is kwok's configuration.
	StagesFile = "stages.yaml"
	// ChartsDir holds Dapr's Helm chart.
	ChartsDir = "charts"
)

// Set is what one module was built to.
type Set struct {
	// Dir is the cache directory of this set. Its name holds the key of
	// everything that the programs were built from.
	Dir string
	// Cached tells that the programs were there already.
	Cached bool

	programs []string
}

// Kubernetes returns kube-apiserver, kube-controller-manager, kube-scheduler,
// kubectl and etcd. Like all others it builds them, with progress on
// stderr, unless they are cached: some minutes from nothing, one when only
// Go's own build cache is warm.
func Kubernetes(ctx context.Context) (*Set, error) { return kubernetes.ensureInUserCache(ctx) }

// Kwok returns kwok, which plays the kubelets, and its stages (StagesFile).
func Kwok(ctx context.Context) (*Set, error) { return kwok.ensureInUserCache(ctx) }

// Istio returns istio-injector, Istio's injection webhook as one process.
func Istio(ctx context.Context) (*Set, error) { return istio.ensureInUserCache(ctx) }

// Dapr returns dapr-injector, Dapr's injection webhook as one process, and the chart
// that installs it (ChartsDir).
func Dapr(ctx context.Context) (*Set, error) { return dapr.ensureInUserCache(ctx) }

// Helm returns helm, which is Helm 4.
func Helm(ctx context.Context) (*Set, error) { return helm.ensureInUserCache(ctx) }

// Helm3 returns helm3, and helm-docs, which is made of it.
func Helm3(ctx context.Context) (*Set, error) { return helm3.ensureInUserCache(ctx) }

// GoReleaser returns goreleaser.
func GoReleaser(ctx context.Context) (*Set, error) { return goReleaser.ensureInUserCache(ctx) }

// Krew returns krew, and validate-krew-manifest, which krew's index asks about each
// plugin.
func Krew(ctx context.Context) (*Set, error) { return krew.ensureInUserCache(ctx) }

// BinDir is the directory that holds the programs and nothing else.
func (s *Set) BinDir() string { return filepath.Join(s.Dir, "bin") }

// Path is where the program of that name is.
func (s *Set) Path(program string) string { return filepath.Join(s.BinDir(), program) }

// Programs are the set's programs, each as "NAME VERSION".
func (s *Set) Programs() []string { return s.programs }

// sourceDir finds the module's directory from the working directory, which is
// below the repository's root both for go run and for every package's tests.
func (m module) sourceDir() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		candidate := filepath.Join(dir, "test", "build", m.name)
		if _, err := os.Stat(filepath.Join(candidate, "go.mod")); err == nil {
			return candidate, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no test/build/%s in %s or above it: run from within a checkout of sidecar-drift", m.name, start)
		}
	}
}

// CertManager returns cert-manager, its controller or its CA injector as one process,
// and what installs it: the folders charts and crds of ChartsDir.
func CertManager(ctx context.Context) (*Set, error) { return certManager.ensureInUserCache(ctx) }
