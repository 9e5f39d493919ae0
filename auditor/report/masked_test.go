package report_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
	"github.com/sidecar-drift/sidecar-drift/internal/mask/masktest"
)

// formats are all that there are.
var formats = []report.Format{
	report.Table, report.Wide, report.JSON, report.YAML, report.HTML, report.CSV, report.Markdown, report.JUnit, report.PolicyReport,
}

// corpusReport has the secrets of the corpus wherever a report can have them.
func corpusReport(kind string) (r *report.Report, secrets []string) {
	var items []report.Item
	var notes []string
	item := func(name string, state verdict.State, revision report.Revision, rollout string) {
		revision.State, revision.Pods = state, 1
		items = append(items, report.Item{
			Namespace: "shop", Kind: "Deployment", Name: name, State: state, Pods: map[verdict.State]int{state: 1},
			Revisions: []report.Revision{revision}, Rollout: report.Rollout{Result: report.Skipped, Reason: rollout},
		})
	}
	for i, c := range masktest.Secrets(3) {
		secrets = append(append(secrets, c.Secrets...), c.Encoded...)
		changes := []verdict.Change{
			{Part: "container/proxy", Path: c.Path, From: c.Value},
			{Part: "container/proxy", Path: c.Path, From: json.RawMessage(`"before"`), To: c.Value},
		}
		item(fmt.Sprintf("changed-%03d", i), verdict.Drifted, report.Revision{Changes: changes, Autoscaled: changes}, "")
	}
	for i, p := range masktest.Messages(4) {
		secrets = append(secrets, p.Secrets...)
		item(fmt.Sprintf("refused-%03d", i), verdict.Blocked, report.Revision{Reason: p.Text}, p.Text)
		notes = append(notes, p.Text)
	}
	r = report.New(kind, clock, items, 0)
	r.Notes = notes
	r.Clusters = []report.Cluster{{Name: "eu", Error: notes[0]}}
	r.Preview = &report.Preview{Annotations: map[string]string{"example.com/api-token": "hunter2-preview"}, Labels: map[string]string{"password": "hunter2-label"}}
	return r, append(secrets, "hunter2-preview", "hunter2-label")
}

func TestNoRenderingHoldsASecret(t *testing.T) {
	for _, kind := range []string{report.DriftReport, report.RolloutReport} {
		r, secrets := corpusReport(kind)
		outputs := map[string]func(*bytes.Buffer, report.Shown) error{
			"diff":           func(out *bytes.Buffer, s report.Shown) error { return s.WriteDiff(out, report.TextOptions{}) },
			"page's data":    func(out *bytes.Buffer, s report.Shown) error { return report.Page{Report: s}.WriteJSON(out) },
			"policy reports": func(out *bytes.Buffer, s report.Shown) error { return json.NewEncoder(out).Encode(s.OpenReports()) },
		}
		for _, format := range formats {
			outputs[string(format)] = func(out *bytes.Buffer, s report.Shown) error { return s.Write(out, format, report.TextOptions{}) }
		}
		for name, write := range outputs {
			t.Run(kind+" "+name, func(t *testing.T) {
				var out, open bytes.Buffer
				if err := write(&out, r.Masked(mask.New([]byte("salt")))); err != nil {
					t.Fatal(err)
				}
				for _, secret := range secrets {
					if at := strings.Index(out.String(), secret); at >= 0 {
						t.Errorf("%s stands in …%s…", secret, out.String()[max(0, at-100):min(out.Len(), at+100)])
					}
				}
				if err := write(&open, r.Masked(mask.Off())); err != nil {
					t.Fatal(err)
				}
				if out.String() == open.String() {
					t.Error("--show-secrets shows nothing more: the test asks for nothing")
				}
			})
		}
	}
}

// A format that the test above does not know is refused by it.
func TestFormatsAreAll(t *testing.T) {
	r := report.New(report.DriftReport, clock, nil, 0).Masked(nil)
	for _, format := range formats {
		if err := r.Write(&bytes.Buffer{}, format, report.TextOptions{}); err != nil {
			t.Error(err)
		}
	}
}

// What an inner place is called, and what it is in, tells of a secret as in the whole.
func TestMaskedInside(t *testing.T) {
	for _, path := range []string{
		"env[DB_PASSWORDS].value → primary", "env[CONFIG].value → credentials.password", "env[CONFIG].value → credentials.db.word",
		"env[CONFIG].value → [password].value", "env[CONFIG].value → a[password].value",
	} {
		changes := change.Masked(mask.New([]byte("key")), []verdict.Change{{Part: "container/proxy", Path: path, From: json.RawMessage(`"hunter2"`), To: json.RawMessage(`"hunter3"`)}})
		if text := fmt.Sprintf("%s %s", changes[0].From, changes[0].To); strings.Contains(text, "hunter") {
			t.Errorf("%s: %s", path, text)
		}
	}
}
