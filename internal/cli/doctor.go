package cli

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/internal/doctor"
	"github.com/sidecar-drift/sidecar-drift/internal/version"
)

// doctorOptions are those of "doctor".
type doctorOptions struct {
	genericiooptions.IOStreams
	connection  connection
	webhookURL  string
	url         *url.URL
	probePolicy bool
	format      report.Format
}

func newDoctorCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	o := doctorOptions{IOStreams: streams, connection: newConnection(), format: report.Table}
	cmd := &cobra.Command{
		Use:   "doctor [flags]",
		Short: "Check the installation and the cluster, and say what to do",
		Long: `Check what audits, rollouts and stamps rest on: the API server, the webhooks and policies
that new Pods pass, the stamper and its certificate, the policies around our own identities,
their rights, and how our own Pods run. Nothing is changed. docs/doctor.md explains each check.

States:
  OK          as it should be
  Warning     works, but less well or less safely than it could
  Wrong       does not work, or is not as safe as it must be
  NotChecked  could not be looked at, or is not there: never as good as OK

What you may not read is NotChecked, with the reason. The stamper's certificate is looked at
through a port-forward to each of its Pods, or at the address that --webhook-url gives.

Exit codes:
  0  nothing that was checked is wrong
  1  something is wrong
  2  an error`,
		Example: examples(name, `
# Is the installation well?
NAME doctor

# The certificate where the stamper can be reached from here
kubectl -n sidecar-drift port-forward service/sidecar-drift-webhook 9443:443 &
NAME doctor --webhook-url https://localhost:9443

# Prove that the policies are in force: try what they forbid (you need the right to impersonate)
NAME doctor --probe-policy`),
		Args: noArguments("doctor takes flags only"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.Validate(); err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	group(cmd, "Checks", func(flags *pflag.FlagSet) {
		flags.StringVarP(o.connection.flags.Namespace, "namespace", "n", "", "The namespace to ask for a dry-run Pod in; that of the kubeconfig's context by default.")
		flags.StringVar(&o.webhookURL, "webhook-url", "", "Where the stamper can be reached from here, as an https `URL`. Its certificate must still be for the name that API servers call it by.")
		addSwitch(flags, &o.probePolicy, "probe-policy", "Try what the policies forbid, as the identities that they are for: a Pod that no API server stores, and an eviction and a patch in a dry run. Nothing is changed.")
	})
	group(cmd, "Output", func(flags *pflag.FlagSet) {
		addOutput(flags, &o.format, report.Table, report.JSON)
	})
	o.connection.addFlags(cmd)
	return cmd
}

// Validate checks what was given, without a look at any cluster.
func (o *doctorOptions) Validate() error {
	if err := o.connection.validate(); err != nil {
		return err
	}
	if o.webhookURL == "" {
		return nil
	}
	at, err := url.Parse(o.webhookURL)
	if err != nil || at.Scheme != "https" || at.Hostname() == "" {
		return misuse("--webhook-url %q: give a URL as https://localhost:9443", o.webhookURL)
	}
	o.url = at
	return nil
}

// Run examines and reports.
func (o *doctorOptions) Run(ctx context.Context) error {
	config, err := o.connection.restConfig()
	if err != nil {
		return err
	}
	server, err := serverVersion(ctx, config)
	if err != nil {
		return err
	}
	namespace, err := o.connection.namespace()
	if err != nil {
		return err
	}
	found, err := doctor.Run(ctx, config, doctor.Options{
		Namespace:     namespace,
		WebhookURL:    o.url,
		ProbePolicy:   o.probePolicy,
		ServerVersion: server,
		OldestServer:  oldestKubernetes,
		Program:       version.String(),
		Now:           time.Now,
	})
	if err != nil {
		return err
	}
	found.Cluster = new(o.connection.identity(config))
	if err := found.Write(o.Out, o.format, textOptions(o.Out)); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if found.Summary[doctor.Wrong] > 0 {
		return negative()
	}
	return nil
}
