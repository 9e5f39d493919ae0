package policyreport

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	openreports "github.com/openreports/reports-api/apis/openreports.io/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

func workload(name string, state verdict.State) report.Item {
	return report.Item{Namespace: "shop", Kind: "Deployment", Name: name, State: state, Pods: map[verdict.State]int{state: 1}}
}

func reportOf(items ...report.Item) *report.Report {
	return report.New(report.DriftReport, time.Now(), items, 0)
}

// blocked is a workload whose dry run was refused; the name of the Pod that was
// asked for ends in end.
func blocked(end string) report.Item {
	item := workload("web", verdict.Blocked)
	item.Revisions = []report.Revision{{Name: "web-69c6f74b8b", State: verdict.Blocked, Pods: 1,
		Reason: fmt.Sprintf(`pods "web-69c6f74b8b-%s" is forbidden: no`, end)}}
	return item
}

// rotated is a workload whose sidecar's token differs.
func rotated(from, to string) report.Item {
	item := workload("web", verdict.Drifted)
	item.Revisions = []report.Revision{{Name: "web-1", State: verdict.Drifted, Pods: 1, Changes: []verdict.Change{{
		Part: "container/proxy", Path: "env[A_TOKEN].value", From: fmt.Appendf(nil, "%q", from), To: fmt.Appendf(nil, "%q", to),
	}}}}
	return item
}

// A Report is written again if it says something else, and only then.
func TestWhatChangesAReport(t *testing.T) {
	owners := []metav1.OwnerReference{{Kind: "MutatingWebhookConfiguration", UID: "1"}}
	later := reportOf(workload("web", verdict.InSync))
	later.GeneratedAt = later.GeneratedAt.Add(time.Hour)
	for name, tt := range map[string]struct {
		before, after *report.Report
		owners        []metav1.OwnerReference
		changed       bool
	}{
		"the same, later":           {reportOf(workload("web", verdict.InSync)), later, owners, false},
		"another state":             {reportOf(workload("web", verdict.InSync)), reportOf(workload("web", verdict.Drifted)), owners, true},
		"another workload":          {reportOf(workload("web", verdict.InSync)), reportOf(workload("web", verdict.InSync), workload("api", verdict.InSync)), owners, true},
		"another owner":             {reportOf(workload("web", verdict.InSync)), later, nil, true},
		"another name of a dry run": {reportOf(blocked("x7k2p")), reportOf(blocked("b4n9z")), owners, false},
		"another secret":            {reportOf(rotated("hunter2", "hunter3")), reportOf(rotated("hunter2", "hunter4")), owners, false},
	} {
		t.Run(name, func(t *testing.T) {
			before, after := wantedReports(tt.before, owners), wantedReports(tt.after, tt.owners)
			if len(before) != 1 || len(after) != 1 {
				t.Fatalf("%d and %d Reports, want one each", len(before), len(after))
			}
			if changed := contentOf(&before[0]) != contentOf(&after[0]); changed != tt.changed {
				t.Errorf("changed: %t, want %t; before and after:\n%+v\n%+v", changed, tt.changed, before[0].Results, after[0].Results)
			}
		})
	}
}

func TestReportsHoldNoSecret(t *testing.T) {
	wanted := wantedReports(reportOf(rotated("hunter2", "hunter3")), nil)
	if text := fmt.Sprint(wanted); strings.Contains(text, "hunter") || !strings.Contains(text, "env[A_TOKEN].value changed") {
		t.Errorf("a secret, or not where it changed, in %s", text)
	}
}

func TestWithoutGeneratedNames(t *testing.T) {
	for reason, want := range map[string]string{
		`pods "web-69c6f74b8b-x7k2p" is forbidden`:                                     `pods "web-69c6f74b8b-*" is forbidden`,
		`pods "web-x7k2p" is forbidden`:                                                `pods "web-*" is forbidden`,
		`resource Pod/shop/web-69c6f74b8b-x7k2p was blocked, web-69c6f74b8b-x7k2p: no`: `resource Pod/shop/web-69c6f74b8b-* was blocked, web-69c6f74b8b-*: no`,
		`serviceaccount "web-identity" not found`:                                      `serviceaccount "web-identity" not found`,
		`quota of web-69c6f74b8b`:                                                      `quota of web-69c6f74b8b`,
	} {
		if got := withoutGeneratedNames(reason, "web", "web-69c6f74b8b"); got != want {
			t.Errorf("%s: %s, want %s", reason, got, want)
		}
	}
}

func TestLeftOver(t *testing.T) {
	key := func(namespace, name string) types.NamespacedName {
		return types.NamespacedName{Namespace: namespace, Name: name}
	}
	has := map[types.NamespacedName]stored{
		key("shop", "sidecar-drift"): {}, key("shop", "sidecar-drift-2"): {}, key("gone", "sidecar-drift"): {},
	}
	wanted := []openreports.Report{{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "sidecar-drift"}}}
	want := []types.NamespacedName{key("gone", "sidecar-drift"), key("shop", "sidecar-drift-2")}
	if diff := cmp.Diff(want, leftOver(has, wanted)); diff != "" {
		t.Errorf("left over (-want +got):\n%s", diff)
	}
	if len(has) != 3 {
		t.Error("what is stored was changed")
	}
}

// A report that comes while another waits takes its place, and what was to be
// looked at for the first one is looked at for it.
func TestTheLatestReportIsWritten(t *testing.T) {
	r := New()
	last := reportOf(workload("last", verdict.InSync))
	r.Audited(reportOf(workload("first", verdict.InSync)), true)
	r.Audited(last, false)
	if found, everything := r.take(); found != last || !everything {
		t.Errorf("%+v, everything: %t", found, everything)
	}
	r.Audited(last, false)
	if _, everything := r.take(); everything {
		t.Error("everything, long after")
	}
}

// A report is taken, and woken for, in whatever order.
func TestNothingIsWrittenTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New()
		r.Audited(reportOf(), true)
		r.take()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Start(ctx) }() // would panic, without a client
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
