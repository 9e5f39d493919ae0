package metrics

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

func item(namespace, kind, name string, state verdict.State, pods int) report.Item {
	return report.Item{Namespace: namespace, Kind: kind, Name: name, State: state, Pods: map[verdict.State]int{state: pods}}
}

func found(items ...report.Item) *report.Report {
	return report.New(report.DriftReport, time.Now(), items, 0)
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	m := New(registry)
	now := time.Unix(1_000_000, 0)
	m.now = func() time.Time { return now }

	// Nothing is known yet: no number is better than a wrong one.
	if n, err := testutil.GatherAndCount(registry, "sidecar_drift_pods", "sidecar_drift_ratio", "sidecar_drift_audit_last_success_timestamp_seconds"); err != nil || n != 0 {
		t.Errorf("%d series before the first audit (%v)", n, err)
	}
	m.Audited(found(
		item("shop", "Deployment", "web", verdict.Drifted, 3), item("shop", "Deployment", "api", verdict.InSync, 1),
		item("pay", "StatefulSet", "db", verdict.Blocked, 2),
	), map[string]time.Time{"shop": now.Add(-time.Hour)}, 3*time.Second, false)
	m.DryRun("answered")
	m.Failed(Timeout)
	m.RolledOut(found(report.Item{Kind: "Deployment", Rollout: report.Rollout{Strategy: "restart", Result: report.RolledOut}},
		report.Item{Kind: "Deployment", Rollout: report.Rollout{Result: report.Skipped}}))
	want := `
# HELP sidecar_drift_audit_last_success_timestamp_seconds When the last round of an audit ended well, in Unix time.
# TYPE sidecar_drift_audit_last_success_timestamp_seconds gauge
sidecar_drift_audit_last_success_timestamp_seconds 1e+06
# HELP sidecar_drift_oldest_drift_seconds For how long the workload that drifted first has drifted.
# TYPE sidecar_drift_oldest_drift_seconds gauge
sidecar_drift_oldest_drift_seconds{namespace="shop"} 3600
# HELP sidecar_drift_pods Pods by the state that the last audit gave them.
# TYPE sidecar_drift_pods gauge
sidecar_drift_pods{namespace="pay",state="Blocked"} 2
sidecar_drift_pods{namespace="pay",state="Drifted"} 0
sidecar_drift_pods{namespace="pay",state="InSync"} 0
sidecar_drift_pods{namespace="pay",state="Missing"} 0
sidecar_drift_pods{namespace="pay",state="Modified"} 0
sidecar_drift_pods{namespace="pay",state="Orphaned"} 0
sidecar_drift_pods{namespace="shop",state="Blocked"} 0
sidecar_drift_pods{namespace="shop",state="Drifted"} 3
sidecar_drift_pods{namespace="shop",state="InSync"} 1
sidecar_drift_pods{namespace="shop",state="Missing"} 0
sidecar_drift_pods{namespace="shop",state="Modified"} 0
sidecar_drift_pods{namespace="shop",state="Orphaned"} 0
# HELP sidecar_drift_ratio Share of the cluster's injected Pods that drifted, 0 to 1: Drifted, Missing and Orphaned among those and InSync and Modified.
# TYPE sidecar_drift_ratio gauge
sidecar_drift_ratio 0.75
# HELP sidecar_drift_rollouts_total Workloads that rollouts ended with, by result.
# TYPE sidecar_drift_rollouts_total counter
sidecar_drift_rollouts_total{kind="Deployment",result="RolledOut",strategy="restart"} 1
# HELP sidecar_drift_workloads Workloads by the state that the last audit gave them, which is their worst Pod's.
# TYPE sidecar_drift_workloads gauge
sidecar_drift_workloads{kind="Deployment",namespace="shop",state="Drifted"} 1
sidecar_drift_workloads{kind="Deployment",namespace="shop",state="InSync"} 1
sidecar_drift_workloads{kind="StatefulSet",namespace="pay",state="Blocked"} 1
`
	names := []string{
		"sidecar_drift_audit_last_success_timestamp_seconds", "sidecar_drift_oldest_drift_seconds", "sidecar_drift_pods",
		"sidecar_drift_ratio", "sidecar_drift_rollouts_total", "sidecar_drift_workloads",
	}
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}

	// Between rounds, what was not asked about gets older.
	m.Covered(Cover{Features: 7, Learned: 1, Detection: 31 * time.Second, OldestFeature: now, OldestAnswer: now.Add(-time.Minute), Interval: 30 * time.Second, FullInterval: time.Hour})
	covered := `
# HELP sidecar_drift_detection_seconds The longest that any feature has not been asked for, as measured: so soon is a change known that reaches several workloads.
# TYPE sidecar_drift_detection_seconds gauge
sidecar_drift_detection_seconds %d
# HELP sidecar_drift_full_interval_seconds The configured time within which every workload is to be asked about.
# TYPE sidecar_drift_full_interval_seconds gauge
sidecar_drift_full_interval_seconds 3600
# HELP sidecar_drift_interval_seconds The configured time between two rounds of the cover, within which each feature is to be asked for.
# TYPE sidecar_drift_interval_seconds gauge
sidecar_drift_interval_seconds 30
# HELP sidecar_drift_oldest_answer_seconds Age of the oldest answer about a workload: so soon is a change known whatever it reaches.
# TYPE sidecar_drift_oldest_answer_seconds gauge
sidecar_drift_oldest_answer_seconds %d
`
	for _, test := range []struct{ after, detection, answer int }{{0, 31, 60}, {20, 31, 80}, {40, 60, 120}} {
		now = now.Add(time.Duration(test.after) * time.Second)
		err := testutil.GatherAndCompare(registry, strings.NewReader(fmt.Sprintf(covered, test.detection, test.answer)), "sidecar_drift_detection_seconds", "sidecar_drift_oldest_answer_seconds",
			"sidecar_drift_interval_seconds", "sidecar_drift_full_interval_seconds")
		if err != nil {
			t.Error(err)
		}
	}
	now = now.Add(-time.Minute)

	// A round of what changed does not count.
	now = now.Add(time.Minute)
	m.Audited(found(item("shop", "Deployment", "web", verdict.InSync, 3)), nil, 0, false)
	stale := `
# HELP sidecar_drift_audit_last_success_timestamp_seconds When the last round of an audit ended well, in Unix time.
# TYPE sidecar_drift_audit_last_success_timestamp_seconds gauge
sidecar_drift_audit_last_success_timestamp_seconds 1e+06
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(stale), "sidecar_drift_audit_last_success_timestamp_seconds"); err != nil {
		t.Error(err)
	}
}

// A workload has series of its own where that is asked for.
func TestWorkloadMetrics(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	m := New(registry)
	web := item("shop", "Deployment", "web", verdict.Drifted, 3)
	web.Pods[verdict.InSync] = 1
	m.Audited(found(web, item("shop", "Deployment", "api", verdict.InSync, 1)), nil, time.Second, true)
	want := `
