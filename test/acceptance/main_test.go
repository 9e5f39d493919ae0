// Package acceptance tests the product as its users meet it: on a real cluster,
// with the real Istio injector, the manifests and the built programs.
package acceptance

import (
	"context"
	"os"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/clustertest"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

var (
	shared        *cluster.Cluster
	sharedIstio   func() (*istio.Injector, error)
	sharedProduct func() (*install.Product, error)
)

func TestMain(m *testing.M) {
	if target := os.Getenv(floodVariable); target != "" {
		os.Exit(flood(target))
	}
	if at := os.Getenv(answererVariable); at != "" {
		os.Exit(answerOne(at))
	}
	ctrllog.SetLogger(logr.Discard()) // or controller-runtime complains, with a stack
	os.Exit(clustertest.Main(m, cluster.Options{}, func(ctx context.Context, c *cluster.Cluster) error {
		shared = c
		sharedIstio = sync.OnceValues(func() (*istio.Injector, error) {
			return istio.Start(ctx, c, istio.Options{Set: istio.Values("1.27.0", "100m")})
		})
		sharedProduct = sync.OnceValues(func() (*install.Product, error) {
			return install.Start(ctx, c)
		})
		return nil
	}))
}

// testCluster returns the cluster that all tests share: each uses namespaces
// of its own and leaves nothing else behind.
func testCluster(*testing.T) *cluster.Cluster { return shared }

// testProduct returns the installed product with its stamper running. The
// first test that asks installs it.
func testProduct(t *testing.T) *install.Product {
	t.Helper()
	p, err := sharedProduct()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// testIstio returns the real injector with proxy 1.27.0 and a CPU request of
// 100m in force, and puts that back when the test has ended. Namespaces opt in
// with the label istio-injection=enabled.
func testIstio(t *testing.T) *istio.Injector {
	t.Helper()
	i, err := sharedIstio()
	if err != nil {
		t.Fatal(err)
	}
	reset := func() error { return i.Update(context.Background(), istio.Values("1.27.0", "100m")...) }
	if err := reset(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := reset(); err != nil {
			t.Error(err)
		}
	})
	return i
}
