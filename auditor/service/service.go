// Package service is the auditor as a daemon: it audits again and again, when
// something changes that matters and at an interval, and exports what it finds.
// Nothing is changed in the cluster but a Lease and a ConfigMap of its own, unless
// the configuration asks for automatic rollouts or for policy reports.
package service

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	causeinputs "github.com/sidecar-drift/sidecar-drift/auditor/cause/inputs"
	"github.com/sidecar-drift/sidecar-drift/auditor/config"
	"github.com/sidecar-drift/sidecar-drift/auditor/fence"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/metrics"
	"github.com/sidecar-drift/sidecar-drift/auditor/notify"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/restless"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/auditor/watch"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

// Options of Run.
type Options struct {
	// Config is in force until Reload returns another one.
	Config config.Configuration
	// Reload returns the configuration if it has changed since it was last
	// called, else nil; an error if it is invalid now. Nil: it never changes.
	Reload func() (*config.Configuration, error)
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
	// PageBindAddress is where the page for people is served; "0" means nowhere.
	PageBindAddress string
	// PageHosts are names and addresses by which the page may be called beside
	// localhost; requests for another Host are refused.
	PageHosts []string
	// PprofBindAddress is where profiles of the process are served, over plain HTTP
	// to whoever asks; "0" means nowhere.
	PprofBindAddress string
	// RequireAuthorization has page and metrics served over TLS, and only to
	// those who may get that path (a nonResourceURL), by a TokenReview of their
	// bearer token and a SubjectAccessReview.
	RequireAuthorization bool
	// CertDir holds tls.crt and tls.key for that, which are read again when they
	// change; without them the certificate is the process' own.
	CertDir string
	// Registry gets the metrics; it should be the one that is served.
	Registry prometheus.Registerer
	Logger   logr.Logger
}

// Defaults of Options.
const (
	DefaultNamespace              = "sidecar-drift"
	DefaultName                   = "sidecar-drift-auditor"
	DefaultLeaseDuration          = 2 * time.Minute
	DefaultMetricsBindAddress     = ":8080"
	DefaultHealthProbeBindAddress = ":8081"
	// DefaultPageBindAddress can be reached by kubectl port-forward alone.
	DefaultPageBindAddress = "127.0.0.1:8082"
	// DefaultPprofBindAddress is nowhere.
	DefaultPprofBindAddress = "0"
)

// shortestLease leaves time for a few renewals, whatever clocks say.
const shortestLease = 10 * time.Second

// Validate returns what is wrong with the options.
func (o Options) Validate() error {
	switch {
	case o.LeaseDuration < shortestLease:
		return fmt.Errorf("the Lease ends after %s: at least %s leave time to renew it", o.LeaseDuration, shortestLease)
	case o.CertDir != "" && !o.RequireAuthorization:
		return errors.New("a certificate is used only where authorization is required")
	case o.RequireAuthorization && !local(o.PprofBindAddress):
		return fmt.Errorf("pprof on %s asks nobody for authorization: where that is required, bind it to 127.0.0.1", o.PprofBindAddress)
	case o.Namespace == "" || o.Name == "":
		return errors.New("the Lease and the ConfigMap need a namespace and a name")
	}
	_, err := newHosts(o.PageHosts)
	return err
}