# HELP sidecar_drift_workload_pods A workload's Pods by the state that the last audit gave them: of all states where it is asked for, else of Blocked ones, 100 workloads at most.
# TYPE sidecar_drift_workload_pods gauge
sidecar_drift_workload_pods{kind="Deployment",name="api",namespace="shop",state="InSync"} 1
sidecar_drift_workload_pods{kind="Deployment",name="web",namespace="shop",state="Drifted"} 3
sidecar_drift_workload_pods{kind="Deployment",name="web",namespace="shop",state="InSync"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "sidecar_drift_workload_pods"); err != nil {
		t.Error(err)
	}
}

// Without that, the number of series does not grow with the number of Pods or workloads.
func TestCardinality(t *testing.T) {
	series := func(pods int) int {
		registry := prometheus.NewRegistry()
		m := New(registry)
		var items []report.Item
		states := verdict.States()
		for n := range pods {
			kind := []string{"Deployment", "StatefulSet", "DaemonSet"}[n%3]
			items = append(items, item(fmt.Sprint("namespace-", n%40), kind, fmt.Sprint("w-", n), states[n%len(states)], 1))
		}
		m.Audited(found(items...), nil, time.Second, false)
		n, err := testutil.GatherAndCount(registry)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	few, many := series(2_000), series(20_000)
	if few != many {
		t.Errorf("%d series for 2,000 Pods, %d for 20,000", few, many)
	}
	if limit := 40*(10+3*10) + 100; many > limit {
		t.Errorf("%d series, want at most %d", many, limit)
	}
}
