package cli

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/sidecar-drift/sidecar-drift/certs"
)

// certsOptions are those of "certs".
type certsOptions struct {
	genericiooptions.IOStreams
	connection connection
	logging    logging
	certs      certs.Options

	run func(context.Context, *rest.Config, certs.Options) error
}

func newCertsCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	o := &certsOptions{
		IOStreams:  streams,
		connection: newConnection(),
		logging:    logging{level: "info", format: logText},
		certs:      certs.DefaultOptions(),
		run:        certs.Run,
	}
	cmd := &cobra.Command{
		Use:   "certs [flags]",
		Short: "Run the certificate controller of the stamper's webhook",
		Long: `Keep a certificate authority and the serving certificate of the stamper in two Secrets,
and the authority's certificate in the caBundle of the webhook configuration. This runs in
the cluster, under an identity of its own, until it is stopped; where cert-manager does the
same, it is not needed.

The authority is changed in an order that API servers and replicas can follow: when it nears
its end, when its Secret is lost, and when that Secret is annotated with
sidecar-drift.io/rotate-ca. The old one is dropped only after every replica has been seen to
serve a certificate of the new one.`,
		Example: examples(name, `
# As the manifests run it
NAME certs

# Against a cluster of one's own, from outside
NAME certs --kubeconfig ~/.kube/config --host 127.0.0.1 --replica 127.0.0.1:9443`),
		Args: noArguments("certs takes flags only"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.Validate(); err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	group(cmd, "Objects", func(flags *pflag.FlagSet) {
		flags.StringVarP(&o.certs.Namespace, "namespace", "n", o.certs.Namespace, "Namespace of the Secrets and the Lease.")
		flags.StringVar(&o.certs.AuthoritySecret, "authority-secret", o.certs.AuthoritySecret, "The `Secret` of the certificate authority.")
		flags.StringVar(&o.certs.ServingSecret, "serving-secret", o.certs.ServingSecret, "The `Secret` of the serving certificate, which the stamper mounts.")
		flags.StringVar(&o.certs.WebhookConfiguration, "webhook-configuration", o.certs.WebhookConfiguration, "MutatingWebhookConfiguration that gets the caBundle.")
		flags.StringSliceVar(&o.certs.Hosts, "host", o.certs.Hosts, "DNS `name` or IP address by which API servers call the stamper. Repeatable, or comma-separated.")
		flags.StringVar(&o.certs.Service, "service", o.certs.Service, "Service whose endpoints, at its port \"https\", are the stamper's replicas.")
		flags.StringSliceVar(&o.certs.Replicas, "replica", nil, "`HOST:PORT` of a replica, asked instead of the Service's endpoints. Repeatable, or comma-separated.")
		flags.StringVar(&o.certs.Lease, "lease", o.certs.Lease, "Lease by which replicas elect their leader.")
	})
	group(cmd, "Process", func(flags *pflag.FlagSet) {
		flags.DurationVar(&o.certs.PropagationWait, "propagation-wait", o.certs.PropagationWait, "How long API servers may take to learn a changed caBundle; a change of the authority waits twice as long.")
		flags.StringVar(&o.certs.MetricsBindAddress, "metrics-bind-address", o.certs.MetricsBindAddress, "The `address` of /metrics; 0 turns it off.")
		flags.StringVar(&o.certs.HealthProbeBindAddress, "health-probe-bind-address", o.certs.HealthProbeBindAddress, "The `address` of /healthz and /readyz; 0 turns them off.")
		o.logging.addFlags(flags)
	})
	o.connection.addFlags(cmd)
	return cmd
}

// Validate checks what was given, without a look at any cluster.
func (o *certsOptions) Validate() error {
	if err := o.connection.validate(); err != nil {
		return err
	}
	if err := o.certs.Validate(); err != nil {
		return misuse("%w", err)
	}
	return nil
}

// Run runs the controller until ctx is done.
func (o *certsOptions) Run(ctx context.Context) error {
	config, err := o.connection.connect(ctx)
	if err != nil {
		return err
	}
	o.certs.Logger = o.logging.logger(o.ErrOut)
	adoptLogs(o.certs.Logger)
	o.certs.Registry = ctrlmetrics.Registry // which controller-runtime serves
	return o.run(ctx, config, o.certs)
}
