// Package chaos does to the stamper what a cluster may do to it, while Pods are
// created at the API server's full speed.
package chaos

import (
	"context"
	"flag"
	"slices"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/test/chaos/churn"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/clustertest"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
)

var (
	full        = flag.Bool("full", false, "every case, and not only those that take seconds")
	reliability = flag.String("reliability", "", "write the result to this file, as Markdown")
)

// event is something that happens to the installation.
type event struct {
	name string
	// graceful: no Pod may come through without a stamp.
	graceful bool
	// quick: a case for each change, and not only for -full.
	quick bool
	act   func(context.Context, *world) error
}

// world is a cluster with the product behind a proxy: two replicas of the stamper,
// and a third that an update starts.
type world struct {
	*cluster.Cluster
	product *install.Product
	proxy   *churn.Proxy
}

func newWorld(t *testing.T) *world {
	t.Helper()
	c := clustertest.New(t, cluster.Options{})
	w := &world{Cluster: c}
	var err error
	w.product, err = install.StartWith(t.Context(), c, install.Options{
		Replicas: 2,
		Front: func(replicas []*install.Replica) (port int, err error) {
			if w.proxy, err = churn.NewProxy(t.Context(), replicas); err != nil {
				return 0, err
			}
			t.Cleanup(w.proxy.Close)
			return w.proxy.Port(), nil
		},
		CertsArgs: []string{"--propagation-wait", "3s"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.product.Stop(); err != nil {
			t.Error(err)
		}
	})
	if _, err := c.Kubectl(t.Context(), "", "create", "namespace", churn.Namespace); err != nil {
		t.Fatal(err)
	}
	return w
}

// The stamper is never the reason that a Pod cannot be created, and what a cluster
// does to it in an orderly way costs no stamp.
func TestPodsAreCreated(t *testing.T) {
	w := newWorld(t)
	pace := churn.Light()
	if *full {
		pace = churn.FullSpeed()
	}
	var results []result
	for _, e := range slices.DeleteFunc(events(), func(e event) bool { return !*full && !e.quick }) {
		t.Run(e.name, func(t *testing.T) {
			total, err := pace.During(t.Context(), w.Client(), func(ctx context.Context) error { return e.act(ctx, w) }, churn.Stamped)
			t.Log(total)
			if err != nil {
				t.Error(err)
			}
			if total.Failed > 0 {
				t.Errorf("the first Pod that could not be created: %v", total.FirstFailure)
			}
			if e.graceful && total.Unstamped > 0 {
				t.Error("there are Pods without a stamp")
			}
			results = append(results, result{e, total})
		})
	}
	publish(t, results)
}
