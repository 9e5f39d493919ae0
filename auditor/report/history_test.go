package report_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/cause"
	"github.com/sidecar-drift/sidecar-drift/auditor/journal"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

func TestHistory(t *testing.T) {
	now := time.Date(2026, 1, 13, 14, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	half := ago(20 * time.Hour)
	entries := []journal.Entry{
		{
			ID: "3f0c29d1aa", Summary: "istio-proxy image 1.28.0 → 1.29.0, cpu 150m → 200m", Kind: "image", Risk: "version",
			Began: journal.Interval{After: ago(26*time.Hour + 4*time.Second), By: ago(26 * time.Hour)}, Reach: journal.Reach{Workloads: 46, Pods: 98, Namespaces: 12},
			Open: 12, RolledOut: 33, Gone: 1, Half: &half,
			Places: []journal.Place{
				{Part: "container/istio-proxy", Path: "image", From: `"istio/proxyv2:1.28.0"`, To: `"istio/proxyv2:1.29.0"`},
				{Part: "container/istio-proxy", Path: "resources.requests.cpu", From: `"150m"`, To: `"200m"`},
				{Part: "container/istio-proxy", Path: "env[NEW]", To: `{"name":"NEW"}`}, {Part: "pod", Path: "hostNetwork", From: "true"},
			},
			Names: []journal.Name{{Kind: "Deployment", Namespace: "shop", Name: "web\x1b[31m"}, {Kind: "StatefulSet", Namespace: "shop", Name: "db"}},
		},
		{
			ID: "aa0c29d1ff", Summary: "daprd is added\x1b[2J", Kind: "container added", Risk: "behaviour", Began: journal.Interval{By: ago(72 * time.Hour)},
			Reach: journal.Reach{Workloads: 1, Pods: 1, Namespaces: 1}, RolledOut: 1, Ended: &journal.End{At: ago(70 * time.Hour), How: journal.RolledOut},
		},
		{
			ID: "bb0c29d1ff", Summary: "istio-proxy log level", Began: journal.Interval{After: ago(100 * time.Hour), By: ago(99 * time.Hour)},
			Reach: journal.Reach{Workloads: 3, Pods: 3, Namespaces: 1}, TakenBack: 3, Ended: &journal.End{At: ago(98 * time.Hour), How: journal.TakenBack},
			Names: []journal.Name{{Kind: "Deployment", Namespace: "shop", Name: "web"}},
		},
	}
	earlier := journal.Earlier{Changes: 7, Since: ago(2000 * time.Hour), Until: ago(1000 * time.Hour)}
	explained := slices.Clone(entries)
	at := ago(26*time.Hour + 2*time.Second)
	explained[0].By = "helm updated ConfigMap istio-system/istio-sidecar-injector (data.values), 2s before it was seen"
	explained[0].Writes = []cause.Write{{
		Kind: "ConfigMap", Namespace: "istio-system", Name: "istio-sidecar-injector", Manager: "helm", What: cause.Updated,
		Fields: []string{"data.values"}, Time: &at, Certainty: cause.Sure, Why: "between the last answer before the change and the first after it",
	}}
	explained[1].By = "not known: it was there at the first audit, and nothing tells since when"
	explained[2].By = "one of these two: …"
	explained[2].Writes = []cause.Write{
		{Kind: "Namespace", Name: "shop", Manager: "kubectl-label\x1b[2J", What: cause.Updated, Fields: []string{"metadata.labels[istio.io/rev]"}, Time: &at, Certainty: cause.Possible},
		{Kind: "LimitRange", Namespace: "shop", Name: "defaults", What: cause.Deleted, Certainty: cause.Possible},
	}
	for name, width := range map[string]int{"history.txt": 0, "history-80.txt": 80} {
		var out bytes.Buffer
		h := report.NewHistory(entries, earlier)
		h.Cluster = &report.ClusterIdentity{Name: "prod-eu", Server: "https://api.eu.example.com"}
		if err := h.WriteTable(&out, report.TextOptions{Width: width}); err != nil {
			t.Fatal(err)
		}
		golden(t, name, out.Bytes())
	}
	var table bytes.Buffer
	if err := report.NewHistory(explained, earlier).WriteTable(&table, report.TextOptions{Width: 120}); err != nil {
		t.Fatal(err)
	}
	golden(t, "history-by.txt", table.Bytes())
	var out bytes.Buffer
	for _, e := range explained {
		if err := report.WriteChange(&out, e, now, report.TextOptions{}); err != nil {
			t.Fatal(err)
		}
		out.WriteString("--\n")
	}
	golden(t, "history-show.txt", out.Bytes())
}
