package certs

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics tell what the last look found. The stampers' own
// sidecar_drift_certificate_expiry_timestamp_seconds tells what they serve.
type metrics struct {
	expiry  *prometheus.GaugeVec
	trusted prometheus.Gauge
	foreign prometheus.Gauge
}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		expiry: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "sidecar_drift_certs_expiry_timestamp_seconds",
			Help: "When the certificate in the Secret of the authority, or of the stamper (serving), expires, in seconds since 1970; 0 while there is none.",
		}, []string{"certificate"}),
		trusted: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sidecar_drift_certs_trusted_authorities",
			Help: "Number of authorities that API servers are to trust: more than one while the authority changes.",
		}),
		foreign: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sidecar_drift_certs_kept_by_cert_manager",
			Help: "1 where cert-manager keeps the Secrets or the caBundle, so that this controller writes nothing and should be deleted; else 0.",
		}),
	}
	registry.MustRegister(m.expiry, m.trusted, m.foreign)
	return m
}

func (m *metrics) set(found facts) {
	m.expiry.WithLabelValues("authority").Set(seconds(found.authorityEnds))
	m.expiry.WithLabelValues("serving").Set(seconds(found.servingEnds))
	m.trusted.Set(float64(found.trusted))
	m.foreign.Set(0)
	if found.foreign {
		m.foreign.Set(1)
	}
}

func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.Unix())
}
