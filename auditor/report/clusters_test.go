package report_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

var errUnreachable = errors.New("cannot reach the API server at https://192.0.2.1:\ndial tcp: connection refused")

// severalClusters are two that were audited, of which one has no Pods, and one that
// could not be.
func severalClusters(t *testing.T) *report.Report {
	t.Helper()
	eu := read(t, report.DriftReport, "pipelines", 1)
	eu.Notes = []string{"something could not be read"}
	eu.Preview = &report.Preview{Labels: map[string]string{"rev": "2"}}
	return report.Merge(clock, []report.Audit{
		{Cluster: "eu/prod", Report: eu},
		{Cluster: "empty", Report: report.New(report.DriftReport, clock, nil, 2)},
		{Cluster: "us", Err: errUnreachable},
	}).Select(verdict.Blocked, verdict.Missing, verdict.InSync)
}

func TestMergedReportsLookAsInTheGoldenFiles(t *testing.T) {
	several := severalClusters(t)
	none := report.Merge(clock, []report.Audit{{Cluster: "eu", Err: errUnreachable}, {Cluster: "=us", Err: errors.New("-->")}})
	for format, extension := range map[report.Format]string{
		report.Table: "table.txt", report.Wide: "wide.txt", report.JSON: "report.json", report.CSV: "csv",
		report.Markdown: "md", report.JUnit: "xml", report.PolicyReport: "policyreport.yaml",
	} {
		t.Run(string(format), func(t *testing.T) {
			golden(t, "merged."+extension, written(t, several, format))
			golden(t, "merged-none."+extension, written(t, none, format))
		})
	}
	var diff, narrow bytes.Buffer
	if err := several.Masked(mask.Constant()).WriteDiff(&diff, report.TextOptions{}); err != nil {
		t.Fatal(err)
	}
	golden(t, "merged.diff.txt", diff.Bytes())
	if err := several.Masked(mask.Constant()).Write(&narrow, report.Table, report.TextOptions{Width: 100, Colour: true}); err != nil {
		t.Fatal(err)
	}
	golden(t, "merged.table-colour.txt", narrow.Bytes())
}

func TestMergeCountsEachClusterOnce(t *testing.T) {
	read := func() *report.Report { return read(t, report.DriftReport, "pipelines", 1) }
	one := read()
	two := report.Merge(clock, []report.Audit{{Cluster: "b", Report: read()}, {Cluster: "a", Report: read()}})
	if two.Summary.Drift() != one.Summary.Drift() || two.Summary.NotJudged != 2 || len(two.Items) != 2*len(one.Items) {
		t.Errorf("summary %+v of %d items, want twice %+v of %d", two.Summary, len(two.Items), one.Summary, len(one.Items))
	}
	for state, n := range one.Summary.Pods {
		if two.Summary.Pods[state] != 2*n {
			t.Errorf("%d Pods are %s, want %d", two.Summary.Pods[state], state, 2*n)
		}
	}
	for i, item := range two.Items {
		if want := []string{"a", "b"}[i%2]; item.Cluster != want || item.Name != one.Items[i/2].Name {
			t.Errorf("item %d is %s of %s, want %s of %s", i, item.Name, item.Cluster, one.Items[i/2].Name, want)
		}
	}
	for _, cluster := range two.Clusters {
		if diff := cmp.Diff(&one.Summary, cluster.Summary); diff != "" {
			t.Errorf("cluster %s (-want +got):\n%s", cluster.Name, diff)
		}
	}
}

// Whatever a reader looks at, a cluster that was not audited is there.
func TestEachFormatNamesTheClusterThatCouldNotBeAudited(t *testing.T) {
	r := report.Merge(clock, []report.Audit{{Cluster: "us\x1b", Err: errors.New("lost\x1b[2J\n\u202e")}})
	for _, format := range append([]report.Format{report.Table, report.Wide, report.JSON, report.HTML}, pipelineFormats...) {
		text := string(written(t, r, format))
		if !strings.Contains(text, "us") || !strings.Contains(text, "lost") {
			t.Errorf("%s: no word of it in\n%s", format, text)
		}
		if strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && (unicode.IsControl(r) || r == '\u202e') }) {
			t.Errorf("%s: control characters in\n%q", format, text)
		}
	}
	var diff bytes.Buffer
	if err := r.Masked(mask.Constant()).WriteDiff(&diff, report.TextOptions{}); err != nil || !strings.Contains(diff.String(), "lost") {
		t.Errorf("diff: %v in %q", err, &diff)
	}
}

func TestAReportOfOneClusterHasNoClusters(t *testing.T) {
	var fields map[string]any
	if err := json.Unmarshal(written(t, read(t, report.DriftReport, "audit", 0), report.JSON), &fields); err != nil {
		t.Fatal(err)
	}
	if _, found := fields["clusters"]; found {
		t.Error("it has")
	}
}
