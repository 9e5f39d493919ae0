package report_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var clock = time.Date(2026, 1, 2, 15, 4, 5, 999, time.UTC)

// read makes a report of the items in testdata/NAME.json, a file a person can
// read and edit.
func read(t *testing.T, kind, name string, notJudged int) *report.Report {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var items []report.Item
	if err := json.Unmarshal(text, &items); err != nil {
		t.Fatal(err)
	}
	return report.New(kind, clock, items, notJudged)
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; run go test ./auditor/report -update", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got); look at it, then run go test ./auditor/report -update:\n%s", path, diff)
	}
}

func TestWriteLooksAsInTheGoldenFiles(t *testing.T) {
	audit := read(t, report.DriftReport, "audit", 2)
	shown := audit.Select(verdict.States()[:8]...)
	rollout := read(t, report.RolloutReport, "rollout", 0)
	for _, tt := range []struct {
		golden  string
		report  *report.Report
		format  report.Format
		options report.TextOptions
	}{
		{"audit.table.txt", shown, report.Table, report.TextOptions{}},
		{"audit.table-100.txt", shown, report.Table, report.TextOptions{Width: 100}},
		{"audit.table-160.txt", shown, report.Table, report.TextOptions{Width: 160}},
		{"audit.table-40.txt", shown, report.Table, report.TextOptions{Width: 40}},
		{"audit.table-colour.txt", shown, report.Table, report.TextOptions{Width: 100, Colour: true}},
		{"audit.wide.txt", audit, report.Wide, report.TextOptions{Width: 100}},
		{"audit.report.json", audit, report.JSON, report.TextOptions{}},
		{"audit.report.yaml", audit, report.YAML, report.TextOptions{}},
		{"rollout.table-100.txt", rollout, report.Table, report.TextOptions{Width: 100}},
		{"rollout.table-160.txt", rollout, report.Table, report.TextOptions{Width: 160}},
		{"rollout.report.json", rollout, report.JSON, report.TextOptions{}},
		{"empty.table.txt", report.New(report.DriftReport, clock, nil, 0), report.Table, report.TextOptions{}},
		{"empty.report.json", report.New(report.DriftReport, clock, nil, 3), report.JSON, report.TextOptions{}},
		{"empty-rollout.table.txt", report.New(report.RolloutReport, clock, nil, 0), report.Table, report.TextOptions{}},
	} {
		t.Run(tt.golden, func(t *testing.T) {
			var out bytes.Buffer
			if err := tt.report.Masked(mask.Constant()).Write(&out, tt.format, tt.options); err != nil {
				t.Fatal(err)
			}
			golden(t, tt.golden, out.Bytes())
		})
	}
}

func TestWriteDiffLooksAsInTheGoldenFiles(t *testing.T) {
	audit := read(t, report.DriftReport, "audit", 2).Select(verdict.States()[:8]...)
	for name, options := range map[string]report.TextOptions{
		"audit.diff.txt":        {},
		"audit.diff-100.txt":    {Width: 100},
		"audit.diff-colour.txt": {Width: 100, Colour: true},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := audit.Masked(mask.Constant()).WriteDiff(&out, options); err != nil {
				t.Fatal(err)
			}
			golden(t, name, out.Bytes())
		})
	}
}
