package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
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
	logging    logging
	file       string
	settings   config.Configuration // by flags alone
	given      *pflag.FlagSet
	service    service.Options
	text       []byte // the file as it was last read

	run func(context.Context, *rest.Config, service.Options) error
}

func newServeCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	return newServeOptions(streams).command(name)
}

func newServeOptions(streams genericiooptions.IOStreams) *serveOptions {
	return &serveOptions{
		IOStreams:  streams,
		connection: newConnection(),
		logging:    logging{level: "info", format: logText},
		settings:   config.Default(),
		service: service.Options{
			Namespace: service.DefaultNamespace, Name: service.DefaultName, LeaseDuration: service.DefaultLeaseDuration,
			MetricsBindAddress: service.DefaultMetricsBindAddress, HealthProbeBindAddress: service.DefaultHealthProbeBindAddress,
			PageBindAddress: service.DefaultPageBindAddress, PprofBindAddress: service.DefaultPprofBindAddress,
		},
		run: service.Run,
	}
}

func (o *serveOptions) command(name string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve [flags]",
		Short: "Run the auditor in the cluster: audit again and again, export metrics, and heal if asked to",
		Long: `Audit again and again. Pods are watched; at each interval workloads are asked about that
have between them whatever several workloads share, and where that has changed all that
share it. A change of a webhook configuration, an admission policy or a namespace has
those asked about whom it concerns. Everything is asked about at the start, and once in
each full interval. What is found is exported as metrics and shown on a page. Of several
replicas one audits.

The file of --config is read again when it changes; flags override what it says. Nothing is
changed in the cluster but a Lease and a ConfigMap of its own, unless automatic
rollouts are enabled, with a policy for them, or --policy-reports asks for Reports.`,
		Example: examples(name, `
# As the manifests run it, with Istio's injection template watched
NAME serve --watch ConfigMap/istio-system/istio-sidecar-injector

# With everything in a file
NAME serve --config sidecar-drift.yaml

# Against a cluster of one's own, from outside
NAME serve --kubeconfig ~/.kube/config --interval 1m`),
		Args: noArguments("serve takes flags only"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.Complete(cmd); err != nil {
				return err
			}
			if err := o.Validate(); err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	addSettings(cmd, &o.settings)
	group(cmd, "Process", func(flags *pflag.FlagSet) {
		flags.StringVar(&o.file, "config", "", "Configuration `file`, see docs/configuration.md; it is read again when it changes. Flags override it.")
		flags.StringVarP(&o.service.Namespace, "namespace", "n", o.service.Namespace, "Namespace of the Lease and the ConfigMap.")
		flags.StringVar(&o.service.Name, "name", o.service.Name, "The `name` of the Lease and of the ConfigMap.")
		flags.DurationVar(&o.service.LeaseDuration, "lease-duration", o.service.LeaseDuration, "After which another replica takes over from one that is gone. An API server that is away for less ends nothing.")
		flags.StringVar(&o.service.MetricsBindAddress, "metrics-bind-address", o.service.MetricsBindAddress, "The `address` of /metrics; 0 turns it off.")
		flags.StringVar(&o.service.PageBindAddress, "page-bind-address", o.service.PageBindAddress, "The `address` of the page for people; 0 turns it off.")
		flags.StringSliceVar(&o.service.PageHosts, "page-host", nil, "DNS name or IP address, `HOST,…`, by which the page may be called; others than these and localhost are refused. Repeatable.")
		flags.StringVar(&o.service.HealthProbeBindAddress, "health-probe-bind-address", o.service.HealthProbeBindAddress, "The `address` of /healthz and /readyz; 0 turns them off.")
		flags.StringVar(&o.service.PprofBindAddress, "pprof-bind-address", o.service.PprofBindAddress, "The `address` of /debug/pprof, which asks nobody who they are: 127.0.0.1:6060, say, for kubectl port-forward; 0 turns it off.")
		addSwitch(flags, &o.service.RequireAuthorization, "require-authorization", "Serve metrics and page over TLS, and only to those whose bearer token may get the path, as a TokenReview and a SubjectAccessReview say.")
		flags.StringVar(&o.service.CertDir, "cert-dir", "", "With --require-authorization: the `directory` of tls.crt and tls.key, which are read again when they change (default a certificate of the process' own)")
		o.logging.addFlags(flags)
	})
	o.connection.addFlags(cmd)
	return cmd
}

// Complete takes down which flags were given.
func (o *serveOptions) Complete(cmd *cobra.Command) error {
	o.given = cmd.Flags()
	var empty error
	o.given.Visit(func(flag *pflag.Flag) {
		if _, list := flag.Value.(pflag.SliceValue); list && emptyItem(flag) || flag.Name == "config" && o.file == "" {
			empty = misuse("--%s is empty", flag.Name)
		}
	})
	return empty
}

// Validate checks what was given, without a look at any cluster.
func (o *serveOptions) Validate() error {
	if err := o.connection.validate(); err != nil {
		return err
	}
	if err := o.service.Validate(); err != nil {
		return misuse("%w", err)
	}
	if o.file == "" {
		o.service.Config = config.Default()
		if err := override(&o.service.Config, o.given); err != nil {
			return misuse("%w", err)
		}
		return nil
	}
	c, err := o.reload()
	if err != nil {
		return err
	}
	o.service.Config = *c
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
	defer collectMore()()
	o.service.Logger = o.logging.logger(o.ErrOut)
	adoptLogs(o.service.Logger)
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
	return &c, override(&c, o.given)
}
