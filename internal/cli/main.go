package cli

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"path/filepath"
	"strings"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

// Main runs the command that args, the program's name first, stand for, and
// returns the exit code. SIGINT and SIGTERM end it in an orderly way; a second
// one ends it at once.
func Main(args []string, streams genericiooptions.IOStreams) int {
	ctx, stop := signal.NotifyContext(context.Background(), stopSignals...)
	defer stop()
	context.AfterFunc(ctx, stop)

	streams = printing(streams)
	defer flush(streams)
	adoptLogs((&logging{}).logger(streams.ErrOut))
	root := NewCommand(programName(args[0]), streams)
	root.SetArgs(args[1:])
	profiles := addProfiling(root)
	called, err := root.ExecuteContextC(ctx)
	code := exitCode(err, called.CommandPath(), streams)
	if err := profiles.stop(); err != nil {
		code = exitCode(err, called.CommandPath(), streams)
	}
	return code
}

// programName is how the user calls the program: kubectl runs its plugin
// "sidecar-drift" as kubectl-sidecar_drift.
func programName(path string) string {
	name := strings.TrimSuffix(filepath.Base(path), ".exe")
	if name == "kubectl-sidecar_drift" || name == "kubectl-sidecar-drift" {
		return "kubectl sidecar-drift"
	}
	return "sidecar-drift"
}

// exitCode says on the error stream what went wrong, without secrets, and returns
// the code that the contract has for it.
func exitCode(err error, command string, streams genericiooptions.IOStreams) int {
	if err == nil {
		return 0
	}
	outcome := asOutcome(err)
	switch {
	case errors.Is(outcome.err, context.Canceled):
		fmt.Fprintln(streams.ErrOut, "error: interrupted")
	case outcome.err != nil:
		fmt.Fprintf(streams.ErrOut, "error: %s\n", printableLines(mask.Constant().Prose(outcome.err.Error())))
	}
	if outcome.usage {
		fmt.Fprintf(streams.ErrOut, "See '%s --help'.\n", command)
	}
	return outcome.code
}

// printableLines escapes what a message, which may quote the API server or a
// file, could do to a terminal.
func printableLines(message string) string {
	lines := strings.Split(strings.TrimSpace(message), "\n")
	for i := range lines {
		lines[i] = report.Printable(lines[i])
	}
	return strings.Join(lines, "\n")
}
