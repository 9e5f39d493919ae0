package doctor

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func examined() *Report {
	return newReport([]Finding{
		topic{checkAPIServer, "version"}.ok("Kubernetes v1.37.2 (1.30 or later is needed)"),
		topic{checkUserInfo, "kyverno/mutate.kyverno.svc"}.warning("audit as the Pods' own controller to be sure", "looks at who creates a Pod"),
		topic{checkStamp, "namespace shop"}.wrong("see docs/troubleshooting.md#pods-are-not-stamped", "the Pod came back without a stamp after 2013 ms: \x1b[2J\nthe stamper did not answer within 2s"),
		topic{checkPolicyProof, dryRunPolicy}.notChecked("doctor --probe-policy tries it", "not proven to be in force"),
	}, time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC))
}

func TestRenderings(t *testing.T) {
	for name, tt := range map[string]struct {
		report *Report
		format report.Format
		style  report.TextOptions
	}{
		"report.json":   {examined(), report.JSON, report.TextOptions{}},
		"empty.json":    {newReport(nil, time.Time{}), report.JSON, report.TextOptions{}},
		"report.txt":    {examined(), report.Table, report.TextOptions{}},
		"colour.txt":    {examined(), report.Table, report.TextOptions{Width: 80, Colour: true}},
		"narrow.txt":    {examined(), report.Table, report.TextOptions{Width: 64}},
		"narrowest.txt": {examined(), report.Table, report.TextOptions{Width: 40}},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := tt.report.Write(&out, tt.format, tt.style); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", name)
			if *update {
				if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), out.String()); diff != "" {
				t.Errorf("rendering (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSummary(t *testing.T) {
	topic := topic{"check", "subject"}
	ok, unknown, wrong := topic.ok("well"), topic.notChecked("", "no"), topic.wrong("repair", "broken")
	for want, findings := range map[string][]Finding{
		"1 OK: nothing is wrong":                                   {ok},
		"1 OK, 1 NotChecked: nothing of what was checked is wrong": {ok, unknown},
		"2 Wrong, 1 NotChecked":                                    {wrong, unknown, wrong},
	} {
		if got := newReport(findings, time.Time{}).text(report.TextOptions{}); !strings.HasSuffix(got, "\n\n"+want+"\n") {
			t.Errorf("%q does not end with %q", got, want)
		}
	}
}
