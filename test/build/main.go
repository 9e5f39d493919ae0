// Command build builds the test cluster's programs (etcd, Kubernetes, kwok, and
// Istio's and Dapr's injectors) and Helm's into a cache outside of the repository, with a line of
// progress for each, and prints the directories that hold them.
//
//	go run ./test/build
//
// Tests build what is missing by themselves; building first keeps those
// minutes out of go test's time limit.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/sidecar-drift/sidecar-drift/test/cluster/binaries"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	for _, build := range []func(context.Context) (*binaries.Set, error){
		binaries.Kubernetes, binaries.Kwok, binaries.Istio, binaries.Dapr,
		binaries.Helm, binaries.Helm3,
	} {
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