// local reports whether an address is reached from this machine alone, or not at
// all.
func local(address string) bool {
	if address == "" || address == "0" {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	return err == nil && (host == "localhost" || net.ParseIP(host).IsLoopback())
}

// Run audits until ctx is done, and returns nil then. Of several replicas one
// audits, the holder of the Lease. It returns an error if the options are invalid,
// if an address is taken, or if the Lease is lost; the process should end with it
// and be started again. An audit that fails is counted and tried again.
func Run(ctx context.Context, cluster *rest.Config, options Options) error {
	if err := options.Validate(); err != nil {
		return err
	}
	mgr, err := newManager(cluster, options)
	if err != nil {
		return fmt.Errorf("set up the auditor: %w", err)
	}
	err = mgr.Start(logr.NewContext(ctx, options.Logger))
	if err != nil && strings.Contains(err.Error(), "leader election lost") { // controller-runtime has no value for it
		return fmt.Errorf("run the auditor: %w: Lease %s/%s could not be renewed in time, as the API server did not answer, or another replica holds it; start the process again",
			err, options.Namespace, options.Name)
	}
	if err != nil {
		return fmt.Errorf("run the auditor: %w", err)
	}
	return nil
}

func newManager(cluster *rest.Config, options Options) (manager.Manager, error) {
	renewal, retry := options.LeaseDuration*4/5, options.LeaseDuration/20
	mgr, err := manager.New(cluster, manager.Options{
		Logger:                        options.Logger,
		LeaseDuration:                 &options.LeaseDuration,
		RenewDeadline:                 &renewal,
		RetryPeriod:                   &retry,
		LeaderElection:                true,
		LeaderElectionNamespace:       options.Namespace,
		LeaderElectionID:              options.Name,
		LeaderElectionReleaseOnCancel: true,
		Metrics:                       serving(options.MetricsBindAddress, options),
		HealthProbeBindAddress:        options.HealthProbeBindAddress,
		PprofBindAddress:              options.PprofBindAddress,
	})
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfigAndClient(cluster, mgr.GetHTTPClient())
	if err != nil {
		return nil, err
	}
	gate := fence.NewGate(client, options.Config.AutoRollout.Enabled, options.Logger)
	if err := mgr.AddHealthzCheck("healthz", healthz.Ping); err != nil {
		return nil, err
	}
	if err := mgr.AddReadyzCheck("fence", gate.Ready); err != nil {
		return nil, err
	}
	return mgr, addLoop(mgr, cluster, client, gate, options)
}

func addLoop(mgr manager.Manager, cluster *rest.Config, client kubernetes.Interface, gate *fence.Gate, options Options) error {
	objects, err := metadata.NewForConfigAndClient(cluster, mgr.GetHTTPClient())
	if err != nil {
		return err
	}
	l := newLoop()
	l.metrics, l.log = metrics.New(options.Registry), options.Logger
	told := notify.New(notify.Options{
		Namespace: options.Namespace, Name: options.Name, Count: l.metrics.Notified, Log: options.Logger,
	})
	l.tell = told.Tell
	named := newIdentity(client.CoreV1().Namespaces(), cluster.Host, options.Logger)
	l.identify = func(ctx context.Context, c config.Configuration) *report.ClusterIdentity {
		of := named.of(ctx, c)
		told.In(of.Name)
		return &of
	}
	l.first = &progress{log: options.Logger, metric: l.metrics.Progress}
	host, err := os.Hostname() // as controller-runtime calls the holder of the Lease
	if err != nil {
		return err
	}
	l.page = &page{
		masker:   func() *mask.Masker { return mask.New([]byte(rand.Text())) },
		progress: l.first, leader: leaderOf(client.CoordinationV1(), options, host),
	}
	l.memory = newMemory(client.CoreV1().ConfigMaps(options.Namespace), options.Name)
	l.history = newHistory(client.CoreV1().ConfigMaps(options.Namespace), options.Name)
	reader, err := causeinputs.New(cluster)
	if err != nil {
		return err
	}
	l.causes = newCauses(reader, l.history, func() { l.changes.ask(watch.Changes, "whose changes are is known") }, options.Logger)
	l.page.journal = l.history.entries
	l.announce = (&announcer{client, &eventWriter{client, options.Logger}, options.Namespace, options.Name, options.Logger}).began
	l.kept = &lastReport{objects: client.CoreV1().ConfigMaps(options.Namespace), name: options.Name + lastReportSuffix, masker: l.page.masker}
	audits := audits{fenced: gate.ProveController, asked: l.metrics.DryRun, judged: l.first.judged, soFar: l.soFar, restless: &restless.Ledger{}, log: options.Logger}
	rounds := &configuredAuditor{cluster: cluster, audits: audits, changes: l.changes}
	l.round = rounds.round
	around, polite := &audit.Surroundings{}, &rollout.Courtesy{}
	healer := &healer{memory: l.memory, log: options.Logger, ended: l.metrics.RolledOut, steps: steps{
		lock: func(ctx context.Context, namespace string) (lock, error) {
			return rollout.Acquire(ctx, cluster, rollout.Claim{Namespace: namespace, Automatic: polite, Watching: func(held *rollout.HeldError) {
				options.Logger.V(1).Info("Watching whether another rollout's Lease is renewed", "holder", held.Holder, "lease", held.Lease)
			}})
		},
		plan: func(ctx context.Context, found *report.Report, opts rollout.Options) (*rollout.Plan, error) {
			return rollout.MakePlan(ctx, cluster, found, opts)
		},
		run: func(ctx context.Context, plan *rollout.Plan, opts rollout.Options, audit rollout.AuditFunc) (*report.Report, error) {
			l.tell(notify.Started(plan.Report(), time.Now()))
			done, err := rollout.Run(ctx, cluster, plan, opts, audit)
			for _, message := range notify.Ended(plan.Report(), done, err, time.Now()) {
				l.tell(message)
			}
			return done, err
		},
		audit: func(ctx context.Context, c config.Configuration, workloads ...inventory.WorkloadRef) (*report.Report, error) {
			return audit.Run(ctx, cluster, audits.options(c, workloads))
		},
		verify: func(ctx context.Context, c config.Configuration, w inventory.WorkloadRef, seen []byte) (*report.Item, error) {
			of := audits.options(c, nil)
			of.Surroundings = around
			return audit.Workload(ctx, cluster, of, w, seen)
		},
		traces: func(ctx context.Context, workloads []inventory.WorkloadRef) (map[inventory.WorkloadRef]rollout.Trace, error) {
			return rollout.Traces(ctx, cluster, workloads)
		},
		rows: rows,
	}}
	healer.waves = &waves{
		memory: l.memory, log: options.Logger,
		labels: func(ctx context.Context, templates []inventory.WorkloadRef) (rollout.Labels, error) {
			return rollout.ReadLabels(ctx, cluster, templates)
		},
		settled: func(ctx context.Context, workloads map[inventory.WorkloadRef][]string) (map[inventory.WorkloadRef]bool, error) {
			return rollout.Settled(ctx, cluster, workloads)
		},
	}
	l.heal = func(ctx context.Context, c config.Configuration, found *report.Report) {
		if c.AutoRollout.Enabled { // which may be since a moment ago
			if err := gate.ProveRollouts(ctx); err != nil {
				options.Logger.Error(err, "Nothing is rolled out")
				return
			}
		}
		healer.heal(ctx, c, found)
	}
	current := newReloader(options, l.metrics, &eventWriter{client, options.Logger})
	l.config = current.config
	watchObjects := func(ctx context.Context, objectsToWatch []config.Object) {
		l.changes.watch(ctx, objects, mgr.GetRESTMapper(), watchedObjects(objectsToWatch), options.Logger)
	}
	if err := l.reports.Connect(cluster, mgr, options.Logger); err != nil {
		return err
	}
	for _, each := range []manager.Runnable{gate, current, l.reports} {
		if err := mgr.Add(each); err != nil {
			return err
		}
	}
	if err := addPage(mgr, l.page, options); err != nil {
		return err
	}
	// A Runnable waits for leadership unless it says otherwise.
	return mgr.Add(manager.RunnableFunc(func(ctx context.Context) error {
		if gate.Wait(ctx) != nil {
			return nil //nolint:nilerr // the end of the process is no error
		}
		l.changes.watch(ctx, objects, mgr.GetRESTMapper(), watchedKinds(), options.Logger)
		sinks := func(c config.Configuration) {
			for _, s := range c.Notify {
				l.metrics.Sinks(s.Name)
			}
			told.Configure(c.Sinks())
		}
		current.follow(func(before, after config.Configuration) {
			sinks(after)
			watchObjects(ctx, newObjects(before.Watch, after.Watch))
			l.changes.ask(watch.Cover, "configuration") // of another Auditor, whose first round is of everything
		})
		watchObjects(ctx, l.config().Watch)
		sinks(l.config())
		var explaining sync.WaitGroup
		explaining.Go(func() { l.causes.run(ctx) })
		l.run(ctx)
		explaining.Wait()
		told.Close()
		rounds.stop()
		return nil
	}))
}

// serving is how an address is served.
func serving(address string, options Options) metricsserver.Options {
	o := metricsserver.Options{BindAddress: address}
	if options.RequireAuthorization {
		o.SecureServing, o.CertDir = true, options.CertDir
		o.FilterProvider = filters.WithAuthenticationAndAuthorization
	}
	return o
}

// addPage serves the page by controller-runtime's server for metrics, which
// knows certificates and authorization, and has every replica serve it: one that
// does not audit says so.
func addPage(mgr manager.Manager, p *page, options Options) error {
	known, err := newHosts(options.PageHosts)
	if err != nil {
		return err
	}
	o := serving(options.PageBindAddress, options)
	o.ExtraHandlers = map[string]http.Handler{"/": known.only(p)}
	server, err := metricsserver.NewServer(o, mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil || server == nil {
		return err
	}
	return mgr.Add(server)
}

// audits is what all audits of the daemon share.
type audits struct {
	fenced   func(ctx context.Context, user string) error
	asked    func(outcome string)
	judged   func(done, total int)
	soFar    func(*report.Report) // what the first round has found
	restless *restless.Ledger
	log      logr.Logger
}

// options are those of an audit of everything, or of some workloads.
func (a audits) options(c config.Configuration, workloads []inventory.WorkloadRef) audit.Options {
	selection := c.Selection.Inventory()
	selection.Workloads, selection.SkipGone = workloads, true
	return audit.Options{
		Selection: selection, Concurrency: c.Concurrency, Gentle: c.Gentle, DryRunAs: c.DryRunAs, Fenced: a.fenced,
		DeclaredSidecars: c.Selection.SidecarContainerNames, IgnorePaths: c.PathPatterns(),
		CompareAnnotations: c.CompareAnnotations, IncludeAutoscaled: c.IncludeAutoscaled,
		Autoscalers: config.AutoscalerRules(c.Autoscalers), Restless: a.restless, Asked: a.asked, Versions: true, Log: a.log,
	}
}
