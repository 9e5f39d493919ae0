// Package metrics exports what audits and rollouts find to Prometheus.
//
// The names are part of the public contract. No label has values whose number
// grows with the number of Pods, and none is text of those who may create one: a
// kind is one of the product's own, or "other".
package metrics

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/notify"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/auditor/versions"
)

// Metrics are the auditor's. Methods may be called concurrently; a scrape sees
// the last audit whole, never a half.
type Metrics struct {
	last     atomic.Pointer[audit]
	progress atomic.Pointer[float64] // nil where nothing is audited
	duration prometheus.Histogram
	errors   *prometheus.CounterVec
	dryRuns  *prometheus.CounterVec
	rollouts *prometheus.CounterVec
	notified *prometheus.CounterVec
	reload   prometheus.Gauge
	cover    atomic.Pointer[Cover]
	learned  prometheus.Counter
	now      func() time.Time
}

// audit is what a scrape reads.
type audit struct {
	report *report.Report
	oldest map[string]time.Time // since when something has drifted, by namespace
	ended  time.Time            // of the last round that looked further than at changes
	each   bool                 // whether workloads have series of their own
	// changes numbers those of each risk, and is found at the first scrape.
	changes func() map[change.Risk]int
	// versions are those that run, found at the first scrape.
	versions func() []versions.Version
}

// Reasons of failed audits.
const (
	Forbidden   = "forbidden"
	Timeout     = "timeout"
	Unavailable = "unavailable"
	OtherReason = "other"
)

var (
	podsDesc = prometheus.NewDesc("sidecar_drift_pods",
		"Pods by the state that the last audit gave them.", []string{"namespace", "state"}, nil)
	workloadsDesc = prometheus.NewDesc("sidecar_drift_workloads",
		"Workloads by the state that the last audit gave them, which is their worst Pod's.", []string{"namespace", "kind", "state"}, nil)
	ratioDesc = prometheus.NewDesc("sidecar_drift_ratio",
		"Share of the cluster's injected Pods that drifted, 0 to 1: Drifted, Missing and Orphaned among those and InSync and Modified.", nil, nil)
	staleDesc = prometheus.NewDesc("sidecar_drift_stale_workloads",
		"Workloads that could not be asked about last, and whose state is the one that was known before.", nil, nil)
	biasedDesc = prometheus.NewDesc("sidecar_drift_biased_workloads",
		"Workloads with places that are not judged, as Pods that controllers created differ from a dry run there though injection did not change.", nil, nil)
	injectorDownDesc = prometheus.NewDesc("sidecar_drift_injector_down",
		"1 for each mutating webhook that does not answer, CONFIGURATION/WEBHOOK: new Pods may be created without what it injects.", []string{"webhook"}, nil)
	workloadPodsDesc = prometheus.NewDesc("sidecar_drift_workload_pods",
		"A workload's Pods by the state that the last audit gave them: of all states where it is asked for, else of Blocked ones, 100 workloads at most.", []string{"namespace", "kind", "name", "state"}, nil)
	oldestDesc = prometheus.NewDesc("sidecar_drift_oldest_drift_seconds",
		"For how long the workload that drifted first has drifted.", []string{"namespace"}, nil)
	progressDesc = prometheus.NewDesc("sidecar_drift_audit_progress",
		"Share of the workloads' revisions that the first audit has judged, 0 to 1; 1 from its end on, and absent where another replica audits.", nil, nil)
	featuresDesc = prometheus.NewDesc("sidecar_drift_features",
		"Features that several workloads share, of all that injection may go by or gives: somebody who has it is asked about for each, at every interval.", nil, nil)
	classesDesc = prometheus.NewDesc("sidecar_drift_classes",
		"Classes of workloads' revisions, those of one having all features in common.", nil, nil)
	detectionDesc = prometheus.NewDesc("sidecar_drift_detection_seconds",
		"The longest that any feature has not been asked for, as measured: so soon is a change known that reaches several workloads.", nil, nil)
	answerDesc = prometheus.NewDesc("sidecar_drift_oldest_answer_seconds",
		"Age of the oldest answer about a workload: so soon is a change known whatever it reaches.", nil, nil)
	intervalDesc = prometheus.NewDesc("sidecar_drift_interval_seconds",
		"The configured time between two rounds of the cover, within which each feature is to be asked for.", nil, nil)
	fullIntervalDesc = prometheus.NewDesc("sidecar_drift_full_interval_seconds",
		"The configured time within which every workload is to be asked about.", nil, nil)
	lastSuccessDesc = prometheus.NewDesc("sidecar_drift_audit_last_success_timestamp_seconds",
		"When the last round of an audit ended well, in Unix time.", nil, nil)
)

