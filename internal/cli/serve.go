package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/sidecar-drift/sidecar-drift/auditor"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/service"
)

// serveOptions are those of "serve".
type serveOptions struct {
	genericiooptions.IOStreams
	connection connection
	selection  selection
	logging    logging
	watch      []string
	service    service.Options

	run func(context.Context, *rest.Config, service.Options) error
}

func newServeCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	o := &serveOptions{
		IOStreams:  streams,
		connection: newConnection(),
		selection:  selection{namespace: new(string)},
		logging:    logging{level: "info", format: logText},
		service: service.Options{
			Interval: service.DefaultInterval, Namespace: service.DefaultNamespace, Name: service.DefaultName,
			LeaseDuration:      service.DefaultLeaseDuration,
			MetricsBindAddress: service.DefaultMetricsBindAddress, HealthProbeBindAddress: service.DefaultHealthProbeBindAddress,
		},
		run: service.Run,
	}
	cmd := &cobra.Command{
		Use:   "serve [flags]",
		Short: "Run the auditor in the cluster: audit again and again, and export metrics",
		Long: `Audit at an interval, and when something changes that may change verdicts: webhook
configurations, admission policies, namespaces' labels, workloads, and the objects that
--watch names. What is found is exported as metrics. Of several replicas one audits.

Nothing is changed in the cluster but a Lease and a ConfigMap of its own, which keeps since
when workloads have drifted.`,
		Example: examples(name, `
# As the manifests run it, with Istio's injection template watched
NAME serve --watch ConfigMap/istio-system/istio-sidecar-injector

# Against a cluster of one's own, from outside
NAME serve --kubeconfig ~/.kube/config --interval 1m`),
		Args: noArguments("serve takes flags only"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.Complete(cmd, args); err != nil {
				return err
			}
			if err := o.Validate(); err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	group(cmd, "Audits", func(flags *pflag.FlagSet) {
		flags.DurationVar(&o.service.Interval, "interval", o.service.Interval, "Time between two audits of everything.")
		flags.StringArrayVar(&o.watch, "watch", nil, "Audit when this object changes, too: `KIND[.VERSION.GROUP]/[NAMESPACE/]NAME`, such as an injector's ConfigMap. The auditor needs to get, list and watch it. Repeatable.")
		flags.StringSliceVar(&o.selection.includeNamespaces, "include-namespace", nil, "Audit only this `namespace`. Repeatable, or comma-separated.")
		flags.StringSliceVar(&o.selection.excludeNamespaces, "exclude-namespace", nil, "Leave this `namespace` out. Repeatable, or comma-separated.")
		flags.StringVarP(&o.selection.labelSelector, "selector", "l", "", "Only Pods with these labels: key=value, key!=value, 'key in (a,b)', …")
		o.selection.addComparisonFlags(flags)
		addCount(flags, &o.selection.concurrency, "concurrency", defaultConcurrency, "Number of dry runs under way at once.")
	})
	group(cmd, "Process", func(flags *pflag.FlagSet) {
		flags.StringVarP(&o.service.Namespace, "namespace", "n", o.service.Namespace, "Namespace of the Lease and the ConfigMap.")
		flags.StringVar(&o.service.Name, "name", o.service.Name, "The `name` of the Lease and of the ConfigMap.")
		flags.DurationVar(&o.service.LeaseDuration, "lease-duration", o.service.LeaseDuration, "After which another replica takes over from one that is gone. An API server that is away for less ends nothing.")
		flags.StringVar(&o.service.MetricsBindAddress, "metrics-bind-address", o.service.MetricsBindAddress, "The `address` of /metrics; 0 turns it off.")
		flags.StringVar(&o.service.HealthProbeBindAddress, "health-probe-bind-address", o.service.HealthProbeBindAddress, "The `address` of /healthz and /readyz; 0 turns them off.")
		o.logging.addFlags(flags)
	})
	o.connection.addFlags(cmd)
	return cmd
}

// Complete reads the flags.
func (o *serveOptions) Complete(cmd *cobra.Command, args []string) error {
	if err := o.selection.complete(cmd, args); err != nil {
		return err
	}
	o.selection.namespaceGiven = false // here it is the service's own
	for _, text := range o.watch {
		object, err := parseObject(text)
		if err != nil {
			return misuse("--watch %q: %w", text, err)
		}
		o.service.Watch = append(o.service.Watch, object)
	}
	return nil
}

// Validate checks what was given, without a look at any cluster.
func (o *serveOptions) Validate() error {
	if err := o.connection.validate(); err != nil {
		return err
	}
	if err := o.selection.validate(); err != nil {
		return err
	}
	if err := o.service.Validate(); err != nil {
		return misuse("%w", err)
	}
	return nil
}

// Run audits until ctx is done.
func (o *serveOptions) Run(ctx context.Context) error {
	config, err := o.connection.connect(ctx)
	if err != nil {
		return err
	}
	o.service.Audit = auditor.Options{
		Selection: inventory.Selection{
			IncludeNamespaces: o.selection.includeNamespaces, ExcludeNamespaces: o.selection.excludeNamespaces,
			LabelSelector: o.selection.labelSelector, SidecarNames: o.selection.sidecarNames,
		},
		Concurrency: o.selection.concurrency, SidecarNames: o.selection.sidecarNames,
		IgnorePaths: o.selection.ignorePaths, IncludeAutoscaled: o.selection.includeAutoscaled,
	}
	o.service.Logger = o.logging.logger(o.ErrOut)
	// The registry that controller-runtime's server serves.
	o.service.Registry = ctrlmetrics.Registry
	return o.run(ctx, config, o.service)
}

// parseObject reads KIND[.VERSION.GROUP]/[NAMESPACE/]NAME; a kind alone is v1's.
func parseObject(text string) (service.Object, error) {
	kind, rest, ok := strings.Cut(text, "/")
	parts := strings.Split(rest, "/")
	if !ok || kind == "" || len(parts) > 2 || parts[0] == "" || parts[len(parts)-1] == "" {
		return service.Object{}, fmt.Errorf("give KIND/NAMESPACE/NAME, as in ConfigMap/istio-system/istio-sidecar-injector")
	}
	object := service.Object{GroupVersionKind: schema.GroupVersionKind{Version: "v1", Kind: kind}, Name: parts[len(parts)-1]}
	if len(parts) == 2 {
		object.Namespace = parts[0]
	}
	if kind, versionGroup, ok := strings.Cut(kind, "."); ok {
		version, apiGroup, _ := strings.Cut(versionGroup, ".")
		if version == "" || apiGroup == "" {
			return service.Object{}, fmt.Errorf("give the kind as KIND.VERSION.GROUP, as in Telemetry.v1.telemetry.istio.io")
		}
		object.GroupVersionKind = schema.GroupVersionKind{Group: apiGroup, Version: version, Kind: kind}
	}
	return object, nil
}
