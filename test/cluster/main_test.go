package cluster_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/clustertest"
)

var shared *cluster.Cluster

func TestMain(m *testing.M) {
	if end := os.Getenv(endVariable); end != "" {
		owner(end)
	}
	// What is tested here is the cluster of our own.
	os.Unsetenv(cluster.ExternalKubeconfigVariable)
	started := time.Now()
	os.Exit(clustertest.Main(m, cluster.Options{}, func(_ context.Context, c *cluster.Cluster) error {
		fmt.Fprintln(os.Stderr, "cluster ready in", time.Since(started).Round(time.Millisecond))
		shared = c
		return nil
	}))
}
