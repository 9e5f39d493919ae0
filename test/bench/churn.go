package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
)

const (
	// churnPods is how many Pods a wave has, which comes and goes as a whole, and
	// churnStay how many as many stay. Of so many a wave's owners are read by name.
	churnPods, churnStay = 1_250, 8
	// churnShare is how many Pods come and go for each that -pods allows.
	churnShare = 5
)

// daemonChurn measures what a daemon has in memory while Pods come and go: new workloads
// each time, in new namespaces, each with a label that no other has. They are those of a
// small population as a real API server listed them. Everything else is the API
// server's, and each wave is judged before it goes.
func (s scale) daemonChurn(ctx context.Context, out io.Writer) error {
	return atScale(ctx, func(at site) error {
		p := sized(churnPods)
		if err := p.create(ctx, at.Cluster); err != nil {
			return err
		}
		recorded, err := record(ctx, at.Cluster, p)
		if err != nil {
			return err
		}
		r, err := newRevolving(recorded, at.RESTConfig(), churnStay)
		if err != nil {
			return err
		}
		kubeconfig := filepath.Join(at.Dir(), "churn.kubeconfig")
		server, err := r.serve(at.kubeconfig, kubeconfig)
		if err != nil {
			return err
		}
		defer server.Close()
		defer server.CloseClientConnections() // its watches do not end by themselves
		at.kubeconfig = kubeconfig
		d, err := at.serve(ctx, "--gentle=false")
		if err != nil {
			return err
		}
		waves := max(4, churnShare*s.pods/churnPods)
		begin := time.Now()
		private, err := d.churn(ctx, out, r, waves)
		if err != nil {
			return err
		}
		memory, err := install.MemoryOf(d.PID())
		if err != nil {
			return err
		}
		end, err := d.read(ctx)
		if err != nil {
			return err
		}
		earlier, later := median(private[waves/4:waves/2]), median(private[waves*3/4:])
		fmt.Fprintf(out, "%d Pods of %d workloads came and went beside %d in %.0f s: private memory was %.1f MB in the second quarter of them and %.1f MB in the last; %.0f features\n",
			waves*churnPods, waves*len(p.workloads), churnStay*churnPods, time.Since(begin).Seconds(), earlier, later, end.features)
		most := float64(memory.Most) / 1e6
		figure(out, "daemon-churn-rss", fmt.Sprintf("%.1f", most), "MB", "<= 120")
		figure(out, "daemon-churn-growth", fmt.Sprintf("%.1f", 100*(later/earlier-1)), "%", "<= 5")
		return s.add(row{
			benchmark: "daemon-churn", pods: waves * churnPods, workloads: waves * len(p.workloads), seconds: time.Since(begin).Seconds(),
			cpu: end.cpu, rss: most, private: later, dryRuns: int(end.dryRuns),
		})
	})
}

// churn has waves come and go, and returns what the daemon had in memory after each, without
// pages of files, in MB.
func (d *daemon) churn(ctx context.Context, out io.Writer, r *revolving, waves int) ([]float64, error) {
	var private []float64
	for wave := range waves {
		n := r.comes()
		err := cluster.Poll(ctx, fmt.Sprintf("wave %d to be judged", wave), func(ctx context.Context) error {
			judged, err := d.inSyncOf(ctx, n)
			if err == nil && judged != churnPods {
				err = fmt.Errorf("%d of its Pods are InSync, want all %d", judged, churnPods)
			}
			return err
		}, d.Process)
		if err != nil {
			return nil, err
		}
		memory, err := install.MemoryOf(d.PID())
		if err != nil {
			return nil, err
		}
		private = append(private, float64(memory.Now-memory.File)/1e6)
		if (wave+1)%10 == 0 {
			fmt.Fprintf(out, "after %d Pods: %.1f MB private\n", (wave+1)*churnPods, private[wave])
		}
		r.goes(n)
	}
	return private, nil
}

// inSyncOf numbers the Pods of a copy that the daemon has seen in sync.
func (d *daemon) inSyncOf(ctx context.Context, n int) (int, error) {
	series, err := install.MetricsAt(ctx, d.metrics)
	pods := 0
	for name, value := range series {
		if strings.HasPrefix(name, "sidecar_drift_pods{") && strings.Contains(name, fmt.Sprintf("-%d\"", n)) && strings.Contains(name, `state="InSync"`) {
			pods += int(value)
		}
	}
	return pods, err
}
