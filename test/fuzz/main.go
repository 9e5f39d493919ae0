// Command fuzz runs the module's fuzz targets, one after the other, and prints
// how many inputs each of them took. It fails if one of them failed.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// goal is for all targets together.
const goal = 10_000_000

// instrumented are the packages whose coverage guides the fuzzer: ours, and the
// JSON parser. Every input costs a pass over all counters, and `go test -fuzz`
// puts them into client-go, too: with these, a target takes ten times as many.
var instrumented = []string{"github.com/sidecar-drift/sidecar-drift/...", "github.com/go-json-experiment/json/..."}

var (
	declaration = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)
	progress    = regexp.MustCompile(`execs: (\d+)`)
)

// target is a fuzz target of a package.
type target struct{ pkg, dir, name string }

func (t target) String() string { return filepath.Base(t.dir) + "." + t.name }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("fuzz", flag.ContinueOnError)
	duration := flags.String("time", "10s", "how long each target runs: a duration, or a number of inputs as `1000x`")
	only := flags.String("run", "", "run only the targets (PACKAGE.NAME) that match the `expression`")
	parallel := flags.Int("parallel", runtime.GOMAXPROCS(0), "number of processes")
	if err := flags.Parse(args); err != nil {
		return err
	}
	wanted, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	targets, err := find(ctx, wanted)
	if err != nil {
		return err
	}
	cache, err := exec.CommandContext(ctx, "go", "env", "GOCACHE").Output()
	if err != nil {
		return fmt.Errorf("go env: %w", err)
	}
	found := filepath.Join(strings.TrimSpace(string(cache)), "fuzz")
	var failed []string
	total := 0
	for _, t := range targets {
		start := time.Now()
		// By default most of the time would go into making large inputs smaller.
		output, err := t.fuzz(ctx, found, "-test.fuzztime="+*duration, "-test.parallel="+strconv.Itoa(*parallel), "-test.fuzzminimizetime=100x")
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		executions := lastCount(output)
		fmt.Fprintf(out, "%-36s %9d execs in %s\n", t, executions, time.Since(start).Round(time.Second))
		if err != nil {
			fmt.Fprintf(out, "%s%s: %v\n", output, t, err)
			failed = append(failed, t.String())
		}
		total += executions
	}
	fmt.Fprintf(out, "figure fuzz-executions %d execs (goal >= %d)\n", total, goal)
	if len(failed) > 0 {
		return fmt.Errorf("failed: %s", strings.Join(failed, ", "))
	}
	return nil
}

func lastCount(output []byte) int {
	counts := progress.FindAllSubmatch(output, -1)
	if len(counts) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(string(counts[len(counts)-1][1])) // digits
	return n
}

// find returns the module's fuzz targets, package by package.
func find(ctx context.Context, wanted *regexp.Regexp) ([]target, error) {
	listed, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.ImportPath}} {{.Dir}}", "./...").Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var targets []target
	for line := range strings.Lines(string(listed)) {
		pkg, dir, _ := strings.Cut(strings.TrimSpace(line), " ")
		files, _ := filepath.Glob(filepath.Join(dir, "*_test.go")) // the pattern is valid
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			for _, match := range declaration.FindAllSubmatch(src, -1) {
				if t := (target{pkg, dir, string(match[1])}); wanted.MatchString(t.String()) {
					targets = append(targets, t)
				}
			}
		}
	}
	return targets, nil
}

// fuzz runs the target and returns its output. What is found goes where
// `go test -fuzz` puts it.
func (t target) fuzz(ctx context.Context, cache string, flags ...string) ([]byte, error) {
	args := []string{"test", "-vet=off", "-count=1", "-timeout=0", "-run=^$"}
	for _, pattern := range instrumented {
		args = append(args, "-gcflags="+pattern+"=-d=libfuzzer")
	}
	args = append(args, "-args", "-test.fuzz=^"+t.name+"$", "-test.fuzzcachedir="+filepath.Join(cache, t.pkg))
	test := exec.CommandContext(ctx, "go", append(args, flags...)...)
	test.Dir = t.dir // without a package named, the output is shown
	test.Cancel = func() error { return test.Process.Signal(os.Interrupt) }
	output, err := test.CombinedOutput()
	// The time may be up while an input runs, which is no failure, although
	// Go 1.26 takes it for one: https://go.dev/issue/75804.
	if bytes.Contains(output, []byte("context deadline exceeded")) && !bytes.Contains(output, []byte("Failing input written")) {
		err = nil
	}
	return output, err
}
