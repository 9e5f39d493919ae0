package report_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
	"github.com/sidecar-drift/sidecar-drift/internal/printable"
)

// FuzzRenderings: wherever in a workload a stranger's text is, no rendering holds a
// character that a terminal would obey or hide, and YAML holds what JSON does.
func FuzzRenderings(f *testing.F) {
	for _, seed := range []string{"web", "K\x1b]0;pwned\a\x1b[31m", "\u202egnp", "\U000e0041\u200b", "a\nb\r\u2028", "\xff\u009b", "e\u0301\u0301\u0301\u0301\u0301", "\u0301", "=1+1|`<b>"} {
		f.Add(seed, "plain")
		f.Add("plain", seed)
	}
	f.Fuzz(func(t *testing.T, one, other string) {
		quoted, err := json.Marshal(map[string]any{one: []string{other}})
		if err != nil {
			t.Fatal(err)
		}
		value, err := json.Marshal(other)
		if err != nil {
			t.Fatal(err)
		}
		for _, state := range []verdict.State{verdict.Drifted, verdict.Blocked, verdict.State(one)} {
			r := report.New(report.DriftReport, clock, []report.Item{{
				Namespace: one, Kind: other, Name: one, State: state,
				Revisions: []report.Revision{{
					Name: other, State: state, Reason: one + other, Sidecars: []string{one},
					Changes: []verdict.Change{{Part: one, Path: other, From: quoted, To: value}, {Part: "pod", Path: "image", From: value}},
				}},
				Rollout: report.Rollout{Result: report.Result(other), Reason: one},
			}}, 0)
			rollout := *r
			rollout.Kind = report.RolloutReport
			for _, each := range []*report.Report{r, &rollout} {
				checkRenderings(t, each)
			}
		}
	})
}

func checkRenderings(t *testing.T, r *report.Report) {
	t.Helper()
	rendered := map[report.Format]string{}
	for _, format := range []report.Format{
		report.Table, report.Wide, report.CSV, report.Markdown, report.JUnit, report.PolicyReport, report.HTML, report.JSON, report.YAML,
	} {
		var out bytes.Buffer
		if err := r.Masked(mask.Off()).Write(&out, format, report.TextOptions{Width: 100}); err != nil {
			t.Fatalf("%s: %v", format, err)
		}
		rendered[format] = out.String()
	}
	var out bytes.Buffer
	if err := r.Masked(mask.Off()).WriteDiff(&out, report.TextOptions{}); err != nil {
		t.Fatal(err)
	}
	rendered["diff"] = out.String()
	for format, text := range rendered {
		if want := printable.Lines(text); want != text {
			t.Errorf("%s (-printable +written):\n%s", format, cmp.Diff(want, text))
		}
	}
	var fromJSON, fromYAML any
	if err := json.Unmarshal([]byte(rendered[report.JSON]), &fromJSON); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(rendered[report.YAML]), &fromYAML); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fromJSON, fromYAML); diff != "" {
		t.Errorf("(-JSON +YAML):\n%s", diff)
	}
}
