package report_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

// A policy that changes what is not injected is not said to change nothing.
func TestWhatIsNotInjectedIsForeseenToo(t *testing.T) {
	changes := []verdict.Change{{Part: "app/app", Path: "image", From: []byte(`"app:1"`), To: []byte(`"app:2"`)}}
	r := &report.Report{
		Preview: &report.Preview{Policies: []string{"MutatingAdmissionPolicy/mirror"}},
		Items: []report.Item{{
			Namespace: "shop", Kind: "Deployment", Name: "web", State: verdict.Mutated, Pods: map[verdict.State]int{verdict.Mutated: 1},
			Revisions: []report.Revision{{Name: "web-1", State: verdict.Mutated, Pods: 1, Changes: changes, Candidate: &report.Candidate{State: verdict.Mutated, Changes: changes}}},
		}},
	}
	r.Foresee()
	for format, want := range map[report.Format]string{
		report.Table:    "It changes something else in the Pods of 1 workload (Mutated).",
		report.Markdown: "Something else in the Pods of 1 workload.",
	} {
		var b bytes.Buffer
		if err := r.Masked(mask.Constant()).Write(&b, format, report.TextOptions{}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.String(), want) {
			t.Errorf("%s does not say %q:\n%s", format, want, b.String())
		}
	}
}
