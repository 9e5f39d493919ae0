package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

// onCluster measures on a cluster with Istio's injector, the product installed,
// and so many injected workloads of one Pod, each a revision of its own.
func onCluster(ctx context.Context, workloads int, measure func(*cluster.Cluster, *istio.Injector) error) error {
	return onProduct(ctx, func(c *cluster.Cluster, injector *istio.Injector) error {
		if err := deploy(ctx, c, workloads, 1); err != nil {
			return err
		}
		return measure(c, injector)
	})
}

// onProduct measures on a cluster with Istio's injector and the product installed.
func onProduct(ctx context.Context, measure func(*cluster.Cluster, *istio.Injector) error) error {
	return onProductWith(ctx, func(c *cluster.Cluster, injector *istio.Injector, _ *install.Product) error {
		return measure(c, injector)
	})
}

// onProductWith also gives the product.
func onProductWith(ctx context.Context, measure func(*cluster.Cluster, *istio.Injector, *install.Product) error) (err error) {
	c, err := cluster.Start(ctx, cluster.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	injector, err := istio.Start(ctx, c, istio.Options{Set: istio.Values("1.27.0", "100m")})
	if err != nil {
		return err
	}
	product, err := install.Start(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, product.Stop()) }()
	return measure(c, injector, product)
}

// benchNamespace holds the workloads.
const benchNamespace = "bench"

// deploy creates so many workloads of so many Pods each, and waits for them.
func deploy(ctx context.Context, c *cluster.Cluster, workloads, pods int) error {
	var manifests strings.Builder
	fmt.Fprintf(&manifests, "apiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: {istio-injection: enabled}}\n", benchNamespace)
	for i := range workloads {
		fmt.Fprintf(&manifests, `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web-%[1]d, namespace: %[2]s}
spec:
  replicas: %[3]d
  selector: {matchLabels: {app: web-%[1]d}}
  template:
    metadata: {labels: {app: web-%[1]d}}
    spec: {containers: [{name: app, image: "app:1"}]}
`, i, benchNamespace, pods)
	}
	if err := c.Apply(ctx, manifests.String()); err != nil {
		return err
	}
	_, err := c.Kubectl(ctx, "", "-n", benchNamespace, "wait", "deployment", "--all", "--for=condition=Available", "--timeout=5m")
	return err
}
