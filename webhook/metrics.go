package webhook

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// outcome is what became of a request; it is the metric's label.
type outcome string

const (
	stamped  outcome = "stamped" // something was injected, and the Pod says what
	none     outcome = "none"    // nothing was injected, and the Pod says so
	skipped  outcome = "skipped" // no creation of a Pod
	failed   outcome = "error"   // no AdmissionReview, or a Pod without a fingerprint
	panicked outcome = "panic"   // a defect in the stamper
)

// metrics count the requests to the stamper.
type metrics struct {
	reviews  map[outcome]prometheus.Counter
	duration prometheus.Histogram
	rejected prometheus.Counter
}

func newMetrics(registry prometheus.Registerer) *metrics {
	reviews := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sidecar_drift_webhook_reviews_total",
		Help: "Admission reviews by outcome: stamped and none (nothing was injected) are Pods that carry a stamp now, skipped is not a Pod's creation, error and panic left a Pod unstamped.",
	}, []string{"outcome"})
	m := &metrics{
		reviews: map[outcome]prometheus.Counter{},
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sidecar_drift_webhook_duration_seconds",
			Help: "Time from a request's headers to its answer, which each creation of a Pod waits for.",
			Buckets: []float64{
				50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3,
				10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3, 1, 2,
			},
		}),
		rejected: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sidecar_drift_webhook_rejected_reviews_total",
			Help: "Reviews that were answered with status 503 because too many were under way: their Pods carry no stamp.",
		}),
	}
	for _, o := range []outcome{stamped, none, skipped, failed, panicked} {
		m.reviews[o] = reviews.WithLabelValues(string(o))
	}
	registry.MustRegister(reviews, m.duration, m.rejected)
	return m
}

func (m *metrics) observe(o outcome, took time.Duration) {
	m.reviews[o].Inc()
	m.duration.Observe(took.Seconds())
}
