package report_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/versions"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// specOf is that of a Pod with one sidecar.
func specOf(t *testing.T, image, cpu, password string) versions.Spec {
	t.Helper()
	pod, err := jsontree.Parse([]byte(`{"metadata":{"annotations":{"istio.io/rev":"default\u001b[31m"}},"spec":{"containers":[
		{"name":"istio-proxy","image":"` + image + `","env":[{"name":"DB_PASSWORD","value":"` + password + `"}],"resources":{"requests":{"cpu":"` + cpu + `"}}}],
		"initContainers":[{"name":"istio-init","image":"` + image + `"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	specs, err := versions.OfSidecars(pod, []string{"istio-proxy", "istio-init"})
	if err != nil || len(specs) != 1 {
		t.Fatal(err, len(specs))
	}
	return specs[0]
}

func TestVersions(t *testing.T) {
	now := time.Date(2026, 1, 13, 14, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	old := specOf(t, "docker.io/istio/proxyv2:1.28.0", "150m", "correct horse battery")
	fresh := specOf(t, "docker.io/istio/proxyv2:1.29.0", "200m", "staple 7f3a91c0")
	census := new(versions.Census)
	web, db := versions.Workload{Namespace: "shop", Kind: "Deployment", Name: "web"}, versions.Workload{Namespace: "shop", Kind: "StatefulSet", Name: "db"}
	census.Add(web, []versions.Running{{Spec: old, Pods: 90, Oldest: ago(71 * 24 * time.Hour), Youngest: ago(26 * time.Hour)}, {Spec: fresh, Pods: 8, Oldest: ago(25 * time.Hour), Youngest: ago(time.Hour)}}, []versions.Spec{fresh}, true)
	census.Add(db, []versions.Running{{Spec: old, Pods: 3, Oldest: ago(40 * time.Hour), Youngest: ago(40 * time.Hour)}}, nil, true)

	masked := report.NewVersions(census, 120, true, mask.New([]byte("key")))
	text, err := json.Marshal(masked)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "correct horse") || strings.Contains(string(text), "7f3a91c0") || !strings.Contains(string(text), "***") {
		t.Errorf("a secret is in it, or no mask: %s", text)
	}
	masked.Notes = []string{"what re-created Pods would get is not known"}
	for name, width := range map[string]int{"versions.txt": 0, "versions-100.txt": 100} {
		var out bytes.Buffer
		if err := masked.WriteTable(&out, now, report.TextOptions{Width: width}); err != nil {
			t.Fatal(err)
		}
		golden(t, name, out.Bytes())
	}
	var out bytes.Buffer
	if err := report.NewVersions(new(versions.Census), 7, true, mask.Off()).WriteTable(&out, now, report.TextOptions{}); err != nil || out.String() != "No container is injected into any of 7 Pods.\n" {
		t.Errorf("%v: %q", err, out.String())
	}
}

// The page says what runs, without what is secret in it.
func TestVersionsOnThePage(t *testing.T) {
	old, fresh := specOf(t, "docker.io/istio/proxyv2:1.28.0", "150m", "correct horse battery"), specOf(t, "docker.io/istio/proxyv2:1.29.0", "150m", "staple 7f3a91c0")
	r := &report.Report{Items: []report.Item{{
		Namespace: "shop", Kind: "Deployment", Name: "web", State: "Drifted",
		Revisions: []report.Revision{{Running: []versions.Running{{Spec: old, Pods: 3}}, Wanted: []versions.Spec{fresh}}},
	}}}
	var out bytes.Buffer
	if err := (report.Page{Report: r.Masked(mask.Off())}).WriteHTML(&out); err != nil {
		t.Fatal(err)
	}
	page := out.String()
	if !strings.Contains(page, `"images":"istio-proxy proxyv2:1.28.0","pods":3`) || !strings.Contains(page, "becomes "+fresh.ID().String()) {
		t.Error("the page does not say what runs")
	}
	if strings.Contains(page, "correct horse") || strings.Contains(page, "7f3a91c0") {
		t.Error("a secret is on the page")
	}
}
