package webhook

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
	ctrlwebhook "sigs.k8s.io/controller-runtime/pkg/webhook"
)

// path is where the API server sends AdmissionReviews.
const path = "/stamp"

// server is the stamper with its probes and metrics.
type server struct {
	options     Options
	certificate *certificate
	probes      *probes
}

// Run answers AdmissionReviews until ctx is done, and returns nil then, after
// the requests that are under way. It waits for its certificate first, as long
// as it takes. It returns an error if the options are invalid or an address is
// taken.
func Run(ctx context.Context, options Options) error {
	if err := options.Validate(); err != nil {
		return err
	}
	s := &server{options: options, certificate: newCertificate(options.CertDir, options.Registry)}
	s.probes = &probes{certificate: s.certificate, address: options.BindAddress}
	stamper, err := s.stamper()
	if err != nil {
		return err
	}

	// Probes and metrics are there for as long as requests are answered, which
	// is longer than ctx.
	living, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, living := errgroup.WithContext(living)
	group.Go(func() error { return serve(living, options.HealthProbeBindAddress, s.probes.handler()) })
	group.Go(func() error { return serve(living, options.MetricsBindAddress, s.metricsHandler()) })
	group.Go(func() error {
		defer stop()
		return s.stamp(ctx, living, stamper)
	})
	return group.Wait()
}

// stamper returns controller-runtime's webhook server for the Handler. The
// Handler stands in a mux of our own, as Register would measure it once more,
// in a global registry.
func (s *server) stamper() (ctrlwebhook.Server, error) {
	host, port, err := splitAddress(s.options.BindAddress)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle(path, withDeadlines(NewHandler(s.options.Log, s.options.Registry)))
	return ctrlwebhook.NewServer(ctrlwebhook.Options{
		Host:       host,
		Port:       port,
		WebhookMux: mux,
		TLSOpts: []func(*tls.Config){func(config *tls.Config) {
			config.MinVersion = tls.VersionTLS13
			config.GetCertificate = s.certificate.get
		}},
	}), nil
}

func (s *server) metricsHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.options.Registry, promhttp.HandlerOpts{}))
	return mux
}

// stamp serves until ctx is done and what is under way then is answered, or
// until living is done.
func (s *server) stamp(ctx, living context.Context, stamper ctrlwebhook.Server) error {
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(living, cancel)()
	watcher, err := s.certificate.wait(waiting, s.options.Log)
	if err != nil {
		return nil // told to stop before there was anything to serve
	}
	accepting, stop := context.WithCancel(living)
	defer stop()
	group, accepting := errgroup.WithContext(accepting)
	group.Go(func() error {
		if err := watcher.Start(accepting); err != nil && accepting.Err() == nil {
			return fmt.Errorf("watch the certificate in %s: %w", s.options.CertDir, err)
		}
		return nil
	})
	group.Go(func() error { return stamper.Start(accepting) })
	group.Go(func() error {
		defer stop()
		s.drain(ctx, accepting)
		return nil
	})
	s.options.Log.Info("Serving", "address", s.options.BindAddress, "path", path)
	return group.Wait()
}

// drain returns the shutdown delay after ctx is done, with the probe saying no
// meanwhile.
func (s *server) drain(ctx, accepting context.Context) {
	select {
	case <-ctx.Done():
	case <-accepting.Done():
		return
	}
	s.probes.stopping.Store(true)
	s.options.Log.Info("Stopping", "acceptingFor", s.options.ShutdownDelay.String())
	delay := time.NewTimer(s.options.ShutdownDelay)
	defer delay.Stop()
	select {
	case <-delay.C:
	case <-accepting.Done():
	}
}
