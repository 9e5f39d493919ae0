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
	"math"
	"os"
	"os/signal"
	"slices"
	"strings"
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
	builds := binaries.ForCluster
	switch {
	case helm:
		builds = binaries.ForChart
	case release:
		builds = binaries.ForRelease
	}
	missing, err := binaries.Missing(ctx, builds)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		fmt.Fprintf(os.Stderr, "To be built from Go modules, once: %s\n", list(missing))
	}
	for _, build := range builds {
		set, err := build.Ensure(ctx)
		if err != nil {
			return err
		}
		fmt.Println(set.BinDir())
		if set.Cached {
			for _, program := range set.Programs() {
				fmt.Fprintf(os.Stderr, "building %s … cached\n", program)
			}
			continue
		}
		missing = slices.DeleteFunc(missing, func(b binaries.Build) bool { return b.Name() == build.Name() })
		if len(missing) > 0 {
			fmt.Fprintf(os.Stderr, "Left: %s\n", list(missing))
		}
	}
	return nil
}

// list says what is missing, and how long it takes.
func list(missing []binaries.Build) string {
	var names []string
	for _, b := range missing {
		names = append(names, b.Name())
	}
	return fmt.Sprintf("%s; on two cores some %.0f min", strings.Join(names, ", "), math.Ceil(binaries.Take(missing).Minutes()))
}
