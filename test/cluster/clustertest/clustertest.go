// Package clustertest gives tests a cluster.
package clustertest

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// Main is the body of a TestMain whose tests share a cluster. It starts one,
// gives it to use, runs the tests, stops everything and returns the exit code:
//
//	func TestMain(m *testing.M) {
//		os.Exit(clustertest.Main(m, cluster.Options{}, func(ctx context.Context, c *cluster.Cluster) error {
//			shared = c
//			return nil
//		}))
//	}
//
// use may also install what all tests need. When a test fails, the logs are
// kept and their directory is printed.
func Main(m *testing.M, opts cluster.Options, use func(context.Context, *cluster.Cluster) error) int {
	ctx := context.Background()
	c, err := start(ctx, opts)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := 1
	if err := use(ctx, c); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	if code != 0 {
		c.KeepLogs()
		fmt.Fprintln(os.Stderr, "cluster logs:", c.LogDir())
	}
	if err := c.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stop the cluster:", err)
		return 1
	}
	return code
}

// start has a cluster take little of a machine that tests share.
func start(ctx context.Context, opts cluster.Options) (*cluster.Cluster, error) {
	opts.OneProcessor = true
	return cluster.Start(ctx, opts)
}

// New starts a cluster for one test, or one benchmark, and stops it at its end.
// When the test fails, the logs are kept and their directory is logged.
func New(tb testing.TB, opts cluster.Options) *cluster.Cluster {
	tb.Helper()
	c, err := start(tb.Context(), opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			c.KeepLogs()
			tb.Log("cluster logs:", c.LogDir())
		}
		if err := c.Stop(); err != nil {
			tb.Error("stop the cluster:", err)
		}
	})
	return c
}