// Progress tells which share of the workloads' revisions the first audit has judged, 0 to 1;
// 1 from its end on.
func (m *Metrics) Progress(share float64) { m.progress.Store(&share) }

// New registers the metrics.
func New(registry prometheus.Registerer) *Metrics {
	m := &Metrics{
		now: time.Now,
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "sidecar_drift_audit_duration_seconds",
			Help:    "Time that rounds took which ended well: of the cover, at the interval, of what a change concerns, or of everything.",
			Buckets: prometheus.ExponentialBuckets(0.25, 2, 14), // to 34 minutes
		}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sidecar_drift_audit_errors_total",
			Help: "Audits that failed as a whole, by reason; what could not be judged in an audit is in the state Unknown.",
		}, []string{"reason"}),
		dryRuns: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sidecar_drift_dry_runs_total",
			Help: "Pods that the API server was asked about in a dry run: answered, refused by admission, or unknown.",
		}, []string{"result"}),
		rollouts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sidecar_drift_rollouts_total",
			Help: "Workloads that rollouts ended with, by result.",
		}, []string{"kind", "strategy", "result"}),
	}
	m.notified = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sidecar_drift_notifications_total",
		Help: "Messages for the sinks of the configuration, by result: sent; failed, after some attempts; dropped, as too many wait; or limited, being over the sink's rate.",
	}, []string{"sink", "result"})
	m.reload = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "sidecar_drift_config_reload_success",
		Help: "1 if the configuration file is the one in force, 0 if it is invalid and an earlier one is.",
	})
	m.learned = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "sidecar_drift_class_splits_total",
		Help: "Times that admission changed for some workloads and not for others, and no known feature told them apart: one was learned that does.",
	})
	m.reload.Set(1)
	for _, reason := range []string{Forbidden, Timeout, Unavailable, OtherReason} {
		m.errors.WithLabelValues(reason)
	}
	for _, result := range []string{"answered", "refused", "unknown"} {
		m.dryRuns.WithLabelValues(result)
	}
	registry.MustRegister(m.duration, m.errors, m.dryRuns, m.rollouts, m.notified, m.reload, m.learned, m)
	return m
}

// Audited publishes what a round found, with how far its changes are in their waves; took is 0 for one that only looked at Pods that
// came or changed. driftingSince is when the oldest drift of a namespace
// was first seen. With each, every workload has series of its own, else only those that are Blocked.
func (m *Metrics) Audited(found *report.Report, driftingSince map[string]time.Time, took time.Duration, each bool) {
	next := &audit{report: found, oldest: driftingSince, each: each, changes: sync.OnceValue(found.ChangesByRisk), versions: sync.OnceValue(func() []versions.Version { return found.Census().List() })}
	if previous := m.last.Load(); previous != nil {
		next.ended = previous.ended
	}
	if took > 0 {
		next.ended = m.now()
		m.duration.Observe(took.Seconds())
	}
	m.last.Store(next)
}

// Cover is what the rounds' cover is like.
type Cover struct {
	// Features numbers those that it asks for, Learned those that were learned in the round.
	Features, Learned int
	// Classes numbers the groups of revisions that have all features in common.
	Classes int
	// Detection is the longest that a feature had not been asked for when it was.
	Detection time.Duration
	// OldestFeature and OldestAnswer are when a feature, and when a workload, was last
	// asked for that has not been for the longest time.
	OldestFeature, OldestAnswer time.Time
	// Interval and FullInterval are what Detection, and the age of the oldest answer, are to
	// be: as configured.
	Interval, FullInterval time.Duration
}

// Covered tells what the cover is like after a round.
func (m *Metrics) Covered(c Cover) {
	m.cover.Store(&c)
	m.learned.Add(float64(c.Learned))
}

