package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sidecar-drift/sidecar-drift/auditor/config"
	"github.com/sidecar-drift/sidecar-drift/auditor/metrics"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/auditor/watch"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

func workload(name string, state verdict.State) report.Item {
	return report.Item{Namespace: "shop", Kind: "Deployment", Name: name, State: state, Pods: map[verdict.State]int{state: 1}}
}

func reportOf(items ...report.Item) *report.Report {
	return report.New(report.DriftReport, time.Now(), items, 0)
}

// recorded is a loop whose rounds are taken down, "TIME SCOPE", and answered by
// answer; rollouts get nothing to do unless a test gives it a healer.
type recorded struct {
	*loop
	conf   config.Configuration
	begin  time.Time
	audits []string
	answer func() (*report.Report, error)
}

var scopes = map[watch.Scope]string{watch.Changes: "changes", watch.Cover: "cover", watch.Everything: "everything"}

func newRecorded(every time.Duration) *recorded {
	r := &recorded{begin: time.Now(), conf: config.Default(), loop: newLoop()}
	r.conf.Interval.Duration = every
	r.answer = func() (*report.Report, error) { return reportOf(workload("web", verdict.InSync)), nil }
	r.metrics, r.log = metrics.New(prometheus.NewRegistry()), logr.Discard()
	r.memory = newMemory(newCluster().CoreV1().ConfigMaps("sidecar-drift"), "sidecar-drift-auditor")
	r.page = &page{masker: mask.Constant}
	r.history = newHistory(newCluster().CoreV1().ConfigMaps("sidecar-drift"), DefaultName)
	r.kept = &lastReport{objects: newCluster().CoreV1().ConfigMaps("sidecar-drift"), name: "sidecar-drift-auditor-report", masker: mask.Constant}
	r.first = &progress{log: r.log, metric: r.metrics.Progress}
	r.heal = func(context.Context, config.Configuration, *report.Report) {}
	r.loop.config = func() config.Configuration { return r.conf }
	r.round = func(_ context.Context, _ config.Configuration, due request) (watch.Round, error) {
		audit := fmt.Sprint(time.Since(r.begin).Round(time.Second), " ", scopes[due.scope])
		for _, concern := range due.concerns {
			audit += " " + concern.Namespace + concern.Object
		}
		r.audits = append(r.audits, audit)
		found, err := r.answer()
		return watch.Round{Report: found}, err
	}
	return r
}

// start runs the loop until the test ends.
func (r *recorded) start(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { r.run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
}

func TestAuditsAtTheIntervalWithJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorded(10 * time.Minute)
		r.start(t)
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if n := len(r.audits); n < 130 || n > 160 {
			t.Errorf("%d audits in a day, want about 144", n)
		}
		slices.Sort(r.audits)
		if len(slices.Compact(slices.Clone(r.audits))) != len(r.audits) {
			t.Error("two audits at a time")
		}
	})
}

func TestChangesAreActedUponOnceTheyAreOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorded(time.Hour)
		r.start(t)
		time.Sleep(time.Minute)
		for range 5 { // an upgrade, which takes five seconds
			r.changes.ask(watch.Changes, "MutatingWebhookConfiguration istio", watch.Concern{Object: "MutatingWebhookConfiguration/istio"})
			r.changes.ask(watch.Changes, "Namespace shop", watch.Concern{Namespace: "shop"})
			r.changes.ask(watch.Changes, "Pods changed")
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		r.changes.ask(watch.Changes, "Pods changed")
		time.Sleep(time.Minute)
		r.changes.ask(watch.Changes, "Pods changed")
		r.changes.ask(watch.Cover, "ConfigMap istio-sidecar-injector")
		time.Sleep(time.Minute)
		synctest.Wait()
		want := []string{"0s everything", "1m7s changes MutatingWebhookConfiguration/istio shop", "2m8s changes", "3m8s cover"}
		if diff := cmp.Diff(want, r.audits); diff != "" {
			t.Errorf("rounds (-want +got):\n%s", diff)
		}
	})
}

