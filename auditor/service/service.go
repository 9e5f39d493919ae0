// Package service is the auditor as a daemon: it audits again and again, when
// something changes that matters and at an interval, and exports what it finds.
// Nothing is changed in the cluster but a Lease and a ConfigMap of its own.
package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/sidecar-drift/sidecar-drift/auditor"
	"github.com/sidecar-drift/sidecar-drift/auditor/metrics"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// Options of Run.
type Options struct {
	// Audit is what is audited, and how; its hooks are the service's own.
	Audit auditor.Options
	// Interval is the time from the end of an audit to the next one.
	Interval time.Duration
	// Watch are objects whose changes ask for an audit, beside admission's own
	// configuration, namespaces' labels and workloads.
	Watch []Object
	// Namespace is the service's own: of the Lease and of the ConfigMap, both
	// called Name.
	Namespace, Name string
	// LeaseDuration is after which another replica takes over from one that is
	// gone, and a little more than how long the API server may be away before
	// the process ends.
	LeaseDuration time.Duration
	// MetricsBindAddress and HealthProbeBindAddress are where /metrics, and
	// /healthz and /readyz, are served; "0" means nowhere.
	MetricsBindAddress, HealthProbeBindAddress string
	// Registry gets the metrics; it should be the one that is served.
	Registry prometheus.Registerer
	Logger   logr.Logger
}

// Defaults of Options.
const (
	DefaultInterval               = 10 * time.Minute
	DefaultNamespace              = "sidecar-drift"
	DefaultName                   = "sidecar-drift-auditor"
	DefaultLeaseDuration          = 2 * time.Minute
	DefaultMetricsBindAddress     = ":8080"
	DefaultHealthProbeBindAddress = ":8081"
)

// shortestInterval keeps a slip from making an auditor a load test.
const shortestInterval = 5 * time.Second

// shortestLease leaves time for a few renewals, whatever clocks say.
const shortestLease = 10 * time.Second

// Validate returns what is wrong with the options.
func (o Options) Validate() error {
	switch {
	case o.Interval < shortestInterval:
		return fmt.Errorf("the interval is %s: at least %s is left between two audits", o.Interval, shortestInterval)
	case o.LeaseDuration < shortestLease:
		return fmt.Errorf("the Lease ends after %s: at least %s leave time to renew it", o.LeaseDuration, shortestLease)
	case o.Namespace == "" || o.Name == "":
		return errors.New("the Lease and the ConfigMap need a namespace and a name")
	}
	return nil
}

// Run audits until ctx is done, and returns nil then. Of several replicas one
// audits, the holder of the Lease. It returns an error if the options are invalid,
// if an address is taken, or if the Lease is lost; the process should end with it
// and be started again. An audit that fails is counted and tried again.
func Run(ctx context.Context, config *rest.Config, options Options) error {
	if err := options.Validate(); err != nil {
		return err
	}
	mgr, err := newManager(config, options)
	if err != nil {
		return fmt.Errorf("set up the auditor: %w", err)
	}
	if err := mgr.Start(logr.NewContext(ctx, options.Logger)); err != nil {
		return fmt.Errorf("run the auditor: %w", err)
	}
	return nil
}

func newManager(config *rest.Config, options Options) (manager.Manager, error) {
	renewal, retry := options.LeaseDuration*4/5, options.LeaseDuration/20
	mgr, err := manager.New(config, manager.Options{
		Logger:                        options.Logger,
		LeaseDuration:                 &options.LeaseDuration,
		RenewDeadline:                 &renewal,
		RetryPeriod:                   &retry,
		LeaderElection:                true,
		LeaderElectionNamespace:       options.Namespace,
		LeaderElectionID:              options.Name,
		LeaderElectionReleaseOnCancel: true,
		Metrics:                       metricsserver.Options{BindAddress: options.MetricsBindAddress},
		HealthProbeBindAddress:        options.HealthProbeBindAddress,
	})
	if err != nil {
		return nil, err
	}
	for name, add := range map[string]func(string, healthz.Checker) error{"healthz": mgr.AddHealthzCheck, "readyz": mgr.AddReadyzCheck} {
		if err := add(name, healthz.Ping); err != nil {
			return nil, err
		}
	}
	client, err := kubernetes.NewForConfigAndClient(config, mgr.GetHTTPClient())
	if err != nil {
		return nil, err
	}
	objects, err := metadata.NewForConfigAndClient(config, mgr.GetHTTPClient())
	if err != nil {
		return nil, err
	}
	published := metrics.New(options.Registry)
	options.Audit.Asked, options.Audit.Log = published.DryRun, options.Logger
	l := &loop{
		options: options.Audit, every: options.Interval, metrics: published, log: options.Logger,
		audit: func(ctx context.Context, opts auditor.Options) (*report.Report, error) {
			return auditor.Audit(ctx, config, opts)
		},
		ages:    newAges(client.CoreV1().ConfigMaps(options.Namespace), options.Name),
		changes: newChanges(),
	}
	// A Runnable waits for leadership unless it says otherwise.
	return mgr, mgr.Add(manager.RunnableFunc(func(ctx context.Context) error {
		l.changes.watch(ctx, objects, mgr.GetRESTMapper(), watchedKinds(options.Watch), options.Logger)
		l.run(ctx)
		return nil
	}))
}
