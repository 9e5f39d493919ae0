package binaries

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Build is one of the sets, and how long it takes to build.
type Build struct {
	module module
	takes  time.Duration // some, on two cores, where those before it are built, with which it has much in common
}

// What is built for the test cluster, for the chart, and for a release.
var (
	ForCluster = []Build{{kubernetes, 320 * time.Second}, {kwok, 15 * time.Second}, {istio, 75 * time.Second}, {dapr, 10 * time.Second}}
	ForChart   = []Build{{helm, 20 * time.Second}, {helm3, 15 * time.Second}, {certManager, 15 * time.Second}}
	ForRelease = []Build{{goReleaser, 5 * time.Minute}, {krew, time.Minute}}
)

// Name is that of the module below test/build.
func (b Build) Name() string { return b.module.name }

// Ensure returns the Set, and builds it unless it is cached.
func (b Build) Ensure(ctx context.Context) (*Set, error) { return b.module.ensureInUserCache(ctx) }

// Missing are those that are not cached.
func Missing(ctx context.Context, builds []Build) ([]Build, error) {
	cache, err := userCache()
	if err != nil {
		return nil, err
	}
	var missing []Build
	for _, b := range builds {
		r, err := b.module.recipe(ctx)
		if err != nil {
			return nil, err
		}
		if !exists(filepath.Join(cache, b.module.name+"-"+r.key)) {
			missing = append(missing, b)
		}
	}
	return missing, nil
}

// Take is how long builds take, some, on two cores, from nothing.
func Take(builds []Build) time.Duration {
	var sum time.Duration
	for _, b := range builds {
		sum += b.takes
	}
	return sum
}

// userCache is the directory that holds the sets.
func userCache() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a place for the test cluster's binaries: %w", err)
	}
	return filepath.Join(dir, "sidecar-drift", "control-plane"), nil
}