// Pods that come and go all the time put off no round of the cover.
func TestPodsThatChangeAllTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorded(time.Minute)
		r.start(t)
		go func() {
			for range 600 {
				time.Sleep(time.Second)
				r.changes.ask(watch.Changes, "Pods changed")
			}
		}()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		covers := 0
		for _, audit := range r.audits {
			if strings.HasSuffix(audit, "cover") {
				covers++
			}
		}
		// A change is waited for up to half a minute more.
		if covers < 6 || covers > 11 || len(r.audits)-covers > 21 {
			t.Errorf("in ten minutes: %v", r.audits)
		}
	})
}

// Objects that never cease to change cannot put an audit off for ever.
func TestPatienceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorded(time.Hour)
		r.start(t)
		go func() {
			for range 120 {
				time.Sleep(time.Second)
				r.changes.ask(watch.Everything, "Namespace")
			}
		}()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if n := len(r.audits); n < 4 || n > 5 {
			t.Errorf("%d audits in two minutes of changes: %v", n, r.audits)
		}
	})
}

func TestAFailedAuditIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorded(time.Minute)
		r.answer = func() (*report.Report, error) {
			if time.Since(r.begin) < 2*time.Minute {
				return nil, errors.New("connection refused")
			}
			return reportOf(), nil
		}
		r.start(t)
		time.Sleep(150 * time.Second)
		synctest.Wait()
		want := []string{"0s everything", "5s everything", "15s everything", "35s everything", "1m15s everything", "2m15s everything"}
		if diff := cmp.Diff(want, r.audits); diff != "" {
			t.Errorf("audits (-want +got):\n%s", diff)
		}
	})
}

// What is of concern is seen to by the next audit that ends well.
func TestConcernsOutliveAFailedAudit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorded(time.Hour)
		r.answer = func() (*report.Report, error) {
			if at := time.Since(r.begin); at > time.Minute && at < 80*time.Second {
				return nil, errors.New("connection refused")
			}
			return reportOf(), nil
		}
		r.start(t)
		time.Sleep(time.Minute)
		r.changes.ask(watch.Changes, "Namespace shop", watch.Concern{Namespace: "shop"})
		time.Sleep(4 * time.Second)
		r.changes.ask(watch.Changes, "Namespace pay", watch.Concern{Namespace: "pay"})
		time.Sleep(time.Minute)
		synctest.Wait()
		want := []string{"0s everything", "1m3s changes shop", "1m7s changes shop pay", "1m17s changes shop pay", "1m37s changes shop pay"}
		if diff := cmp.Diff(want, r.audits); diff != "" {
			t.Errorf("audits (-want +got):\n%s", diff)
		}
	})
}

func TestAgesOutliveTheirAuditor(t *testing.T) {
	objects := newCluster().CoreV1().ConfigMaps("sidecar-drift")
	first := newMemory(objects, "ages")
	monday := time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
	first.update(reportOf(workload("web", verdict.Drifted), workload("api", verdict.InSync)), monday)
	first.update(reportOf(workload("web", verdict.Missing), workload("api", verdict.Orphaned)), monday.Add(time.Hour))
	for range 2 { // once to create it, once for nothing
		if err := first.save(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	second := newMemory(objects, "ages")
	if err := second.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := ages{refOf(workload("web", "")): monday, refOf(workload("api", "")): monday.Add(time.Hour)}
	if diff := cmp.Diff(want, second.since); diff != "" {
		t.Errorf("ages (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]time.Time{"shop": monday}, second.oldest()); diff != "" {
		t.Errorf("oldest (-want +got):\n%s", diff)
	}
	second.update(reportOf(workload("web", verdict.InSync)), monday.Add(2*time.Hour))
	if len(second.since) != 0 {
		t.Errorf("ages of what no longer drifts: %v", second.since)
	}
}
