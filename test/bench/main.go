// Command bench runs one of the benchmarks by name and prints each figure on a
// line of its own: `figure NAME VALUE UNIT (goal GOAL)`.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// benchmarks returns the benchmarks by their names. They print their figures,
// and whatever else explains them, to the writer; those last as long as s says
// that only time can tell something of.
func benchmarks(s scale) map[string]func(context.Context, io.Writer) error {
	return map[string]func(context.Context, io.Writer) error{
		"admission-p50":   admissionBench,
		"audit":           auditInSyncAndDrifted,
		"audit-gentle":    auditGentle,
		"audit-replay":    s.auditReplay,
		"audit-rss":       s.auditRSS,
		"daemon-churn":    s.daemonChurn,
		"daemon-dry-runs": s.daemonDryRuns,
		"daemon-rss":      s.daemonRSS,
		"detection":       detectionBench,
		"handler":         handler,
		"preview":         previewBench,
		"rollout":         rolloutBench,
		"script":          script(s.script),
		"webhook-rss": func(ctx context.Context, out io.Writer) error {
			return webhookRSS(ctx, out, s.duration)
		},
	}
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
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	var s scale
	flags.DurationVar(&s.duration, "duration", 5*time.Minute, "how long webhook-rss sends reviews, and daemon-* watch a daemon")
	flags.IntVar(&s.pods, "pods", 20_000, "the most Pods of audit-rss and daemon-*; five times as many come and go of daemon-churn")
	flags.StringVar(&s.script, "script", "", "the original script's file, of script")
	flags.StringVar(&s.csv, "csv", "", "the file to which these add what they measure; empty: none")
	if err := flags.Parse(args); err != nil {
		return err
	}
	all := benchmarks(s)
	names := strings.Join(slices.Sorted(maps.Keys(all)), ", ")
	if flags.NArg() != 1 {
		return fmt.Errorf("name one benchmark of: %s", names)
	}
	name := flags.Arg(0)
	benchmark, ok := all[name]
	if !ok {
		return fmt.Errorf("there is no benchmark %s, only: %s", name, names)
	}
	if err := benchmark(ctx, out); err != nil {
		return fmt.Errorf("benchmark %s: %w", name, err)
	}
	return nil
}

// figure prints a result; the unit of a ratio is x.
func figure(out io.Writer, name, value, unit, goal string) {
	fmt.Fprintf(out, "figure %s %s %s (goal %s)\n", name, value, unit, goal)
}
