package report_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/journal"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
	"github.com/sidecar-drift/sidecar-drift/internal/printable"
)

// excerpted is a text of which the beginning and the end are kept, and of what is between them
// a digest of each block of lines: a golden file that people can read, and that tells where
// something is different.
func excerpted(text []byte) []byte {
	const first, last, longest, blocks = 40, 20, 200, 24
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	var b bytes.Buffer
	show := func(from, to int) {
		for _, line := range lines[from:to] {
			if len(line) > longest {
				line = fmt.Sprintf("%s… (%d bytes, sha256 %.8x)", strings.ToValidUTF8(line[:longest], ""), len(line), sha256.Sum256([]byte(line)))
			}
			b.WriteString(line + "\n")
		}
	}
	if len(lines) <= first+last {
		show(0, len(lines))
		return b.Bytes()
	}
	show(0, first)
	size := max(20, (len(lines)-first-last)/blocks+1)
	for from := first; from < len(lines)-last; from += size {
		to := min(from+size, len(lines)-last)
		fmt.Fprintf(&b, "… lines %d to %d, sha256 %.8x\n", from+1, to, sha256.Sum256([]byte(strings.Join(lines[from:to], "\n"))))
	}
	show(len(lines)-last, len(lines))
	return b.Bytes()
}

// rolledOut is what came of a rollout of a report's workloads.
func rolledOut(r *report.Report) *report.Report {
	r.Kind = report.RolloutReport
	results := []report.Result{report.RolledOut, report.Resized, report.Failed, report.NotConverging, report.Reverted, report.Interrupted, report.Skipped, report.Planned}
	for i := range r.Items {
		item := &r.Items[i]
		started, finished := clock.Add(time.Duration(i)*time.Second), clock.Add(time.Duration(3*i)*time.Second)
		item.Rollout.Result, item.Rollout.Wave = results[i%len(results)], []string{"canary", "staging", "production-eu-central"}[i%3]
		switch item.Rollout.Result {
		case report.RolledOut, report.Resized:
			item.Rollout.StartedAt, item.Rollout.FinishedAt = &started, &finished
		case report.Failed:
			item.Rollout.StartedAt, item.Rollout.Cause = &started, report.CauseSidecarImage
			item.Rollout.Reason = "container istio-proxy: ImagePullBackOff: Back-off pulling image \"docker.io/istio/proxyv2:1.29.0\""
		case report.Skipped:
			item.Rollout.Reason = "its PodDisruptionBudget 名前 allows no disruption"
		}
	}
	return r
}

// Every format of a large, varied audit stays as it was looked at.
func TestEveryFormatOfAVariedPopulation(t *testing.T) {
	audit := varied()
	audit.Group()
	rollout := rolledOut(varied())
	shown := audit.Masked(mask.Constant())
	whole := map[string][]byte{}
	add := func(name string, write func(*bytes.Buffer) error) {
		var out bytes.Buffer
		if err := write(&out); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		whole[name] = out.Bytes()
	}
	for _, width := range []int{0, 60, 80, 120, 200} {
		add(fmt.Sprintf("table-%d.txt", width), func(out *bytes.Buffer) error { return shown.Write(out, report.Table, report.TextOptions{Width: width}) })
	}
	for format, extension := range map[report.Format]string{
		report.Wide: "wide.txt", report.JSON: "json", report.YAML: "yaml", report.CSV: "csv", report.Markdown: "md", report.JUnit: "xml", report.PolicyReport: "policyreport.yaml",
	} {
		add(extension, func(out *bytes.Buffer) error { return shown.Write(out, format, report.TextOptions{}) })
	}
	add("diff.txt", func(out *bytes.Buffer) error { return shown.WriteDiff(out, report.TextOptions{}) })
	add("diff-80.txt", func(out *bytes.Buffer) error { return shown.WriteDiff(out, report.TextOptions{Width: 80}) })
	add("html.json", func(out *bytes.Buffer) error {
		var data, indented bytes.Buffer
		page := report.Page{Report: shown, History: []report.Point{{Time: clock, DriftPercent: 1}, {Time: clock.Add(time.Hour), DriftPercent: 2}}, Journal: []journal.Entry{{ID: "0123abcdef", Summary: "istio-proxy image 1.28.0 → 1.29.0", Began: journal.Interval{By: clock}}}}
		if err := page.WriteJSON(&data); err != nil {
			return err
		}
		err := json.Indent(&indented, data.Bytes(), "", " ")
		out.Write(indented.Bytes())
		return err
	})
	add("rollout.table-120.txt", func(out *bytes.Buffer) error {
		return rollout.Masked(mask.Constant()).Write(out, report.Table, report.TextOptions{Width: 120})
	})
	add("rollout.json", func(out *bytes.Buffer) error {
		return rollout.Masked(mask.Constant()).Write(out, report.JSON, report.TextOptions{})
	})

	for name, text := range whole {
		t.Run(name, func(t *testing.T) {
			golden(t, "varied."+name, excerpted(text))
			if t.Failed() {
				whole := filepath.Join(t.ArtifactDir(), "varied."+name)
				if err := os.WriteFile(whole, text, 0o600); err != nil {
					t.Error(err)
				}
				t.Logf("go test -artifacts -outputdir DIR keeps the whole, %s", whole)
			}
			for _, secret := range []string{"hvs.CAESIJ0123", "hvs.CAESIK9876"} {
				if bytes.Contains(text, []byte(secret)) {
					t.Errorf("it holds the secret %s…", secret)
				}
			}
			if !bytes.Contains(text, []byte("prod-eu")) {
				t.Error("it does not name the cluster")
			}
			if bytes.ContainsAny(text, "\x1b\u202e") {
				t.Error("it holds what commands a terminal, or turns the text around it")
			}
		})
	}
}

// Each line of each table fits its terminal, whatever the workloads are like: with clusters,
// labels, waves and groups, too.
func TestTablesOfAVariedPopulationFitTheTerminal(t *testing.T) {
	several := varied()
	for i := range several.Items {
		several.Items[i].Cluster = []string{"eu", "arn:aws:eks:eu-central-1:123456789012:cluster/production", "クラスタ"}[i%3]
	}
	for _, width := range []int{60, 80, 120, 200} {
		for name, r := range map[string]*report.Report{"one cluster": varied(), "several": several, "rollout": rolledOut(varied())} {
			for _, options := range []report.TextOptions{{}, {Colour: true}, {Labels: []string{"example.com/team"}}, {GroupBy: report.ByChange}, {GroupBy: report.ByNamespace}, {GroupBy: report.ByLabel + "example.com/team"}} {
				options.Width = width
				var out bytes.Buffer
				if err := r.Masked(mask.Constant()).Write(&out, report.Table, options); err != nil {
					t.Fatal(err)
				}
				for line := range strings.Lines(out.String()) {
					if line = strings.TrimSuffix(line, "\n"); printable.Width(line) > width {
						t.Errorf("%s, %+v: %d columns: %q", name, options, printable.Width(line), line)
					}
				}
			}
		}
	}
}
