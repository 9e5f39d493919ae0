package webhook

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
)

// disabled as an address turns off the metrics or the health server.
const disabled = "0"

// Options say where the stamper listens and what it reports to.
type Options struct {
	// BindAddress is the host:port at which AdmissionReviews are answered; an
	// empty host means every address, port 0 any free one, which the log names.
	BindAddress string
	// CertDir holds tls.crt and tls.key, or will.
	CertDir string
	TLS     TLSOptions
	// MetricsBindAddress and HealthProbeBindAddress are such host:port, too; "0"
	// turns either server off.
	MetricsBindAddress     string
	HealthProbeBindAddress string
	// ShutdownDelay is how long connections are still accepted when the
	// stamper was told to stop: API servers learn late that it goes.
	ShutdownDelay time.Duration
	Log           logr.Logger
	// Registry gets the stamper's metrics and is what /metrics shows.
	Registry *prometheus.Registry
}

// Validate says what could not work, before anything is started.
func (o Options) Validate() error {
	var problems []error
	if err := checkAddress(o.BindAddress); err != nil {
		problems = append(problems, fmt.Errorf("--bind-address: %w", err))
	}
	for flag, address := range map[string]string{
		"--metrics-bind-address":      o.MetricsBindAddress,
		"--health-probe-bind-address": o.HealthProbeBindAddress,
	} {
		if address == disabled {
			continue
		}
		if err := checkAddress(address); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", flag, err))
		}
	}
	if o.CertDir == "" {
		problems = append(problems, errors.New("--cert-dir: no directory given"))
	}
	if o.ShutdownDelay < 0 {
		problems = append(problems, fmt.Errorf("--shutdown-delay: %s is negative", o.ShutdownDelay))
	}
	return errors.Join(append(problems, o.TLS.problems()...)...)
}

func checkAddress(address string) error {
	_, text, err := net.SplitHostPort(address)
	if err == nil {
		if port, err := strconv.Atoi(text); err == nil && port >= 0 && port < 1<<16 {
			return nil
		}
	}
	return fmt.Errorf("%q is no HOST:PORT, such as :9443 or 127.0.0.1:9443", address)
}
