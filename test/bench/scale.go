package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

// scale is how the benchmarks at scale are run.
type scale struct {
	// pods bounds their populations.
	pods int
	// duration is how long a daemon is watched.
	duration time.Duration
	// csv is the file that their rows are added to; empty: none.
	csv string
	// script is the file of the script that ours is compared with.
	script string
}

// row is a measurement at scale. What was not measured is zero, and has an empty
// field in the file.
type row struct {
	benchmark       string
	pods, workloads int
	seconds, cpu    float64
	rss, private    float64 // MB of 10^6 bytes, at most; private: without pages of files
	dryRuns         int
}

// columns name the fields of rows, in their order.
var columns = []string{"benchmark", "pods", "workloads", "seconds", "cpu_seconds", "rss_mb", "private_mb", "dry_runs"}

func (r row) fields() []string {
	number := func(value float64, digits int) string {
		if value == 0 {
			return ""
		}
		return strconv.FormatFloat(value, 'f', digits, 64)
	}
	return []string{
		r.benchmark, strconv.Itoa(r.pods), strconv.Itoa(r.workloads),
		number(r.seconds, 2), number(r.cpu, 2), number(r.rss, 1), number(r.private, 1), number(float64(r.dryRuns), 0),
	}
}

// add adds a row to the file, which it begins with a header.
func (s scale) add(r row) error {
	if s.csv == "" {
		return nil
	}
	file, err := os.OpenFile(s.csv, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(err, file.Close())
	}
	out := csv.NewWriter(file)
	if info.Size() == 0 {
		err = out.Write(columns)
	}
	err = errors.Join(err, out.Write(r.fields()))
	out.Flush()
	return errors.Join(err, out.Error(), file.Close())
}

// site is a cluster with Istio's injector, the product installed, and the command
// as it is released.
type site struct {
	*cluster.Cluster
	injector *istio.Injector
	// command is the program, kubeconfig that of the auditor's account.
	command, kubeconfig string
}

// atScale measures on such a cluster.
func atScale(ctx context.Context, measure func(site) error) (err error) {
	return onProduct(ctx, func(c *cluster.Cluster, injector *istio.Injector) error {
		at := site{Cluster: c, injector: injector, command: filepath.Join(c.Dir(), "released")}
		if at.kubeconfig, err = c.ServiceAccountKubeconfig(ctx, install.Namespace, install.AuditorAccount); err != nil {
			return err
		}
		// As `make build` does: a program with its debugging information has more
		// pages in memory.
		root, err := install.Root()
		if err != nil {
			return err
		}
		build := exec.CommandContext(ctx, "go", "build", "-ldflags", "-s -w", "-o", at.command, "./cmd/sidecar-drift")
		build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
		if output, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build the command: %w\n%s", err, output)
		}
		return measure(at)
	})
}

// watched is what a process has taken.
type watched struct {
	mu sync.Mutex
	// rss is the most that it had in memory, private without pages of files, in
	// bytes; the latter as seen at the samples.
	rss, private int64
	ended        bool
}

// sample looks at the process; one that has ended keeps what was seen of it.
func (w *watched) sample(pid int) {
	memory, err := install.MemoryOf(pid)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil || memory.Most == 0 {
		w.ended = true
		return
	}
	w.rss, w.private = max(w.rss, memory.Most), max(w.private, memory.Now-memory.File)
}

// sampleEvery is how often a process is looked at. What the kernel keeps the most
// of, nothing is missed of between two looks.
const sampleEvery = 20 * time.Millisecond

// run runs the command and returns what it wrote. Its peak is known when it has
// written all but the last page, which it waits for until that is read.
func (s site) run(ctx context.Context, args ...string) (output []byte, took row, err error) {
	cmd := exec.CommandContext(ctx, s.command, args...)
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return nil, row{}, err
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, row{}, err
	}
	var seen watched
	var sampler sync.WaitGroup
	sampled, end := context.WithCancel(ctx)
	sampler.Go(func() {
		tick := time.NewTicker(sampleEvery)
		defer tick.Stop()
		for sampled.Err() == nil {
			seen.sample(cmd.Process.Pid)
			select {
			case <-tick.C:
			case <-sampled.Done():
			}
		}
	})
	output, err = io.ReadAll(reader(func(p []byte) (int, error) {
		defer seen.sample(cmd.Process.Pid)
		return pipe.Read(p)
	}))
	end()
	sampler.Wait()
	err = errors.Join(err, cmd.Wait())
	took = row{
		seconds: time.Since(start).Seconds(), rss: float64(seen.rss) / 1e6, private: float64(seen.private) / 1e6,
		cpu: (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(),
	}
	return output, took, err
}

type reader func([]byte) (int, error)

func (r reader) Read(p []byte) (int, error) { return r(p) }
