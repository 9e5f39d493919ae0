package metrics

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

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
	for n := range 2 * mostStarted {
		r.Changes = append(r.Changes, report.ChangeSummary{ID: fmt.Sprint(n), Risk: change.Version, Since: &since})
	}
	if n, err := testutil.GatherAndCount(registry, name); err != nil || n != mostStarted-1 {
		t.Errorf("%d series of %d changes, %v", n, len(r.Changes), err)
	}
}
