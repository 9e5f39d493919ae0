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
	"github.com/sidecar-drift/sidecar-drift/auditor/versions"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

func specOf(t *testing.T, container, image string) versions.Spec {
	t.Helper()
	pod, err := jsontree.Parse(fmt.Appendf(nil, `{"spec":{"containers":[{"name":%q,"image":%q}]}}`, container, image))
	if err != nil {
		t.Fatal(err)
	}
	specs, err := versions.OfSidecars(pod, []string{container})
	if err != nil || len(specs) != 1 {
		t.Fatal(err, len(specs))
	}
	return specs[0]
}

func runs(t *testing.T, name, container, image string, pods int, wanted ...versions.Spec) report.Item {
	i := item("shop", "Deployment", name, verdict.InSync, pods)
	i.Revisions = []report.Revision{{Name: name, Running: []versions.Running{{Spec: specOf(t, container, image), Pods: pods}}, Wanted: wanted}}
	return i
}

func TestVersions(t *testing.T) {
	fresh := specOf(t, "istio-proxy", "p:2")
	registry := prometheus.NewPedanticRegistry()
	New(registry).Audited(found(
		runs(t, "web", "istio-proxy", "p:1", 3, fresh), runs(t, "api", "istio-proxy", "p:1", 1, fresh), runs(t, "db", "istio-proxy", "p:2", 2, fresh),
		runs(t, "own", "anybodys-text", "p:2", 1, specOf(t, "anybodys-text", "p:2")),
	), nil, time.Second, false)
	want := "# HELP sidecar_drift_versions Pods by the version of a sidecar that they run, as \"sidecar-drift versions\" shows it, and whether re-created ones would get the same: those that most Pods run, 50 at most.\n" +
		"# TYPE sidecar_drift_versions gauge\n" +
		"sidecar_drift_versions{current=\"false\",injector=\"istio\",version=\"" + specOf(t, "istio-proxy", "p:1").ID().String() + "\"} 4\n" +
		"sidecar_drift_versions{current=\"true\",injector=\"istio\",version=\"" + fresh.ID().String() + "\"} 2\n" +
		"sidecar_drift_versions{current=\"true\",injector=\"other\",version=\"" + specOf(t, "anybodys-text", "p:2").ID().String() + "\"} 1\n"
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "sidecar_drift_versions"); err != nil {
		t.Error(err)
	}
}

func TestVersionsAreBounded(t *testing.T) {
	var items []report.Item
	for i := range mostVersions + 20 {
		items = append(items, runs(t, fmt.Sprint("w", i), "istio-proxy", fmt.Sprint("p:", i), 1))
	}
	registry := prometheus.NewPedanticRegistry()
	New(registry).Audited(found(items...), nil, time.Second, false)
	if n, err := testutil.GatherAndCount(registry, "sidecar_drift_versions"); err != nil || n != mostVersions {
		t.Errorf("%d series: %v", n, err)
	}
}
