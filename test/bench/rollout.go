package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/kubectl/pkg/polymorphichelpers"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
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
// parallelism by a patch and polls until kubectl's rules call each done. A second such
// client then asks for one fresh injection of each, too, which is the least that tells
// whether the restart was of use. Before each round Istio's template changes, so that all
// drift anew.
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
	floor, err := kubernetes.NewForConfig(withoutLimit(config))
	if err != nil {
		return err
	}
	version := 0
	drift := func() error {
		version++
		return injector.Update(ctx, istio.Values(fmt.Sprintf("1.28.%d", version), "150m")...)
	}
	variants := []*rolloutVariant{
		{name: "rollout", how: "of which an audit asked some about all that differs, and believed the others"},
		{name: "rollout-asked", how: "each of which an audit asked about all that differs", thorough: true},
	}
	for _, v := range variants {
		v.sent, v.config = newTally(), rest.CopyConfig(config)
		v.config.Wrap(v.sent.count)
	}
	var theirs, verifying []float64
	for round := range rolloutRounds {
		if err := drift(); err != nil {
			return err
		}
		b, err := seconds(func() error { return restartAll(ctx, floor, false) })
		if err != nil {
			return err
		}
		if err := drift(); err != nil {
			return err
		}
		verified, err := seconds(func() error { return restartAll(ctx, floor, true) })
		if err != nil {
			return err
		}
		for _, v := range variants {
			if err := drift(); err != nil {
				return err
			}
			found, err := auditDrifted(ctx, config, v.thorough)
			if err != nil {
				return err
			}
			a, err := seconds(func() error { return rollOutAll(ctx, v.config, found) })
			if err != nil {
				return err
			}
			if round == 0 {
				v.sent.reset()
				continue // caches are warm from here on
			}
			v.ratios, v.took = append(v.ratios, a/b), append(v.took, a)
		}
		if round > 0 {
			theirs, verifying = append(theirs, b), append(verifying, verified)
		}
	}
	fmt.Fprintf(out, "%d Deployments, %d at a time, patched and polled alone: %.1f s (median of %d rounds)\n", rolloutWorkloads, rolloutParallel, median(theirs), len(theirs))
	fmt.Fprintf(out, "the same, and a dry run of each afterwards: %.1f s, %.2f times as long\n", median(verifying), median(verifying)/median(theirs))
	for _, v := range variants {
		fmt.Fprintf(out, "rolled out from the plan on, and each audited afterwards, %s: %.1f s\n", v.how, median(v.took))
		each := v.sent.each(out, len(v.took)*rolloutWorkloads)
		figure(out, v.name, fmt.Sprintf("%.2f", median(v.ratios)), "x", "<= 1.15")
		figure(out, v.name+"-requests", fmt.Sprintf("%.1f", each), "requests", "<= 10")
	}
	return nil
}

// rolloutVariant is a rollout after one kind of audit.
type rolloutVariant struct {
	name, how    string
	thorough     bool
	config       *rest.Config
	sent         *tally
	ratios, took []float64
}

func withoutLimit(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.QPS = -1
	return config
}

// auditDrifted fails unless all drifted: a rollout of nothing is fast.
func auditDrifted(ctx context.Context, config *rest.Config, thorough bool) (*report.Report, error) {
	found, err := audit.Run(ctx, config, audit.Options{
		Selection: inventory.Selection{Namespace: benchNamespace}, Concurrency: auditConcurrency, Thorough: thorough, Log: logr.Discard(),
	})
	if err != nil {
		return nil, err
	}
	return found, checkStates(found, verdict.Drifted, rolloutWorkloads)
}

// rollOutAll is what "sidecar-drift rollout --confirm" does after its audit.
func rollOutAll(ctx context.Context, config *rest.Config, found *report.Report) (err error) {
	lock, err := rollout.Acquire(ctx, config, rollout.Claim{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release(ctx)) }()
	opts := rollout.Options{Pace: rollout.Pace{Parallel: rolloutParallel}}
	plan, err := rollout.MakePlan(ctx, config, found, opts)
	if err != nil {
		return err
	}
	verifying := audit.Options{Concurrency: auditConcurrency, Log: logr.Discard(), Surroundings: &audit.Surroundings{}}
	done, err := rollout.Run(ctx, config, plan, opts, func(ctx context.Context, w inventory.WorkloadRef, seen []byte) (*report.Item, error) {
		return audit.Workload(ctx, config, verifying, w, seen)
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

// restartAll is the least that a script does and, where it verifies, the least that tells
// more than a script.
func restartAll(ctx context.Context, client kubernetes.Interface, verify bool) error {
	deployments := client.AppsV1().Deployments(benchNamespace)
	list, err := deployments.List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(rolloutParallel)
	for _, d := range list.Items {
		group.Go(func() error {
			// As kubectl rollout restart has it, which the policy allows.
			patch := fmt.Sprintf(`{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":%q}}}}}`, time.Now().Format(time.RFC3339))
			if _, err := deployments.Patch(ctx, d.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
				return err
			}
			for {
				seen, err := deployments.Get(ctx, d.Name, metav1.GetOptions{})
				if err != nil {
					return err
				}
				done, err := settled(seen)
				if done && verify {
					return injectOnce(ctx, client, d.Spec.Template)
				}
				if done || err != nil {
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

// injectOnce asks for a fresh injection of a Pod of the template.
func injectOnce(ctx context.Context, client kubernetes.Interface, template corev1.PodTemplateSpec) error {
	pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	pod.GenerateName = "floor-"
	_, err := client.CoreV1().Pods(benchNamespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return err
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
