// Command sidecar-drift-webhook is the stamper: it writes on every new Pod a
// fingerprint of what admission injected into it. It reads its certificate from
// files and talks to no cluster.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/sidecar-drift/sidecar-drift/internal/memorylimit"
	"github.com/sidecar-drift/sidecar-drift/internal/printable"
)

// exitFailure is the code of bad usage and of every error.
const exitFailure = 2

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", printable.Lines(err.Error()))
		os.Exit(exitFailure)
	}
}

func run() error {
	if err := memorylimit.Set(os.Getenv); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	defer stop()
	return newCommand(printable.NewWriter(os.Stdout), printable.NewWriter(os.Stderr)).ExecuteContext(ctx)
}
