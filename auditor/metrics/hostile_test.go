package metrics

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// kindNames are what a tenant may write into an owner reference's kind, and what
// the inventory makes of a group that has taken a known kind's name.
var kindNames = []string{
	"Deployment", "Deployment.evil.io", "Pod", "other", "Foo", "foo payments/x", "Foo payments/x", "payments", "", "\x00", "Foo\nBar",
	`x",namespace="payments`, strings.Repeat("K", 300_000), "ReplicaSet ", "deployment", "Rollout.evil.io",
}

// Whatever kinds and names somebody invents in one namespace, the series are no
// more than namespaces × states × known kinds, and no other namespace has another
// one for it.
func TestInventedKinds(t *testing.T) {
	const namespaces, knownKinds = 4, 8
	var honest, hostile []report.Item
	for n := range 400 {
		honest = append(honest, item(fmt.Sprint("namespace-", n%namespaces), "Deployment", fmt.Sprint("w-", n), verdict.States()[n%10], 1))
	}
	for n := range 5_000 {
		kind := kindNames[n%len(kindNames)]
		if n%3 == 0 {
			kind = fmt.Sprint("Kind", n)
		}
		hostile = append(hostile, item("namespace-0", kind, fmt.Sprintf("payments/%d", n), verdict.States()[n%10], 1))
	}
	without := gather(t, found(honest...))
	with := gather(t, found(append(hostile, honest...)...))
	for _, family := range []string{"sidecar_drift_pods", "sidecar_drift_workloads"} {
		elsewhere := func(series map[string]float64) map[string]float64 {
			left := map[string]float64{}
			for labels, value := range series {
				if !strings.Contains(labels, `namespace="namespace-0"`) {
					left[labels] = value
				}
			}
			return left
		}
		if was, is := fmt.Sprint(elsewhere(without[family])), fmt.Sprint(elsewhere(with[family])); was != is {
			t.Errorf("%s of other namespaces\n%s, without those Pods\n%s", family, is, was)
		}
	}
	if n, limit := len(with["sidecar_drift_workloads"]), namespaces*10*(knownKinds+1); n > limit {
		t.Errorf("%d series of workloads, want at most %d", n, limit)
	}
	if n, limit := len(with["sidecar_drift_pods"]), namespaces*10; n > limit {
		t.Errorf("%d series of Pods, want at most %d", n, limit)
	}
	for labels := range with["sidecar_drift_workloads"] {
		if len(labels) > 200 {
			t.Errorf("labels of %d bytes: %.200s…", len(labels), labels)
		}
	}
}

// Workloads whose labels are the same share a series: a scrape with one twice fails
// as a whole.
func TestInventedWorkloads(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	m := New(registry)
	m.Audited(found(
		item("shop", "Foo", "web", verdict.Drifted, 1), item("shop", "Bar", "web", verdict.Drifted, 2),
		item("shop", "Deployment.evil.io", "web", verdict.Drifted, 4), item("shop", "Deployment", "web", verdict.Drifted, 8),
	), nil, time.Second, true)
	got := gathered(t, registry)["sidecar_drift_workload_pods"]
	want := map[string]float64{
		`kind="Deployment",name="web",namespace="shop",state="Drifted"`: 8,
		`kind="other",name="web",namespace="shop",state="Drifted"`:      7,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// What is Blocked is told by name without being asked for. No namespace keeps that of others
// out, and no name is longer than an object's.
func TestBlockedWorkloads(t *testing.T) {
	var items []report.Item
	for n := range 10 * mostBlocked {
		items = append(items, item("a-crowd", "Deployment", fmt.Sprint("w-", n), verdict.Blocked, 1))
	}
	items = append(items,
		item("shop", "Deployment", "bomb", verdict.Blocked, 2), item("shop", "Deployment", "web", verdict.Drifted, 3),
		item("tricks", "Foo", strings.Repeat("n", 300_000), verdict.Blocked, 4), item("tricks", "Bar", "a b", verdict.Blocked, 1),
	)
	got := gather(t, found(items...))["sidecar_drift_workload_pods"]
	if len(got) != mostBlocked {
		t.Errorf("%d series, want %d", len(got), mostBlocked)
	}
	for labels, want := range map[string]float64{
		`kind="Deployment",name="bomb",namespace="shop",state="Blocked"`: 2,
		`kind="Deployment",name="web",namespace="shop",state="Drifted"`:  0,
		`kind="other",name="other",namespace="tricks",state="Blocked"`:   5,
	} {
		if got[labels] != want {
			t.Errorf("%s is %v, want %v", labels, got[labels], want)
		}
	}
}

func TestRolloutsOfInventedKinds(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	m := New(registry)
	done := report.Rollout{Strategy: "restart", Result: report.Failed}
	for n := range 100 {
		m.RolledOut(found(report.Item{Kind: fmt.Sprint("Kind", n), Rollout: done}))
	}
	got := gathered(t, registry)["sidecar_drift_rollouts_total"]
	if want := map[string]float64{`kind="other",result="Failed",strategy="restart"`: 100}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func gather(t *testing.T, r *report.Report) map[string]map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	m := New(registry)
	m.Audited(r, nil, time.Second, false)
	return gathered(t, registry)
}

// gathered are the values by family and labels.
func gathered(t *testing.T, registry *prometheus.Registry) map[string]map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string]float64{}
	for _, family := range families {
		series := map[string]float64{}
		for _, metric := range family.Metric {
			var labels []string
			for _, pair := range metric.Label {
				labels = append(labels, fmt.Sprintf("%s=%q", pair.GetName(), pair.GetValue()))
			}
			series[strings.Join(labels, ",")] = metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
		}
		all[family.GetName()] = series
	}
	return all
}
