package metrics

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

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
