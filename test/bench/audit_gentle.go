package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

const (
	gentleRounds = 15
	// gentleStint is how long the other client creates Pods, alone and beside an
	// audit, in each round.
	gentleStint = 3 * time.Second
)

// auditGentle measures what another client sees of an audit that runs beside it, in
// a loop: one that creates Pods at full speed, each after the one before. The ratio
// is that of the median creation's time to that without an audit, the median of the
// rounds'; once for a gentle audit and once for one that is not.
//
// The other client's creations are dry runs, too, of the same Pods. They go through
// all of the API server and its webhooks, which is what the audit competes for;
// stored Pods would add etcd's part, which it does not compete for, and grow the
// cluster, and so the audit, by thousands of Pods a round.
func auditGentle(ctx context.Context, out io.Writer) error {
	return onCluster(ctx, auditWorkloads, func(c *cluster.Cluster, _ *istio.Injector) error {
		return auditGentleOn(ctx, out, c)
	})
}

func auditGentleOn(ctx context.Context, out io.Writer, c *cluster.Cluster) error {
	config, err := c.ServiceAccountConfig(ctx, install.Namespace, install.AuditorAccount)
	if err != nil {
		return err
	}
	asked, err := recordAudit(ctx, config, verdict.InSync)
	if err != nil {
		return err
	}
	other, err := newMinimalClient(c.RESTConfig(), nil)
	if err != nil {
		return err
	}
	creator := &creator{other, asked}
	if _, err := creator.p50(ctx); err != nil { // caches are warm from here on
		return err
	}
	for _, audit := range []struct {
		name, goal string
		gentle     bool
	}{{"audit-gentle", "<= 1.10", true}, {"audit-not-gentle", "-", false}} {
		var ratios, alones, besides, rates []float64
		for range gentleRounds {
			alone, err := creator.p50(ctx)
			if err != nil {
				return err
			}
			beside, rate, err := creator.besideAudit(ctx, config, audit.gentle)
			if err != nil {
				return err
			}
			ratios, alones = append(ratios, beside/alone), append(alones, alone)
			besides, rates = append(besides, beside), append(rates, rate)
		}
		fmt.Fprintf(out, "%s: another client's Pod takes %.1f ms at p50 alone, %.1f ms beside the audit, which makes %.0f dry runs a second (medians of %d rounds); a round's ratio: %.2f to %.2f\n",
			audit.name, median(alones), median(besides), median(rates), gentleRounds, slices.Min(ratios), slices.Max(ratios))
		figure(out, audit.name, fmt.Sprintf("%.2f", median(ratios)), "x", audit.goal)
	}
	return nil
}

// creator creates Pods, each after the one before.
type creator struct {
	client *minimalClient
	pods   *requests
}

// p50 returns the milliseconds that the median creation of a stint took.
func (c *creator) p50(ctx context.Context) (float64, error) {
	var took []float64
	for begin := time.Now(); time.Since(begin) < gentleStint; {
		body := c.pods.bodies[len(took)%len(c.pods.bodies)]
		one, err := seconds(func() error { return c.client.create(ctx, c.pods.path, body) })
		if err != nil {
			return 0, err
		}
		took = append(took, one*1000)
	}
	return median(took), nil
}

// besideAudit is p50 while audits run, from the first one's first dry run on. It
// also returns how many dry runs these make a second.
func (c *creator) besideAudit(ctx context.Context, config *rest.Config, gentle bool) (p50, rate float64, err error) {
	auditing, stop := context.WithCancel(ctx)
	defer stop()
	var sent atomic.Int64
	begun, ended := make(chan struct{}), make(chan error, 1)
	counted := rest.CopyConfig(config)
	counted.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			if request.Method == http.MethodPost && sent.Add(1) == 1 {
				close(begun)
			}
			return next.RoundTrip(request)
		})
	})
	go func() { ended <- auditLoop(auditing, counted, gentle) }()
	select {
	case <-begun:
	case err := <-ended:
		return 0, 0, errors.Join(err, errors.New("the audit ended before its first dry run"))
	}
	before := sent.Load()
	took, err := seconds(func() (err error) {
		p50, err = c.p50(ctx)
		return err
	})
	rate = float64(sent.Load()-before) / took
	stop()
	if err := errors.Join(err, <-ended); err != nil {
		return 0, 0, err
	}
	if rate == 0 {
		return 0, 0, errors.New("the audit made no dry run")
	}
	return p50, rate, nil
}

// auditLoop audits until the context is done.
func auditLoop(ctx context.Context, config *rest.Config, gentle bool) error {
	for ctx.Err() == nil {
		_, err := audit.Run(ctx, config, audit.Options{
			Selection: inventory.Selection{Namespace: benchNamespace}, Concurrency: auditConcurrency, Gentle: gentle, Log: logr.Discard(),
		})
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}
