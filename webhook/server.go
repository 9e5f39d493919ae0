package webhook

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
)

// path is where the API server sends AdmissionReviews.
const path = "/stamp"

// maxScrapes are answered at once.
const maxScrapes = 4

// server is the stamper with its probes and metrics.
type server struct {
	options     Options
	certificate *certificate
	probes      *probes
	rejected    prometheus.Counter // connections
}

// Run answers AdmissionReviews until ctx is done, and returns nil then, after
// the requests that are under way. It waits for its certificate first, as long
// as it takes. It returns an error if the options are invalid or an address is
// taken.
func Run(ctx context.Context, options Options) error {
	if err := options.Validate(); err != nil {
		return err
	}
	s := &server{
		options:     options,
		certificate: newCertificate(options.CertDir, options.Registry, options.Log),
		rejected: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sidecar_drift_webhook_rejected_connections_total",
			Help: "Connections that were closed at once because too many were open, in all or from one address.",
		}),
	}
	options.Registry.MustRegister(s.rejected)
	s.probes = &probes{certificate: s.certificate}
	stamper, err := s.stamper()
	if err != nil {
		return err
	}

	// Probes and metrics are there for as long as requests are answered, which
	// is longer than ctx.
	living, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, living := errgroup.WithContext(living)
	group.Go(func() error { return s.plain(living, "probes", options.HealthProbeBindAddress, s.probes.handler()) })
	group.Go(func() error { return s.plain(living, "metrics", options.MetricsBindAddress, s.metricsHandler()) })
	group.Go(func() error {
		defer stop()
		return s.stamp(ctx, living, stamper)
	})
	return group.Wait()
}

// stamper returns the server that answers AdmissionReviews. It is none of
// controller-runtime's, which listens by itself and bounds neither connections,
// nor bodies, nor what HTTP/2 lets a client ask for.
func (s *server) stamper() (*http.Server, error) {
	var known *clients
	if s.options.TLS.ClientCAFile != "" {
		var err error
		if known, err = newClients(s.options.TLS, s.certificate, s.options.Log); err != nil {
			return nil, err
		}
	}
	config, err := s.options.TLS.config(s.certificate, known)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle(path, NewHandler(s.options.Log, s.options.Registry))
	stamper := newServer(mux, s.options.Log)
	stamper.TLSConfig = config
	return stamper, nil
}

func (s *server) metricsHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.options.Registry, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes}))
	return mux
}

// stamp serves until ctx is done and what is under way then is answered, or
// until living is done.
func (s *server) stamp(ctx, living context.Context, stamper *http.Server) error {
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(living, cancel)()
	if s.certificate.wait(waiting) != nil {
		return nil // told to stop before there was anything to serve
	}
	accepting, stop := context.WithCancel(living)
	defer stop()
	group, accepting := errgroup.WithContext(accepting)
	group.Go(func() error {
		s.certificate.follow(accepting)
		return nil
	})
	group.Go(func() error {
		listener, err := s.listen(accepting, s.options.BindAddress)
		if err != nil {
			return err
		}
		address := listener.Addr().String()
		s.probes.listening.Store(&address)
		s.options.Log.Info("Serving", "address", address, "path", path)
		return serve(accepting, stamper, func() error { return stamper.ServeTLS(listener, "", "") })
	})
	group.Go(func() error {
		defer stop()
		s.drain(ctx, accepting)
		return nil
	})
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
