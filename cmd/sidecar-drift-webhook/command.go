package main

import (
	"io"
	"log/slog"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"github.com/sidecar-drift/sidecar-drift/internal/version"
	"github.com/sidecar-drift/sidecar-drift/webhook"
)

func newCommand(out, errOut io.Writer) *cobra.Command {
	var (
		options webhook.Options
		logs    logging
	)
	cmd := &cobra.Command{
		Use:   "sidecar-drift-webhook",
		Short: "Stamp every new Pod with a fingerprint of what was injected into it",
		Long: `sidecar-drift-webhook is a mutating admission webhook that writes two
annotations on every new Pod: sidecar-drift.io/stamp and sidecar-drift.io/parts.
It refuses no Pod and talks to no cluster.

It serves /stamp with the certificate tls.crt and the key tls.key of --cert-dir,
which it reads again when they change. Until they exist it waits, not ready.
With --client-ca-file, which is read again when it changes, it answers only API
servers that show a client certificate.
At --health-probe-bind-address are /healthz and /readyz, at
--metrics-bind-address is /metrics; the address 0 turns either off. Port 0 is
any free one, which the log names.

SIGTERM makes it not ready and stops it a few seconds later, when the requests
under way are answered, with exit code 0. Bad usage and errors exit with 2.`,
		Version:       version.String(),
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := options.Validate(); err != nil {
				return err
			}
			handler := logs.handler(errOut)
			slog.SetDefault(slog.New(handler)) // net/http logs there
			options.Log = logr.FromSlogHandler(handler)
			options.Registry = prometheus.NewRegistry()
			options.Registry.MustRegister(
				collectors.NewGoCollector(),
				collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
			)
			options.Log.Info("Starting", "version", version.String())
			return webhook.Run(cmd.Context(), options)
		},
	}
	cmd.SetOut(out)
	cmd.SetErr(errOut)
	cmd.SetVersionTemplate("{{.Name}} {{.Version}}\n")

	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&options.BindAddress, "bind-address", ":9443", "`HOST:PORT` at which AdmissionReviews are answered")
	flags.StringVar(&options.CertDir, "cert-dir", "/etc/sidecar-drift/tls", "`directory` of tls.crt and tls.key")
	flags.StringVar(&options.TLS.MinVersion, "tls-min-version", "VersionTLS13", "least `version` of TLS: VersionTLS12 or VersionTLS13")
	flags.StringSliceVar(&options.TLS.CipherSuites, "tls-cipher-suites", nil, "`suites` of TLS 1.2, by their IANA names, comma-separated (default Go's choice)")
	flags.StringVar(&options.TLS.ClientCAFile, "client-ca-file", "", "`file` of certificate authorities, in PEM: only clients with a certificate of theirs are answered")
	flags.StringSliceVar(&options.TLS.ClientNames, "client-name", nil, "common `names` that such a certificate may be for, comma-separated (default all)")
	flags.StringVar(&options.MetricsBindAddress, "metrics-bind-address", ":8080", "`HOST:PORT` of /metrics")
	flags.StringVar(&options.HealthProbeBindAddress, "health-probe-bind-address", ":8081", "`HOST:PORT` of /healthz and /readyz")
	flags.DurationVar(&options.ShutdownDelay, "shutdown-delay", 5*time.Second, "how long connections are accepted after SIGTERM")
	logs.addFlags(flags)
	return cmd
}
