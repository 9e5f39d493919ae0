package rollout

import (
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/kind"
)

// What an audit alone leaves out has its reason; what only the cluster can tell of, and
// does not, is never eligible.
func TestAdviceWithoutACluster(t *testing.T) {
	nowhere := &rest.Config{Host: "http://127.0.0.1:1"}
	since := time.Now()
	for name, test := range map[string]struct {
		item   report.Item
		reason string
	}{
		"drifted":                  {audited(kind.Deployment, verdict.Drifted, imageChange), "not checked: "},
		"a DaemonSet":              {audited(kind.DaemonSet, verdict.Drifted, imageChange), "not checked: "},
		"in sync":                  {audited(kind.Deployment, verdict.InSync), "in sync"},
		"the app's image alone":    {audited(kind.Deployment, verdict.Mutated), "what differs is no injector's"},
		"nothing injected":         {audited(kind.Deployment, verdict.NotInjected), "has no sidecar"},
		"blocked":                  {audited(kind.Deployment, verdict.Blocked), "Blocked and never rolled out"},
		"a Job":                    {audited(kind.Job, verdict.Drifted, imageChange), "never restarted"},
		"not asked about lately":   {with(audited(kind.Deployment, verdict.Drifted, imageChange), func(r *report.Revision) { r.StaleSince = &since }), "could not be asked about lately"},
		"another image of the app": {with(audited(kind.Deployment, verdict.Drifted, imageChange), func(r *report.Revision) { r.AppImages = []verdict.Change{imageChange} }), "--allow-app-image"},
	} {
		r := &report.Report{Items: []report.Item{test.item}}
		if err := (&Adviser{}).Advise(t.Context(), nowhere, r, Options{Select: AnyKind()}); err != nil {
			t.Fatal(err)
		}
		if got := r.Items[0].Rollout; got.Eligible || got.Strategy != "" || got.Result != "" || !strings.Contains(got.Reason, test.reason) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	preview := &report.Report{Items: []report.Item{audited(kind.Deployment, verdict.Drifted, imageChange)}, Preview: &report.Preview{}}
	if err := (&Adviser{}).Advise(t.Context(), nowhere, preview, Options{}); err != nil || !strings.Contains(preview.Items[0].Rollout.Reason, "a preview") {
		t.Errorf("a preview: %v, %+v", err, preview.Items[0].Rollout)
	}
}

// An answer holds for its time, of a workload that differs as it did.
func TestAdviceHolds(t *testing.T) {
	now := time.Now()
	nowhere := &rest.Config{Host: "http://127.0.0.1:1"}
	other := imageChange
	other.To = []byte(`"proxy:3"`)
	for name, test := range map[string]struct {
		item  report.Item
		after time.Duration
		holds bool
	}{
		"soon":                {audited(kind.Deployment, verdict.Drifted, imageChange), time.Minute, true},
		"another difference":  {audited(kind.Deployment, verdict.Drifted, other), time.Minute, false},
		"after its time":      {audited(kind.Deployment, verdict.Drifted, imageChange), 5 * time.Minute, false},
		"of another workload": {audited(kind.StatefulSet, verdict.Drifted, imageChange), time.Minute, false},
	} {
		item := audited(kind.Deployment, verdict.Drifted, imageChange)
		digest, err := digestOf(item)
		if err != nil {
			t.Fatal(err)
		}
		a := Adviser{Age: 5 * time.Minute, known: map[inventory.WorkloadRef]advice{refOf(item): {digest, now, report.Rollout{Eligible: true, Strategy: "restart"}}}}
		r := &report.Report{Items: []report.Item{test.item}}
		if err := a.Advise(t.Context(), nowhere, r, Options{Select: AnyKind(), Now: func() time.Time { return now.Add(test.after) }}); err != nil {
			t.Fatal(err)
		}
		if got := r.Items[0].Rollout.Eligible; got != test.holds {
			t.Errorf("%s: %+v", name, r.Items[0].Rollout)
		}
	}
}
