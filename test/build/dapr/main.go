// Command dapr-injector is Dapr's own injection webhook as a single process: the
// package that Dapr's injector runs, with a certificate and trust anchors from files
// where Dapr gets them from its sentry.
//
//	dapr-injector --kubeconfig F --namespace dapr-system --port 4000 \
//	  --tls-cert F --tls-key F --trust-anchors F
//
// The variables of Dapr's chart say what is injected, and for whom: SIDECAR_IMAGE,
// ALLOWED_SERVICE_ACCOUNTS and so on. They are read once, as are the ServiceAccounts
// for which Dapr injects, and the trust anchors. Dapr listens on all addresses.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	daprclient "github.com/dapr/dapr/pkg/client/clientset/versioned"
	"github.com/dapr/dapr/pkg/healthz"
	"github.com/dapr/dapr/pkg/injector/service"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "dapr-injector:", err)
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	kubeconfig, namespace, certFile, keyFile, trustAnchorsFile string
	port                                                       int
}

func run(ctx context.Context, args []string) error {
	var o options
	flags := flag.NewFlagSet("dapr-injector", flag.ContinueOnError)
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig of Dapr's account")
	flags.StringVar(&o.namespace, "namespace", "dapr-system", "namespace of Dapr's control plane")
	flags.IntVar(&o.port, "port", 4000, "port to serve HTTPS on")
	flags.StringVar(&o.certFile, "tls-cert", "", "serving certificate")
	flags.StringVar(&o.keyFile, "tls-key", "", "its private key")
	flags.StringVar(&o.trustAnchorsFile, "trust-anchors", "", "CA certificates that sidecars trust")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return o.serve(ctx)
}

// serve does what github.com/dapr/dapr/cmd/injector/app does, but for the sentry.
func (o *options) serve(ctx context.Context) error {
	certificate, err := tls.LoadX509KeyPair(o.certFile, o.keyFile)
	if err != nil {
		return err
	}
	trustAnchors, err := os.ReadFile(o.trustAnchorsFile)
	if err != nil {
		return err
	}
	if err := os.Setenv("NAMESPACE", o.namespace); err != nil {
		return err
	}
	if err := service.InitMetrics(); err != nil {
		return err
	}
	config, err := service.GetConfig()
	if err != nil {
		return err
	}
	opts, err := o.injectorOptions(ctx, config)
	if err != nil {
		return err
	}
	injector, err := service.NewInjector(opts)
	if err != nil {
		return err
	}
	sentry, err := sentryID(config.ControlPlaneTrustDomain, o.namespace)
	if err != nil {
		return err
	}
	err = injector.Run(ctx,
		&tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
		sentry,
		func(context.Context) ([]byte, error) { return trustAnchors, nil })
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (o *options) injectorOptions(ctx context.Context, config service.Config) (service.Options, error) {
	opts := service.Options{
		Config:                  config,
		Port:                    o.port,
		Healthz:                 healthz.New(),
		ControlPlaneNamespace:   o.namespace,
		ControlPlaneTrustDomain: config.ControlPlaneTrustDomain,
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return opts, err
	}
	cfg.QPS = -1 // five a second would have the API server wait for who injects many Pods
	kubeClient, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return opts, err
	}
	opts.KubeClient = kubeClient
	if opts.DaprClient, err = daprclient.NewForConfig(cfg); err != nil {
		return opts, err
	}
	opts.AuthUIDs, err = service.AllowedControllersServiceAccountUID(ctx, config, kubeClient)
	return opts, err
}

// sentryID is the audience of sidecars' tokens, as
// github.com/dapr/dapr/pkg/security.SentryID has it.
func sentryID(trustDomain, namespace string) (spiffeid.ID, error) {
	domain, err := spiffeid.TrustDomainFromString(trustDomain)
	if err != nil {
		return spiffeid.ID{}, err
	}
	return spiffeid.FromSegments(domain, "ns", namespace, "dapr-sentry")
}
