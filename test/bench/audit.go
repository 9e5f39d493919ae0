package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/pace"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

// Rounds alternate between what is compared, so that what else the machine does
// weighs on both; the ratio is the median of the rounds'.
const (
	auditRounds      = 9
	auditWorkloads   = 200
	auditConcurrency = 16 // the command's default
)

// auditInSyncAndDrifted measures an audit of injected workloads, each a revision of its own,
// beside a minimal client that reads the same lists and makes the same dry runs: the
// same bodies to the same API server through the same webhooks, as many at a time as
// the same limiter lets through, the answers read and thrown away. It does so twice:
// with every workload in sync and, after a change of Istio's template, with every
// one drifted. Then the limiter itself is compared, on that minimal client, with
// limits that are told.
func auditInSyncAndDrifted(ctx context.Context, out io.Writer) error {
	return onCluster(ctx, auditWorkloads, func(c *cluster.Cluster, injector *istio.Injector) error {
		return auditOn(ctx, out, c, injector)
	})
}

func auditOn(ctx context.Context, out io.Writer, c *cluster.Cluster, injector *istio.Injector) error {
	config, err := c.ServiceAccountConfig(ctx, install.Namespace, install.AuditorAccount)
	if err != nil {
		return err
	}
	if err := compareAudit(ctx, out, config, "audit", verdict.InSync); err != nil {
		return err
	}
	if err := injector.Update(ctx, istio.Values("1.28.0", "150m")...); err != nil {
		return err
	}
	if err := compareAudit(ctx, out, config, "audit-drifted", verdict.Drifted); err != nil {
		return err
	}
	return compareLimits(ctx, out, config)
}

func compareAudit(ctx context.Context, out io.Writer, config *rest.Config, name string, want verdict.State) error {
	// The first audit is not measured: it tells what the floor is to ask, and warms
	// the API server's and the injector's caches.
	asked, err := recordAudit(ctx, config, want)
	if err != nil {
		return err
	}
	var ratios, audits, floors []float64
	for range auditRounds {
		floor, err := newMinimalClient(config, pace.New(auditConcurrency))
		if err != nil {
			return err
		}
		theirs, err := seconds(func() error {
			if err := asked.readLists(ctx, floor); err != nil {
				return err
			}
			return asked.dryRun(ctx, floor, auditConcurrency)
		})
		if err != nil {
			return err
		}
		ours, err := seconds(func() error { return auditOnce(ctx, config, want) })
		if err != nil {
			return err
		}
		ratios, audits, floors = append(ratios, ours/theirs), append(audits, ours), append(floors, theirs)
	}
	fmt.Fprintf(out, "audit of %d %s workloads %.2f s, its %d lists and %d dry runs alone %.2f s (medians of %d rounds, at most %d at a time); a round's ratio: %.2f to %.2f\n",
		auditWorkloads, want, median(audits), len(asked.lists), len(asked.bodies), median(floors), auditRounds, auditConcurrency,
		slices.Min(ratios), slices.Max(ratios))
	figure(out, name, fmt.Sprintf("%.2f", median(ratios)), "x", "<= 1.15")
	return nil
}

// compareLimits makes the dry runs of an audit under each limit, in a new order each
// round. The ratio is the one to the fixed limit that does best.
func compareLimits(ctx context.Context, out io.Writer, config *rest.Config) error {
	asked, err := recordAudit(ctx, config, verdict.Drifted)
	if err != nil {
		return err
	}
	const adaptive = 0
	limits := []int{adaptive, 1, 2, 4, 8, auditConcurrency}
	order := rand.New(rand.NewPCG(1, 1))
	took, ratios := map[int][]float64{}, map[int][]float64{}
	for range auditRounds {
		round := map[int]float64{}
		for _, i := range order.Perm(len(limits)) {
			limit, limiter := limits[i], (*pace.Limiter)(nil)
			if limit == adaptive {
				limit, limiter = auditConcurrency, pace.New(auditConcurrency)
			}
			client, err := newMinimalClient(config, limiter)
			if err != nil {
				return err
			}
			if round[limits[i]], err = seconds(func() error { return asked.dryRun(ctx, client, limit) }); err != nil {
				return err
			}
		}
		for _, limit := range limits {
			took[limit] = append(took[limit], round[limit])
			ratios[limit] = append(ratios[limit], round[adaptive]/round[limit])
		}
	}
	worst := 0.0
	for _, limit := range limits[1:] {
		ratio := median(ratios[limit])
		fmt.Fprintf(out, "%d dry runs, %d at a time: %.2f s; adaptively: %.2f s, %.2f times as long (medians of %d rounds)\n",
			len(asked.bodies), limit, median(took[limit]), median(took[adaptive]), ratio, auditRounds)
		worst = max(worst, ratio)
	}
	figure(out, "audit-adaptive", fmt.Sprintf("%.2f", worst), "x", "<= 1.10")
	return nil
}

func seconds(work func() error) (float64, error) {
	start := time.Now()
	err := work()
	return time.Since(start).Seconds(), err
}

// auditOnce audits the workloads and fails unless all of them are in one state:
// a fast audit that misses something is no audit.
func auditOnce(ctx context.Context, config *rest.Config, want verdict.State) error {
	found, err := audit.Run(ctx, config, audit.Options{
		Selection:   inventory.Selection{Namespace: benchNamespace},
		Concurrency: auditConcurrency,
		Log:         logr.Discard(),
	})
	if err != nil {
		return err
	}
	return checkStates(found, want, auditWorkloads)
}

func checkStates(found *report.Report, want verdict.State, workloads int) error {
	if got := found.Summary.Workloads[want]; got != workloads {
		return fmt.Errorf("%d workloads are %s, want all %d: %v", got, want, workloads, found.Summary.Workloads)
	}
	return nil
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }
