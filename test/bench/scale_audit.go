package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

// auditSizes are the populations that are audited, as far as there are to be so many
// Pods; goals are for auditGoalPods and, of the growth beyond it, for the largest.
var auditSizes = []int{1_250, 5_000, 10_000, 20_000}

const (
	auditGoalPods = 5_000
	// scaleRounds is how often each is audited: of times the median counts, of
	// memory the most.
	scaleRounds = 3
)

// auditRSS measures what "audit -o json" has in memory at most, in a process of its
// own, and how long it takes, with every Pod in sync; at auditGoalPods also with
// every Pod drifted, and what the ways to list Pods cost the API server; and first,
// what Pods of the largest size take.
func (s scale) auditRSS(ctx context.Context, out io.Writer) error {
	return atScale(ctx, func(at site) error {
		if err := s.measureLarge(ctx, out, at); err != nil {
			return err
		}
		var begin, end row
		for _, pods := range s.upTo(auditSizes) {
			p := sized(pods)
			took, err := seconds(func() error { return p.create(ctx, at.Cluster) })
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "%d Pods of %d workloads are ready after another %.0f s\n", p.pods(), len(p.workloads), took)
			if end, err = s.measureAudits(ctx, out, at, "audit", p, verdict.InSync, scaleRounds); err != nil {
				return err
			}
			if pods != min(auditGoalPods, s.pods) {
				continue
			}
			begin = end
			figure(out, "audit-rss", fmt.Sprintf("%.1f", end.rss), "MB", "<= 80")
			if err := s.measureLists(ctx, out, at.Cluster, p); err != nil {
				return err
			}
			if err := s.measureDrifted(ctx, out, at, p); err != nil {
				return err
			}
		}
		if end.pods > begin.pods {
			figure(out, "audit-rss-growth", fmt.Sprintf("%.2f", (end.rss-begin.rss)*1e3/float64(end.pods-begin.pods)), "kB/Pod", "< 1")
		}
		return nil
	})
}

// upTo returns the sizes that are not beyond s.pods, and that.
func (s scale) upTo(sizes []int) []int {
	below := slices.DeleteFunc(slices.Clone(sizes), func(n int) bool { return n >= s.pods })
	return append(below, s.pods)
}

// measureDrifted changes Istio's template for the time of the audits.
func (s scale) measureDrifted(ctx context.Context, out io.Writer, at site, p population) error {
	if err := at.injector.Update(ctx, istio.Values("1.28.0", "150m")...); err != nil {
		return err
	}
	drifted, err := s.measureAudits(ctx, out, at, "audit-drifted", p, verdict.Drifted, scaleRounds)
	if err != nil {
		return err
	}
	figure(out, "audit-drifted-rss", fmt.Sprintf("%.1f", drifted.rss), "MB", "<= 80")
	return at.injector.Update(ctx, istio.Values("1.27.0", "100m")...)
}

// measureAudits audits so many times and returns the most memory and the median times.
func (s scale) measureAudits(ctx context.Context, out io.Writer, at site, name string, p population, want verdict.State, rounds int) (row, error) {
	result := row{benchmark: name, pods: p.pods(), workloads: len(p.workloads)}
	var times, cpu []float64
	for range rounds {
		text, took, err := at.run(ctx, "audit", "-o", "json", "--kubeconfig", at.kubeconfig)
		if err != nil {
			return row{}, err
		}
		var found report.Report
		if err := json.Unmarshal(text, &found); err != nil {
			return row{}, fmt.Errorf("read the report: %w", err)
		}
		if got := found.Summary.Pods[want]; got != result.pods {
			return row{}, fmt.Errorf("%d Pods are %s, want all %d: %v", got, want, result.pods, found.Summary.Pods)
		}
		times, cpu = append(times, took.seconds), append(cpu, took.cpu)
		result.rss, result.private = max(result.rss, took.rss), max(result.private, took.private)
	}
	result.seconds, result.cpu = median(times), median(cpu)
	fmt.Fprintf(out, "%s of %d Pods of %d workloads: %.1f s (%.1f s of them on a processor), %.1f MB in memory, %.1f MB of them not pages of files\n",
		name, result.pods, result.workloads, result.seconds, result.cpu, result.rss, result.private)
	return result, s.add(result)
}

// replaySizes are the populations that are audited without an API server: up to what
// Kubernetes supports.
var replaySizes = []int{1_250, 5_000, 20_000, 50_000, 150_000}

// auditReplay measures what auditRSS does of Pods in sync, for more of them than a
// machine can create: those of a small population as a real API server lists them,
// again and again. Times are the command's alone.
func (s scale) auditReplay(ctx context.Context, out io.Writer) error {
	return atScale(ctx, func(at site) error {
		p := sized(min(replaySizes[0], s.pods))
		if err := p.create(ctx, at.Cluster); err != nil {
			return err
		}
		r, err := record(ctx, at.Cluster, p)
		if err != nil {
			return err
		}
		at.kubeconfig = filepath.Join(at.Dir(), "replay.kubeconfig")
		server, err := r.serve(at.kubeconfig)
		if err != nil {
			return err
		}
		defer server.Close()
		var begin, end row
		for _, pods := range replaySizes {
			r.copies = pods / p.pods()
			many := population{workloads: slices.Repeat(p.workloads, r.copies)}
			if end, err = s.measureAudits(ctx, out, at, "audit-replay", many, verdict.InSync, 1); err != nil {
				return err
			}
			if begin.pods == 0 && end.pods >= auditGoalPods {
				begin = end
			}
		}
		figure(out, "audit-replay-rss", fmt.Sprintf("%.1f", begin.rss), "MB", "<= 80")
		figure(out, "audit-replay-growth", fmt.Sprintf("%.2f", (end.rss-begin.rss)*1e3/float64(end.pods-begin.pods)), "kB/Pod", "< 1")
		return nil
	})
}
