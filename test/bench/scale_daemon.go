package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
)

const (
	// interval is the daemon's: short, so that some pass while it is watched.
	interval = 30 * time.Second
	// shapedWorkloads are those of the population of shapes.
	shapedWorkloads = 1_200
)

// daemon is a "serve" of the released command.
type daemon struct {
	*cluster.Process
	metrics string // the address
}

// serve starts the daemon and returns when it has published its first audit.
func (s site) serve(ctx context.Context, args ...string) (*daemon, error) {
	port, err := cluster.FreePort()
	if err != nil {
		return nil, err
	}
	d := &daemon{metrics: fmt.Sprintf("127.0.0.1:%d", port)}
	d.Process, err = s.Run("sidecar-drift-serve", s.command, append([]string{
		"serve", "--kubeconfig", s.kubeconfig, "--interval", interval.String(),
		"--metrics-bind-address", d.metrics, "--page-bind-address", "0", "--health-probe-bind-address", "0",
	}, args...), nil)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		seen, err := d.read(ctx)
		if err == nil && seen.audits > 0 {
			return d, nil
		}
		select {
		case <-d.Done():
			return nil, fmt.Errorf("the daemon has ended: see %s", d.LogFile())
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}

// metrics of a daemon at a moment.
type metrics struct {
	audits, dryRuns, features, detection, cpu float64
	inSync                                    float64 // Pods
}

func (d *daemon) read(ctx context.Context) (metrics, error) {
	series, err := install.MetricsAt(ctx, d.metrics)
	if err != nil {
		return metrics{}, err
	}
	var m metrics
	for name, value := range series {
		family, labels, _ := strings.Cut(name, "{")
		switch family {
		case "sidecar_drift_audit_duration_seconds_count":
			m.audits += value
		case "sidecar_drift_dry_runs_total":
			m.dryRuns += value
		case "sidecar_drift_features":
			m.features += value
		case "sidecar_drift_detection_seconds":
			m.detection += value
		case "process_cpu_seconds_total":
			m.cpu += value
		case "sidecar_drift_pods":
			if strings.Contains(labels, `state="InSync"`) {
				m.inSync += value
			}
		}
	}
	return m, nil
}

// daemonRSS measures what a daemon has in memory at most, from its start through
// some intervals in which nothing changes, and its share of a core in them.
func (s scale) daemonRSS(ctx context.Context, out io.Writer) error {
	p := sized(s.pods)
	return s.onDaemon(ctx, out, p, func(d *daemon, seen watch) error {
		memory, err := install.MemoryOf(d.PID())
		if err != nil {
			return err
		}
		result := seen.row("daemon", p)
		result.rss, result.private = float64(memory.Most)/1e6, float64(memory.Now-memory.File)/1e6
		fmt.Fprintf(out, "%d Pods of %d workloads: %.1f MB in memory at the end, %.1f MB of them not pages of files; its first audit took %.1f s\n",
			result.pods, result.workloads, float64(memory.Now)/1e6, result.private, seen.first)
		figure(out, "daemon-rss", fmt.Sprintf("%.1f", result.rss), "MB", "<= 120")
		figure(out, "daemon-cpu", fmt.Sprintf("%.2f", 100*result.cpu/result.seconds), "% of a core", "< 2")
		return s.add(result)
	})
}

// daemonDryRuns measures how many dry runs an idle daemon asks for in an interval,
// as a share of those of an audit of everything: one a workload.
func (s scale) daemonDryRuns(ctx context.Context, out io.Writer) error {
	p, err := shapes(min(s.pods, shapedWorkloads))
	if err != nil {
		return err
	}
	return s.onDaemon(ctx, out, p, func(_ *daemon, seen watch) error {
		each := (seen.end.dryRuns - seen.begin.dryRuns) / seen.took.Seconds() * interval.Seconds()
		fmt.Fprintf(out, "%d workloads of %d shapes: %.0f dry runs at the start, %.1f in an interval of %s; %.0f features, none not asked for for more than %.0f s\n",
			len(p.workloads), shapesInAll, seen.begin.dryRuns, each, interval, seen.end.features, seen.end.detection)
		figure(out, "daemon-dry-runs", fmt.Sprintf("%.1f", 100*each/float64(len(p.workloads))), "%", "<= 5")
		return s.add(seen.row("daemon-shapes", p))
	})
}

// watch is what was seen of a daemon in a time in which nothing changed.
type watch struct {
	begin, end metrics
	took       time.Duration
	first      float64 // seconds from its start to its first audit
}

// row holds the dry runs and the processor's time of the time watched.
func (w watch) row(name string, p population) row {
	return row{
		benchmark: name, pods: p.pods(), workloads: len(p.workloads), seconds: w.took.Seconds(),
		cpu: w.end.cpu - w.begin.cpu, dryRuns: int(w.end.dryRuns - w.begin.dryRuns),
	}
}

// onDaemon watches a daemon over a population, which must be in sync all the time.
func (s scale) onDaemon(ctx context.Context, out io.Writer, p population, measure func(*daemon, watch) error) error {
	return atScale(ctx, func(at site) error {
		took, err := seconds(func() error { return p.create(ctx, at.Cluster) })
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%d Pods of %d workloads are ready after %.0f s\n", p.pods(), len(p.workloads), took)
		var d *daemon
		var seen watch
		if seen.first, err = seconds(func() error { d, err = at.serve(ctx); return err }); err != nil {
			return err
		}
		if seen.begin, err = d.read(ctx); err != nil {
			return err
		}
		start := time.Now()
		select {
		case <-time.After(s.duration):
		case <-d.Done():
			return fmt.Errorf("the daemon has ended: see %s", d.LogFile())
		case <-ctx.Done():
			return ctx.Err()
		}
		seen.took = time.Since(start)
		if seen.end, err = d.read(ctx); err != nil {
			return err
		}
		for _, m := range []metrics{seen.begin, seen.end} {
			if int(m.inSync) != p.pods() {
				return fmt.Errorf("%.0f Pods are InSync, want all %d", m.inSync, p.pods())
			}
		}
		return measure(d, seen)
	})
}
