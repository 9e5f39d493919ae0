package metrics

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// A change counts once, however many workloads have it.
func TestChanges(t *testing.T) {
	cpu := verdict.Change{Part: "container/p", Path: "resources.requests.cpu", From: json.RawMessage(`"1"`), To: json.RawMessage(`"2"`)}
	port := verdict.Change{Part: "container/p", Path: "ports[80]", To: json.RawMessage(`{}`)}
	differs := func(name string, changes ...verdict.Change) report.Item {
		i := item("shop", "Deployment", name, verdict.Drifted, 1)
		i.Revisions = []report.Revision{{Name: name, State: verdict.Drifted, Pods: 1, Changes: changes}}
		return i
	}
	registry := prometheus.NewPedanticRegistry()
	New(registry).Audited(found(differs("web", cpu), differs("api", cpu), differs("db", cpu, port)), nil, time.Second, false)
	want := `
# HELP sidecar_drift_changes Changes of the injection that workloads differ in, each once however many these are, by risk.
# TYPE sidecar_drift_changes gauge
sidecar_drift_changes{risk="behaviour"} 1
sidecar_drift_changes{risk="cosmetic"} 0
sidecar_drift_changes{risk="loss"} 0
sidecar_drift_changes{risk="tuning"} 1
sidecar_drift_changes{risk="version"} 0
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "sidecar_drift_changes"); err != nil {
		t.Error(err)
	}
}

// Of each change that is open it is known since when it is, of no more than fifty.
func TestChangesStarted(t *testing.T) {
	since := time.Unix(1767355200, 0)
	r := found()
	r.Changes = []report.ChangeSummary{{ID: "3f0c29d1aa", Risk: change.Version, Since: &since}, {ID: "of unknown age", Risk: change.Loss}}
	registry := prometheus.NewPedanticRegistry()
	m := New(registry)
	m.Audited(r, nil, time.Second, false)
	const name = "sidecar_drift_change_started_timestamp_seconds"
	want := `
# HELP ` + name + ` When each change that workloads still differ in was first seen, in Unix time: those that most workloads have, 50 at most.
# TYPE ` + name + ` gauge
` + name + `{change="3f0c29d1aa",risk="version"} 1.7673552e+09
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), name); err != nil {
		t.Error(err)
	}
	r.Changes[1] = r.Changes[0]
	for n := range 2 * mostChanges {
		r.Changes = append(r.Changes, report.ChangeSummary{ID: fmt.Sprint(n), Risk: change.Version, Since: &since})
	}
	if n, err := testutil.GatherAndCount(registry, name); err != nil || n != mostChanges-1 {
		t.Errorf("%d series of %d changes, %v", n, len(r.Changes), err)
	}
}

// A change's reach is told whether or not it is known since when it is.
func TestChangesReach(t *testing.T) {
	r := found()
	r.Changes = []report.ChangeSummary{
		{ID: "3f0c29d1aa", Kind: change.Image, Risk: change.Version, Workloads: 46, Pods: 98},
		{ID: "3f0c29d1aa", Kind: change.Env, Risk: change.Behaviour, Workloads: 1, Pods: 1},
	}
	got := gather(t, r)
	for name, want := range map[string]float64{"sidecar_drift_change_workloads": 46, "sidecar_drift_change_pods": 98} {
		if diff := cmp.Diff(map[string]float64{`change="3f0c29d1aa",kind="image",risk="version"`: want}, got[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for n := range 2 * mostChanges {
		r.Changes = append(r.Changes, report.ChangeSummary{ID: fmt.Sprint(n), Kind: change.Image, Risk: change.Version})
	}
	if n := len(gather(t, r)["sidecar_drift_change_workloads"]); n != mostChanges-1 {
		t.Errorf("%d series of %d changes", n, len(r.Changes))
	}
}

// Of several changes, a wave is as far as the one with the most workloads left there.
func TestWaves(t *testing.T) {
	wave := func(name string, phase report.WavePhase, workloads, drifted int) report.WaveProgress {
		return report.WaveProgress{Name: name, Phase: phase, Workloads: workloads, Drifted: drifted}
	}
	r := found()
	r.Waves = []report.Progress{
		{Waves: []report.WaveProgress{wave("staging", report.WaveSoaking, 9, 0), wave("production", report.WaveWaiting, 40, 40)}},
		{Waves: []report.WaveProgress{wave("staging", report.WaveRollingOut, 3, 2), wave("production", report.WaveWaiting, 50, 7)}},
	}
	got := gather(t, r)
	want := map[string]map[string]float64{
		"sidecar_drift_wave_workloads":         {`order="1",wave="staging"`: 3, `order="2",wave="production"`: 40},
		"sidecar_drift_wave_drifted_workloads": {`order="1",wave="staging"`: 2, `order="2",wave="production"`: 40},
		"sidecar_drift_wave_changes": {
			`order="1",phase="Waiting",wave="staging"`: 0, `order="1",phase="RollingOut",wave="staging"`: 1,
			`order="1",phase="Soaking",wave="staging"`: 1, `order="1",phase="Over",wave="staging"`: 0,
			`order="2",phase="Waiting",wave="production"`: 2, `order="2",phase="RollingOut",wave="production"`: 0,
			`order="2",phase="Soaking",wave="production"`: 0, `order="2",phase="Over",wave="production"`: 0,
		},
	}
	for name, series := range want {
		if diff := cmp.Diff(series, got[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
