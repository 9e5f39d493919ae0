package binaries

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// Build is one of the sets, and how long it takes to build.
type Build struct {
	module  module
	seconds int // some, on two cores, where those before it are built, with which it has much in common
}

// What is built for the test cluster, for the chart, and for a release.
var (
	ForCluster = []Build{{kubernetes, 320}, {kwok, 15}, {istio, 75}, {dapr, 10}}
	ForChart   = []Build{{helm, 20}, {helm3, 15}, {certManager, 15}}
	ForRelease = []Build{{goReleaser, 5}, {krew, 1}}
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

// Minutes is how long builds take, some, on two cores, from nothing.
func Minutes(builds []Build) int {
	sum := 0
	for _, b := range builds {
		sum += b.seconds
	}
	return (sum + 59) / 60
}

// userCache is the directory that holds the sets.
func userCache() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a place for the test cluster's binaries: %w", err)
	}
	return filepath.Join(dir, "sidecar-drift", "control-plane"), nil
}
