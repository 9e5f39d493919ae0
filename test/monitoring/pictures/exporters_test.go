//go:build monitoring

package pictures

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"
	apiadmission "k8s.io/apiserver/pkg/admission"
	admissionmetrics "k8s.io/apiserver/pkg/admission/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/sidecar-drift/sidecar-drift/auditor/metrics"
	"github.com/sidecar-drift/sidecar-drift/webhook"
)

// step is how often the exporters are scraped.
const step = 2 * time.Minute

// place is a cluster with its exporters: two auditors, of which one audits, two stampers
// and an API server.
type place struct {
	cluster  string
	all      []workload
	auditors [2]*prometheus.Registry
	exported [2]*metrics.Metrics
	stampers []*stamper
	stamped  bool   // whether stampers have a certificate, so that they can answer
	injected []byte // a review of a Pod with a sidecar
}

// sidecarless is a review of a Pod without one.
const sidecarless = `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u-1",
	"kind":{"group":"","version":"v1","kind":"Pod"},"operation":"CREATE","namespace":"shop","object":{"kind":"Pod","apiVersion":"v1",
	"metadata":{"name":"web"},"spec":{"containers":[{"name":"app","image":"app:1"}]}}}}`

// stamper is one, and what of its metrics only a server of its own counts.
type stamper struct {
	*webhook.Handler
	registry *prometheus.Registry
}

func newPlace(t *testing.T, cluster string, all, stamped bool) *place {
	t.Helper()
	injected, err := os.ReadFile("../../../webhook/testdata/admissionreview-istio-1.27.json")
	if err != nil {
		t.Fatal(err)
	}
	p := &place{cluster: cluster, all: population(all), stamped: stamped, injected: injected}
	for i := range p.auditors {
		p.auditors[i] = prometheus.NewRegistry()
		p.exported[i] = metrics.New(p.auditors[i])
		p.exported[i].Sinks("ops")
	}
	for range 2 {
		s := &stamper{registry: prometheus.NewRegistry()}
		s.Handler = webhook.NewHandler(logr.Discard(), s.registry)
		expiry := prometheus.NewGauge(prometheus.GaugeOpts{Name: "sidecar_drift_certificate_expiry_timestamp_seconds"})
		if stamped {
			expiry.Set(float64(evening.Add(71*24*time.Hour + time.Hour).Unix()))
		}
		s.registry.MustRegister(expiry, prometheus.NewCounter(prometheus.CounterOpts{Name: "sidecar_drift_webhook_rejected_connections_total"}))
		p.stampers = append(p.stampers, s)
	}
	return p
}

// play has a step of the day happen.
func (p *place) play(t *testing.T, now time.Time, n int) {
	t.Helper()
	leader := 0
	if !now.Before(handover) {
		leader = 1
	}
	if now.Equal(handover) { // the other process is a new one
		p.auditors[0] = prometheus.NewRegistry()
		p.exported[0] = metrics.New(p.auditors[0])
	}
	m := p.exported[leader]
	if refused.contains(now) {
		m.Failed(metrics.Timeout)
	} else {
		r, oldest := found(p.all, now)
		m.Audited(r, oldest, time.Duration(8+n%5)*time.Second, p.stamped)
		m.Covered(metrics.Cover{
			Features: 210, Classes: 31, Detection: time.Duration(50+n%7) * time.Second, OldestFeature: now, OldestAnswer: now.Add(-time.Duration(20+n%15) * time.Minute),
			Interval: time.Minute, FullInterval: time.Hour,
		})
		for range 14 + n%3 {
			m.DryRun("answered")
		}
		for result, count := range map[string]int{"refused": r.Summary.Workloads["Blocked"], "unknown": len(r.Outages) * 6} {
			for range count {
				m.DryRun(result)
			}
		}
	}
	m.RolledOut(ended(p.all, now.Add(-step), now))
	p.admit(t, now, n)
}

// admit has Pods created: reviews for the stampers, or none where there is no stamper.
func (p *place) admit(t *testing.T, now time.Time, n int) {
	t.Helper()
	const name = "stamp.sidecar-drift.io"
	pod := apiadmission.NewAttributesRecord(nil, nil, corev1.SchemeGroupVersion.WithKind("Pod"), "shop", "web",
		corev1.SchemeGroupVersion.WithResource("pods"), "", apiadmission.Create, nil, false, nil)
	created := 6 + n%4
	if noStamper.contains(now) {
		created = failedOpen / 3
		if now.Sub(noStamper.begin) < step {
			created = failedOpen - 2*(failedOpen/3)
		}
	}
	for i := range created {
		if noStamper.contains(now) || !p.stamped {
			admissionmetrics.Metrics.ObserveWebhookFailOpen(t.Context(), name, "admit")
			continue
		}
		took := time.Duration(2+i%9) * time.Millisecond
		admissionmetrics.Metrics.ObserveWebhook(t.Context(), name, took, false, pod, "admit", http.StatusOK)
		body := p.injected
		if i%3 == 0 {
			body = []byte(sidecarless)
		}
		request := httptest.NewRequest(http.MethodPost, "/stamp", bytes.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		answer := httptest.NewRecorder()
		p.stampers[i%2].ServeHTTP(answer, request)
		if answer.Code != http.StatusOK {
			t.Fatalf("the stamper answers %d: %s", answer.Code, answer.Body)
		}
	}
}

// scrape writes what the exporters say now, with the labels that a scrape adds.
func (p *place) scrape(t *testing.T, to io.Writer, now time.Time) {
	t.Helper()
	write := func(gatherer prometheus.Gatherer, job, pod string) {
		families, err := gatherer.Gather()
		if err != nil {
			t.Fatal(err)
		}
		families = slices.DeleteFunc(families, func(f *dto.MetricFamily) bool {
			return !strings.HasPrefix(f.GetName(), "sidecar_drift_") && !strings.HasPrefix(f.GetName(), "apiserver_admission_webhook_")
		})
		samples, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{Timestamp: model.TimeFromUnixNano(now.UnixNano())}, families...)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range samples {
			for name, value := range map[model.LabelName]string{"cluster": p.cluster, "namespace": "sidecar-drift", "job": job, "pod": pod} {
				if s.Metric[name] == "" {
					s.Metric[name] = model.LabelValue(value)
				}
			}
			fmt.Fprintf(to, "%s %s %d\n", strings.ReplaceAll(s.Metric.String(), `", `, `",`), s.Value, now.Unix())
		}
	}
	for i, registry := range p.auditors {
		write(registry, "sidecar-drift-auditor", fmt.Sprint("auditor-", i))
	}
	for i, s := range p.stampers {
		write(s.registry, "sidecar-drift-webhook", fmt.Sprint("stamper-", i))
	}
	write(legacyregistry.DefaultGatherer, "apiserver", "")
}

// record has the day happen in two clusters, and returns the file, in OpenMetrics, that has
// all that scrapes got: in west there is no certificate, so that no stamper answers.
func record(t *testing.T) string {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "day.openmetrics"))
	if err != nil {
		t.Fatal(err)
	}
	to := bufio.NewWriter(file)
	for _, p := range []*place{newPlace(t, "east", true, true), newPlace(t, "west", false, false)} {
		legacyregistry.Reset()
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Until(morning))
			for n := 0; !time.Now().After(evening); n++ {
				p.play(t, time.Now(), n)
				p.scrape(t, to, time.Now())
				time.Sleep(step)
			}
		})
	}
	fmt.Fprintln(to, "# EOF")
	if err := errors.Join(to.Flush(), file.Close()); err != nil {
		t.Fatal(err)
	}
	return file.Name()
}
