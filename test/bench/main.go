// Command bench runs one of the benchmarks by name and prints each figure on a
// line of its own: `figure NAME VALUE UNIT (goal GOAL)`.
package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// benchmarks print their figures, and whatever else explains them, to the
// writer.
var benchmarks = map[string]func(context.Context, io.Writer) error{
	"audit":   audit,
	"handler": handler,
	"rollout": rolloutBench,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(2)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	names := strings.Join(slices.Sorted(maps.Keys(benchmarks)), ", ")
	if len(args) != 1 {
		return fmt.Errorf("name one benchmark of: %s", names)
	}
	benchmark, ok := benchmarks[args[0]]
	if !ok {
		return fmt.Errorf("there is no benchmark %s, only: %s", args[0], names)
	}
	if err := benchmark(ctx, out); err != nil {
		return fmt.Errorf("benchmark %s: %w", args[0], err)
	}
	return nil
}

// figure prints a result; the unit of a ratio is x.
func figure(out io.Writer, name, value, unit, goal string) {
	fmt.Fprintf(out, "figure %s %s %s (goal %s)\n", name, value, unit, goal)
}
