package auditor

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// TestEligibility: what a rollout leaves alone unasked is not called eligible.
func TestEligibility(t *testing.T) {
	image := verdict.Change{Part: "app/web", Path: "image", From: json.RawMessage(`"web:1"`), To: json.RawMessage(`"web:2"`)}
	for name, test := range map[string]struct {
		state    verdict.State
		revision report.Revision
		reason   string // empty: eligible
	}{
		"a sidecar drifted":                {verdict.Drifted, report.Revision{Sidecars: []string{"proxy"}}, ""},
		"another image of the app":         {verdict.Drifted, report.Revision{Sidecars: []string{"proxy"}, AppImages: []verdict.Change{image}}, "web: web:1 → web:2 (--allow-app-image)"},
		"variables alone":                  {verdict.Missing, report.Revision{Injected: true}, "--include-sidecarless"},
		"an init container that has ended": {verdict.Drifted, report.Revision{Sidecars: []string{"init"}, Changes: []verdict.Change{{Part: "initContainer/init", Path: "image", Spent: true}}}, "--include-spent"},
		"the app's image alone":            {verdict.Mutated, report.Revision{Sidecars: []string{"proxy"}, AppImages: []verdict.Change{image}}, "what differs is no injector's"},
	} {
		test.revision.State = test.state
		got := eligibility(report.Item{Kind: "Deployment", State: test.state, Revisions: []report.Revision{test.revision}})
		if got.Eligible != (test.reason == "") || !strings.Contains(got.Reason, test.reason) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
