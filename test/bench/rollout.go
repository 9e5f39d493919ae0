package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/kubectl/pkg/polymorphichelpers"

	"github.com/sidecar-drift/sidecar-drift/auditor"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
	"github.com/sidecar-drift/sidecar-drift/test/install"
)

const (
	rolloutRounds    = 5
	rolloutWorkloads = 100
	rolloutParallel  = 10
	// rolloutPoll is how often the floor looks whether a workload is done, as
	// scripts do.
	rolloutPoll = 250 * time.Millisecond
)

// rolloutBench measures a rollout of drifted Deployments, from an audit's report to
// the verified end, beside a client that restarts the same Deployments with the same
// parallelism by a patch and polls until kubectl's rules call each done. Before
// each round Istio's template changes, so that all drift anew.
func rolloutBench(ctx context.Context, out io.Writer) error {
	return onCluster(ctx, rolloutWorkloads, func(c *cluster.Cluster, injector *istio.Injector) error {
		return rolloutOn(ctx, out, c, injector)
	})
}

func rolloutOn(ctx context.Context, out io.Writer, c *cluster.Cluster, injector *istio.Injector) error {
	config, err := c.ServiceAccountConfig(ctx, install.Namespace, install.RolloutAccount)
	if err != nil {
		return err
	}
	var requests atomic.Int64
	counted := rest.CopyConfig(config)
	counted.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			requests.Add(1)
			return next.RoundTrip(request)
		})
	})
	floor, err := kubernetes.NewForConfig(withoutLimit(config))
	if err != nil {
		return err
	}
	version := 0
	drift := func() error {
		version++
		return injector.Update(ctx, istio.Values(fmt.Sprintf("1.28.%d", version), "150m")...)
	}
	var ratios, ours, theirs []float64
	for round := range rolloutRounds {
		if err := drift(); err != nil {
			return err
		}
		b, err := seconds(func() error { return restartAll(ctx, floor) })
		if err != nil {
			return err
		}
		if err := drift(); err != nil {
			return err
		}
		found, err := auditDrifted(ctx, counted)
		if err != nil {
			return err
		}
		a, err := seconds(func() error { return rollOutAll(ctx, counted, found) })
		if err != nil {
			return err
		}
		if round == 0 {
			requests.Store(0)
			continue // caches are warm from here on
		}
		ratios, ours, theirs = append(ratios, a/b), append(ours, a), append(theirs, b)
	}
	each := float64(requests.Load()) / float64(len(ours)*rolloutWorkloads)
	fmt.Fprintf(out, "rollout of %d Deployments, %d at a time, each audited afterwards: %.1f s; patched and polled alone: %.1f s (medians of %d rounds)\n",
		rolloutWorkloads, rolloutParallel, median(ours), median(theirs), len(ours))
	figure(out, "rollout", fmt.Sprintf("%.2f", median(ratios)), "x", "<= 1.15")
	figure(out, "rollout-requests", fmt.Sprintf("%.1f", each), "requests", "<= 12")
	return nil
}

func withoutLimit(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.QPS = -1
	return config
}

func auditOf(ctx context.Context, config *rest.Config, selection inventory.Selection) (*report.Report, error) {
	return auditor.Audit(ctx, config, auditor.Options{Selection: selection, Concurrency: auditConcurrency, Log: logr.Discard()})
}

// auditDrifted fails unless all drifted: a rollout of nothing is fast.
func auditDrifted(ctx context.Context, config *rest.Config) (*report.Report, error) {
	found, err := auditOf(ctx, config, inventory.Selection{Namespace: benchNamespace})
	if err != nil {
		return nil, err
	}
	return found, checkStates(found, verdict.Drifted, rolloutWorkloads)
}

// rollOutAll is what "sidecar-drift rollout --confirm" does after its audit.
func rollOutAll(ctx context.Context, config *rest.Config, found *report.Report) (err error) {
	lock, err := rollout.Acquire(ctx, config, "", func(*rollout.HeldError) {})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release(ctx)) }()
	opts := rollout.Options{Pace: rollout.Pace{Parallel: rolloutParallel}}
	plan, err := rollout.MakePlan(ctx, config, found, opts)
	if err != nil {
		return err
	}
	done, err := rollout.Run(ctx, config, plan, opts, func(ctx context.Context, w inventory.WorkloadRef) (*report.Item, error) {
		return auditor.Workload(ctx, config, auditor.Options{Concurrency: auditConcurrency, Log: logr.Discard()}, w)
	})
	if err != nil {
		return err
	}
	for _, item := range done.Items {
		if item.Rollout.Result != report.RolledOut {
			return fmt.Errorf("%s is %s: %s", item.Name, item.Rollout.Result, item.Rollout.Reason)
		}
	}
	return nil
}

// restartAll is the least that a script does.
func restartAll(ctx context.Context, client kubernetes.Interface) error {
	deployments := client.AppsV1().Deployments(benchNamespace)
	list, err := deployments.List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(rolloutParallel)
	for _, d := range list.Items {
		group.Go(func() error {
			patch := fmt.Sprintf(`{"spec":{"template":{"metadata":{"annotations":{"floor.rollout.timestamp":%q}}}}}`, time.Now().Format(time.RFC3339Nano))
			if _, err := deployments.Patch(ctx, d.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
				return err
			}
			for {
				seen, err := deployments.Get(ctx, d.Name, metav1.GetOptions{})
				if err != nil {
					return err
				}
				if done, err := settled(seen); done || err != nil {
					return err
				}
				select {
				case <-time.After(rolloutPoll):
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		})
	}
	return group.Wait()
}

func settled(d *appsv1.Deployment) (bool, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(d)
	if err != nil {
		return false, err
	}
	object := &unstructured.Unstructured{Object: content}
	_, done, err := (&polymorphichelpers.DeploymentStatusViewer{}).Status(object, 0)
	return done, err
}
