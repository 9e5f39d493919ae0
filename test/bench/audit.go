package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
	"github.com/sidecar-drift/sidecar-drift/test/install"
)

// Rounds alternate between the audit and the floor, so that what else the
// machine does weighs on both; the ratio is the median of the rounds'.
const (
	auditRounds      = 9
	auditWorkloads   = 200
	auditConcurrency = 8 // the command's default
)

// audit measures an audit of injected workloads, each a revision of its own,
// beside a client that does nothing but the dry runs that the audit made: the
// same bodies to the same API server through the same webhooks, as many at a
// time, the answers read and thrown away. It does so twice: with every workload
// in sync and, after a change of Istio's template, with every one drifted.
func audit(ctx context.Context, out io.Writer) error {
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
	return compareAudit(ctx, out, config, "audit-drifted", verdict.Drifted)
}

func compareAudit(ctx context.Context, out io.Writer, config *rest.Config, name string, want verdict.State) error {
	// The first audit is not measured: it tells which dry runs the floor is to
	// make, and warms the API server's and the injector's caches.
	dryRuns, err := recordDryRuns(ctx, config, want)
	if err != nil {
		return err
	}
	floor, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	var ratios, audits, floors []float64
	for range auditRounds {
		theirs, err := seconds(func() error { return dryRuns.replay(ctx, config.Host, floor) })
		if err != nil {
			return err
		}
		ours, err := seconds(func() error { return auditOnce(ctx, config, want) })
		if err != nil {
			return err
		}
		ratios, audits, floors = append(ratios, ours/theirs), append(audits, ours), append(floors, theirs)
	}
	fmt.Fprintf(out, "audit of %d %s workloads %.2f s, its %d dry runs alone %.2f s (medians of %d rounds, %d at a time)\n",
		auditWorkloads, want, median(audits), len(dryRuns.bodies), median(floors), auditRounds, auditConcurrency)
	figure(out, name, fmt.Sprintf("%.2f", median(ratios)), "x", "<= 1.15")
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
	found, err := auditor.Audit(ctx, config, auditor.Options{
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

// dryRuns are requests to create Pods in a dry run.
type dryRuns struct {
	mu     sync.Mutex
	path   string
	bodies [][]byte
}

// recordDryRuns makes an audit and keeps the dry runs that it asked for.
func recordDryRuns(ctx context.Context, config *rest.Config, want verdict.State) (*dryRuns, error) {
	d := &dryRuns{}
	recorded := rest.CopyConfig(config)
	recorded.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			if request.Method == http.MethodPost {
				if err := d.record(request); err != nil {
					return nil, err
				}
			}
			return next.RoundTrip(request)
		})
	})
	if err := auditOnce(ctx, recorded, want); err != nil {
		return nil, err
	}
	if len(d.bodies) < auditWorkloads {
		return nil, fmt.Errorf("the audit made %d dry runs for %d revisions", len(d.bodies), auditWorkloads)
	}
	return d, nil
}

func (d *dryRuns) record(request *http.Request) error {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return err
	}
	request.Body = io.NopCloser(bytes.NewReader(body))
	d.mu.Lock()
	defer d.mu.Unlock()
	d.path = request.URL.RequestURI()
	d.bodies = append(d.bodies, body)
	return nil
}

// replay makes the same requests, as many at a time as an audit.
func (d *dryRuns) replay(ctx context.Context, host string, client *http.Client) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(auditConcurrency)
	for _, body := range d.bodies {
		group.Go(func() error {
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, host+d.path, bytes.NewReader(body))
			if err != nil {
				return err
			}
			request.Header.Set("Content-Type", "application/json")
			request.Header.Set("Accept", "application/json")
			response, err := client.Do(request)
			if err != nil {
				return err
			}
			defer response.Body.Close()
			if _, err := io.Copy(io.Discard, response.Body); err != nil {
				return err
			}
			if response.StatusCode != http.StatusCreated {
				return fmt.Errorf("a dry run is answered with %s", response.Status)
			}
			return nil
		})
	}
	return group.Wait()
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }
