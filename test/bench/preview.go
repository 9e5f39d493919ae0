package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/candidate"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

// previewBench measures a preview of injected workloads, each a revision of its own, beside an
// audit of them, in turns: with every workload in sync and, after a change of Istio's
// template, with every one drifted. The candidate is another Istio with the same values, so
// that both find the same.
func previewBench(ctx context.Context, out io.Writer) error {
	return onCluster(ctx, auditWorkloads, func(c *cluster.Cluster, present *istio.Injector) error {
		config, err := c.ServiceAccountConfig(ctx, install.Namespace, install.AuditorAccount)
		if err != nil {
			return err
		}
		next, err := istio.Start(ctx, c, istio.Options{Set: istio.Values("1.27.0", "100m"), Unregistered: true})
		if err != nil {
			return err
		}
		if err := comparePreview(ctx, out, config, next, "preview", verdict.InSync); err != nil {
			return err
		}
		changed := istio.Values("1.28.0", "150m")
		for _, injector := range []*istio.Injector{present, next} {
			if err := injector.Update(ctx, changed...); err != nil {
				return err
			}
		}
		return comparePreview(ctx, out, config, next, "preview-drifted", verdict.Drifted)
	})
}

func comparePreview(ctx context.Context, out io.Writer, config *rest.Config, next *istio.Injector, name string, want verdict.State) error {
	var ratios, previews, audits []float64
	for round := range auditRounds + 1 {
		theirs, err := seconds(func() error { return auditOnce(ctx, config, want) })
		if err != nil {
			return err
		}
		ours, err := seconds(func() error { return previewOnce(ctx, config, next, want) })
		if err != nil {
			return err
		}
		if round > 0 { // the first warms caches
			ratios, previews, audits = append(ratios, ours/theirs), append(previews, ours), append(audits, theirs)
		}
	}
	fmt.Fprintf(out, "preview of %d %s workloads %.2f s, an audit of them %.2f s (medians of %d rounds, at most %d at a time); a round's ratio: %.2f to %.2f\n",
		auditWorkloads, want, median(previews), median(audits), auditRounds, auditConcurrency, slices.Min(ratios), slices.Max(ratios))
	figure(out, name, fmt.Sprintf("%.2f", median(ratios)), "x", "<= 2.2")
	return nil
}

// previewOnce previews all workloads and finds that each could be, and is in the state.
func previewOnce(ctx context.Context, config *rest.Config, next *istio.Injector, want verdict.State) error {
	at, err := url.Parse(next.URL())
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(next.CAFile())
	if err != nil {
		return err
	}
	candidates, err := candidate.Connect(ctx, config, candidate.Options{
		Candidates: []candidate.Place{{Webhook: "istio-sidecar-injector", Where: candidate.Where{URL: at}}}, CA: ca, Concurrency: auditConcurrency,
	})
	if err != nil {
		return err
	}
	defer candidates.Close()
	found, err := audit.Run(ctx, config, audit.Options{
		Selection: inventory.Selection{Namespace: benchNamespace}, Concurrency: auditConcurrency, Candidate: candidates, Log: logr.Discard(),
	})
	if err != nil {
		return err
	}
	if n := found.Summary.Workloads[want]; n != auditWorkloads || found.Preview.Previewed != auditWorkloads {
		return fmt.Errorf("%v, %d previewed, want %d %s", found.Summary.Workloads, found.Preview.Previewed, auditWorkloads, want)
	}
	return nil
}
