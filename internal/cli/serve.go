package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/sidecar-drift/sidecar-drift/auditor/config"
	"github.com/sidecar-drift/sidecar-drift/auditor/service"
)

// serveOptions are those of "serve".
type serveOptions struct {
	genericiooptions.IOStreams
	connection connection
	selection  selection
	logging    logging
	file       string
	interval   time.Duration
	watch      []string
	roll       bool
	service    service.Options
	// given are the flags that override what the file says.
	given map[string]bool
	text  []byte // the file as it was last read

	run func(context.Context, *rest.Config, service.Options) error
}

func newServeCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	o := &serveOptions{
		IOStreams:  streams,
		connection: newConnection(),
		selection:  selection{namespace: new(string)},
		logging:    logging{level: "info", format: logText},
		interval:   config.Default().Interval.Duration,
		given:      map[string]bool{},
		service: service.Options{
			Namespace: service.DefaultNamespace, Name: service.DefaultName, LeaseDuration: service.DefaultLeaseDuration,
			MetricsBindAddress: service.DefaultMetricsBindAddress, HealthProbeBindAddress: service.DefaultHealthProbeBindAddress,
			PageBindAddress: service.DefaultPageBindAddress, Mask: newMask(),
		},
		run: service.Run,
	}
	cmd := &cobra.Command{
		Use:   "serve [flags]",
		Short: "Run the auditor in the cluster: audit again and again, export metrics, and heal if asked to",
		Long: `Audit at an interval, and when something changes that may change verdicts: webhook
configurations, admission policies, namespaces' labels, workloads, and the objects that
--watch names. What is found is exported as metrics and shown on a page. Of several
replicas one audits.

The file of --config is read again when it changes; flags override what it says. Nothing is
changed in the cluster but a Lease and a ConfigMap of its own, unless the file has a policy
for automatic rollouts and it is enabled.`,
		Example: examples(name, `
# As the manifests run it, with Istio's injection template watched
NAME serve --watch ConfigMap/istio-system/istio-sidecar-injector

# With everything in a file
NAME serve --config sidecar-drift.yaml

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
		flags.StringVar(&o.file, "config", "", "Configuration `file`, see docs/configuration.md; it is read again when it changes.")
		flags.DurationVar(&o.interval, "interval", o.interval, "Time between two audits of everything.")
		flags.StringArrayVar(&o.watch, "watch", nil, "Audit when this object changes, too: `KIND[.VERSION.GROUP]/[NAMESPACE/]NAME`, such as an injector's ConfigMap. The auditor needs to get, list and watch it. Repeatable.")
		flags.StringSliceVar(&o.selection.includeNamespaces, "include-namespace", nil, "Audit only this `namespace`. Repeatable, or comma-separated.")
		flags.StringSliceVar(&o.selection.excludeNamespaces, "exclude-namespace", nil, "Leave this `namespace` out. Repeatable, or comma-separated.")
		flags.StringVarP(&o.selection.labelSelector, "selector", "l", "", "Only Pods with these labels: key=value, key!=value, 'key in (a,b)', …")
		o.selection.addComparisonFlags(flags)
		addCount(flags, &o.selection.concurrency, "concurrency", defaultConcurrency, "Number of dry runs under way at once.")
		addSwitch(flags, &o.roll, "auto-rollout", "Roll out what drifted, by the policy of the file: autoRollout.")
	})
	group(cmd, "Process", func(flags *pflag.FlagSet) {
		flags.StringVarP(&o.service.Namespace, "namespace", "n", o.service.Namespace, "Namespace of the Lease and the ConfigMap.")
		flags.StringVar(&o.service.Name, "name", o.service.Name, "The `name` of the Lease and of the ConfigMap.")
		flags.DurationVar(&o.service.LeaseDuration, "lease-duration", o.service.LeaseDuration, "After which another replica takes over from one that is gone. An API server that is away for less ends nothing.")
		flags.StringVar(&o.service.MetricsBindAddress, "metrics-bind-address", o.service.MetricsBindAddress, "The `address` of /metrics; 0 turns it off.")
		flags.StringVar(&o.service.PageBindAddress, "page-bind-address", o.service.PageBindAddress, "The `address` of the page for people, which asks nobody who they are; 0 turns it off.")
		flags.StringVar(&o.service.HealthProbeBindAddress, "health-probe-bind-address", o.service.HealthProbeBindAddress, "The `address` of /healthz and /readyz; 0 turns them off.")
		o.logging.addFlags(flags)
	})
	o.connection.addFlags(cmd)
	return cmd
}

// Complete reads the flags and the file.
func (o *serveOptions) Complete(cmd *cobra.Command, args []string) error {
	if err := o.selection.complete(cmd, args); err != nil {
		return err
	}
	o.selection.namespaceGiven = false // here it is the service's own
	cmd.Flags().Visit(func(flag *pflag.Flag) { o.given[flag.Name] = true })
	if cmd.Flags().Changed("config") && o.file == "" {
		return misuse("--config is empty")
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
	c := config.Default()
	if o.file != "" {
		loaded, err := o.reload()
		if err != nil {
			return err
		}
		c = *loaded
	} else if err := o.override(&c); err != nil {
		return misuse("%w", err)
	}
	o.service.Config = c
	return nil
}

// Run audits until ctx is done.
func (o *serveOptions) Run(ctx context.Context) error {
	cluster, err := o.connection.connect(ctx)
	if err != nil {
		return err
	}
	if o.file != "" {
		o.service.Reload = o.reload
	}
	o.service.Logger = o.logging.logger(o.ErrOut)
	o.service.Registry = ctrlmetrics.Registry // which controller-runtime serves
	return o.run(ctx, cluster, o.service)
}

// reload returns what the file and the flags say, if the file has changed since
// it was last read, and nil if it has not.
func (o *serveOptions) reload() (*config.Configuration, error) {
	text, err := os.ReadFile(o.file)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	if o.text != nil && bytes.Equal(text, o.text) {
		return nil, nil
	}
	o.text = text
	c, err := config.Load(text)
	if err != nil {
		return nil, fmt.Errorf("%s:\n%w", o.file, err)
	}
	return &c, o.override(&c)
}

// override has flags take the place of what the file says.
func (o *serveOptions) override(c *config.Configuration) error {
	set := func(flag string, to func()) {
		if o.given[flag] {
			to()
		}
	}
	s := &c.Selection
	set("interval", func() { c.Interval = metav1.Duration{Duration: o.interval} })
	set("include-namespace", func() { s.IncludeNamespaces = o.selection.includeNamespaces })
	set("exclude-namespace", func() { s.ExcludeNamespaces = o.selection.excludeNamespaces })
	set("selector", func() { s.Selector = o.selection.labelSelector })
	set("sidecar-container-name", func() { s.SidecarContainerNames = o.selection.sidecarNames })
	set("include-autoscaled", func() { c.IncludeAutoscaled = o.selection.includeAutoscaled })
	set("concurrency", func() { c.Concurrency = o.selection.concurrency })
	set("auto-rollout", func() { c.AutoRollout.Enabled = o.roll })
	set("ignore-path", func() {
		c.IgnorePaths = nil
		for _, path := range o.selection.ignoreTexts {
			c.IgnorePaths = append(c.IgnorePaths, config.IgnoredPath{Path: path})
		}
	})
	if o.given["watch"] {
		c.Watch = nil
		for _, text := range o.watch {
			object, err := parseObject(text)
			if err != nil {
				return fmt.Errorf("--watch %q: %w", text, err)
			}
			c.Watch = append(c.Watch, object)
		}
	}
	if problems := c.Validate(); len(problems) > 0 {
		return config.Invalid(problems)
	}
	return nil
}

// parseObject reads KIND[.VERSION.GROUP]/[NAMESPACE/]NAME; a kind alone is v1's.
func parseObject(text string) (config.Object, error) {
	kind, rest, ok := strings.Cut(text, "/")
	parts := strings.Split(rest, "/")
	if !ok || kind == "" || len(parts) > 2 || slices.Contains(parts, "") {
		return config.Object{}, errors.New("give KIND/NAMESPACE/NAME, as in ConfigMap/istio-system/istio-sidecar-injector")
	}
	object := config.Object{APIVersion: "v1", Kind: kind, Name: parts[len(parts)-1]}
	if len(parts) == 2 {
		object.Namespace = parts[0]
	}
	if kind, versionGroup, ok := strings.Cut(kind, "."); ok {
		version, apiGroup, _ := strings.Cut(versionGroup, ".")
		if version == "" || apiGroup == "" {
			return config.Object{}, errors.New("give the kind as KIND.VERSION.GROUP, as in Telemetry.v1.telemetry.istio.io")
		}
		object.APIVersion, object.Kind = apiGroup+"/"+version, kind
	}
	return object, nil
}
