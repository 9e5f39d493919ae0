// Command build builds the test cluster's programs (etcd, Kubernetes, kwok, and
// Istio's and Dapr's injectors) into a cache outside of the repository, with a line of
// progress for each, and prints the directories that hold them.
//
//	go run ./test/build
//	go run ./test/build -helm
//	go run ./test/build -release
//
// The second one builds what makes and tests the chart instead, and cert-manager, the
// third one what makes and tests a release: no demo needs these.
//
// Tests build what is missing by themselves; building first keeps those
// minutes out of go test's time limit.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/sidecar-drift/sidecar-drift/test/cluster/binaries"
)

func main() {
	helm := flag.Bool("helm", false, "build Helm 4, Helm 3, helm-docs and cert-manager, and not the cluster's programs")
	release := flag.Bool("release", false, "build GoReleaser and krew, and not the cluster's programs")
	flag.Parse()
	if err := run(*helm, *release); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
}

func run(helm, release bool) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	builds := []func(context.Context) (*binaries.Set, error){binaries.Kubernetes, binaries.Kwok, binaries.Istio, binaries.Dapr}
	switch {
	case helm:
		builds = []func(context.Context) (*binaries.Set, error){binaries.Helm, binaries.Helm3, binaries.CertManager}
	case release:
		builds = []func(context.Context) (*binaries.Set, error){binaries.GoReleaser, binaries.Krew}
	}
	for _, build := range builds {
		set, err := build(ctx)
		if err != nil {
			return err
		}
		if set.Cached {
			for _, program := range set.Programs() {
				fmt.Fprintf(os.Stderr, "building %s … cached\n", program)
			}
		}
		fmt.Println(set.BinDir())
	}
	return nil
}