// covered is nothing before there was a round.
func (m *Metrics) covered(metrics chan<- prometheus.Metric) {
	c := m.cover.Load()
	if c == nil {
		return
	}
	now := m.now()
	for d, value := range map[*prometheus.Desc]float64{
		featuresDesc:     float64(c.Features),
		classesDesc:      float64(c.Classes),
		detectionDesc:    max(c.Detection, now.Sub(c.OldestFeature)).Seconds(),
		answerDesc:       now.Sub(c.OldestAnswer).Seconds(),
		intervalDesc:     c.Interval.Seconds(),
		fullIntervalDesc: c.FullInterval.Seconds(),
	} {
		metrics <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value)
	}
}

// Failed counts an audit that failed as a whole.
func (m *Metrics) Failed(reason string) { m.errors.WithLabelValues(reason).Inc() }

// Reloaded tells whether the configuration file is in force.
func (m *Metrics) Reloaded(ok bool) {
	if ok {
		m.reload.Set(1)
		return
	}
	m.reload.Set(0)
}

// DryRun counts a dry run by its result.
func (m *Metrics) DryRun(result string) { m.dryRuns.WithLabelValues(result).Inc() }

// RolledOut counts what became of the workloads of a rollout, without those that it left
// alone.
func (m *Metrics) RolledOut(done *report.Report) {
	for _, item := range done.Items {
		switch r := item.Rollout; {
		case r.StartedAt != nil, r.Result.Success(), r.Result == report.Failed:
			m.rollouts.WithLabelValues(kindOf(item), item.Rollout.Strategy, string(item.Rollout.Result)).Inc()
		}
	}
}

// Sinks has each of these sinks have its series, before it is sent anything.
func (m *Metrics) Sinks(names ...string) {
	for _, name := range names {
		for _, result := range notify.Results() {
			m.notified.WithLabelValues(name, result)
		}
	}
}

// Notified counts a message by its sink's name and what became of it.
func (m *Metrics) Notified(sink, result string) { m.notified.WithLabelValues(sink, result).Inc() }

// Describe is prometheus.Collector's.
func (m *Metrics) Describe(descriptions chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{podsDesc, workloadsDesc, workloadPodsDesc, staleDesc, biasedDesc, injectorDownDesc, ratioDesc, oldestDesc, progressDesc, lastSuccessDesc, featuresDesc, classesDesc, detectionDesc, answerDesc, intervalDesc, fullIntervalDesc} {
		descriptions <- d
	}
	for _, d := range []*prometheus.Desc{changesDesc, startedDesc, changeWorkloadsDesc, changePodsDesc, waveWorkloadsDesc, waveDriftedDesc, waveChangesDesc, versionsDesc} {
		descriptions <- d
	}
}

// Collect is prometheus.Collector's: nothing but how far it is before the first audit has
// ended.
func (m *Metrics) Collect(metrics chan<- prometheus.Metric) {
	if share := m.progress.Load(); share != nil {
		metrics <- prometheus.MustNewConstMetric(progressDesc, prometheus.GaugeValue, *share)
	}
	m.covered(metrics)
	last := m.last.Load()
	if last == nil {
		return
	}
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	for key, n := range pods(last.report) {
		gauge(podsDesc, float64(n), key.namespace, string(key.state))
	}
	for key, n := range workloads(last.report) {
		gauge(workloadsDesc, float64(n), key.namespace, key.kind, string(key.state))
	}
	each := blockedPods
	if last.each {
		each = workloadPods
	}
	for key, n := range each(last.report) {
		gauge(workloadPodsDesc, float64(n), key.namespace, key.kind, key.name, string(key.state))
	}
	for namespace, since := range last.oldest {
		gauge(oldestDesc, m.now().Sub(since).Seconds(), namespace)
	}
	gauge(staleDesc, float64(last.report.Stale()))
	gauge(biasedDesc, float64(last.report.Biased().Workloads))
	last.collectChanges(gauge)
	collectWaves(last.report.Waves, gauge)
	collectVersions(last.versions(), gauge)
	for _, outage := range last.report.Outages {
		gauge(injectorDownDesc, 1, outage.Webhook)
	}
	// Where nothing could be asked, no share is known, least of all none.
	if s := last.report.Summary; s.DriftPercent != nil || s.Pods[verdict.Unknown] == 0 {
		gauge(ratioDesc, s.Drift()/100)
	}
	gauge(lastSuccessDesc, float64(last.ended.UnixMilli())/1000)
}
