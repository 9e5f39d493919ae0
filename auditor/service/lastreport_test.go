package service

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

// The page of the next leader shows what the last one found, and of when that is, until it has
// found something itself.
func TestTheLastReportIsThereAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := fake.NewClientset()
		keptBy := func() *lastReport {
			return &lastReport{objects: cluster.CoreV1().ConfigMaps("sidecar-drift"), name: "sidecar-drift-auditor-report", masker: mask.Constant}
		}
		first := newRecorded(10 * time.Minute)
		first.kept = keptBy()
		first.answer = func() (*report.Report, error) {
			return report.New(report.DriftReport, time.Now(), []report.Item{workload("web", verdict.Drifted)}, 3), nil
		}
		first.start(t)
		time.Sleep(time.Minute)
		synctest.Wait()

		next := newRecorded(10 * time.Minute)
		next.kept = keptBy()
		release := make(chan struct{})
		next.answer = func() (*report.Report, error) {
			<-release
			return reportOf(workload("web", verdict.InSync)), nil
		}
		next.start(t)
		time.Sleep(time.Minute)
		synctest.Wait()
		data := pageData(t, next)
		for _, want := range []string{`"state":"Drifted"`, `"notJudged":3`, "As of 2000-01-01T00:00:00Z, before this process began to audit"} {
			if !strings.Contains(data, want) {
				t.Errorf("before the first audit has ended the page lacks %s: %s", want, data)
			}
		}
		if strings.Contains(data, `"detection"`) || !strings.Contains(pageData(t, first), `"detection"`) {
			t.Errorf("how soon the last leader saw a change is no promise of the next one's: %s", data)
		}
		close(release)
		time.Sleep(time.Minute)
		synctest.Wait()
		if data := pageData(t, next); strings.Contains(data, "As of") || !strings.Contains(data, `"detection"`) || !strings.Contains(data, `"state":"InSync"`) {
			t.Errorf("after the first audit: %s", data)
		}
	})
}

func pageData(t *testing.T, r *recorded) string {
	t.Helper()
	answer := httptest.NewRecorder()
	r.page.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/report.json", nil))
	if answer.Code != http.StatusOK {
		t.Fatalf("/report.json: %d", answer.Code)
	}
	return answer.Body.String()
}

// What is kept fits into a ConfigMap: what is in sync is left out first, and the sums are of
// everything.
func TestALargeReportIsKeptInPart(t *testing.T) {
	cluster := fake.NewClientset()
	kept := &lastReport{objects: cluster.CoreV1().ConfigMaps("sidecar-drift"), name: "r", masker: mask.Off}
	var items []report.Item
	for i := range 20_000 {
		random := fmt.Sprintf("%x", sha256.Sum256(fmt.Append(nil, i))) // which hardly gets smaller
		item := workload("w-"+random[:20], verdict.InSync)
		item.Revisions = []report.Revision{{Name: item.Name, State: verdict.InSync, Fresh: random, Reason: random}}
		items = append(items, item)
	}
	items = append(items, workload("worst", verdict.Blocked))
	if err := kept.save(t.Context(), report.New(report.DriftReport, time.Now(), items, 0), time.Now()); err != nil {
		t.Fatal(err)
	}
	object, err := cluster.CoreV1().ConfigMaps("sidecar-drift").Get(t.Context(), "r", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if size := len(object.BinaryData[lastReportKey]); size > mostLastReport || size < mostLastReport/3 {
		t.Errorf("%d bytes are kept", size)
	}
	found, err := kept.load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if found.Items[0].Name != "worst" || len(found.Items) < 1000 || len(found.Items) >= len(items) {
		t.Errorf("%d workloads are kept, the first is %s", len(found.Items), found.Items[0].Name)
	}
	if got := found.Summary.Workloads[verdict.InSync]; got != 20_000 {
		t.Errorf("the summary speaks of %d workloads in sync", got)
	}
	if want := fmt.Sprintf("Workloads that are not listed: %d, of %d", len(items)-len(found.Items), len(items)); !strings.Contains(strings.Join(found.Notes, "\n"), want) {
		t.Errorf("notes %q, want %q", found.Notes, want)
	}
}

// In a drift storm all differ in the same, which gets very small: what is kept can be read again
// all the same.
func TestADriftStormIsKept(t *testing.T) {
	kept := &lastReport{objects: fake.NewClientset().CoreV1().ConfigMaps("sidecar-drift"), name: "r", masker: mask.Constant}
	var changes []verdict.Change
	for i := range 25 {
		value := json.RawMessage(fmt.Sprintf("%q", strings.Repeat("value ", 25)+fmt.Sprint(i)))
		changes = append(changes, verdict.Change{Part: "container/proxy", Path: fmt.Sprintf("env[V%d].value", i), From: value, To: value})
	}
	var items []report.Item
	for i := range 10_000 {
		item := workload(fmt.Sprint("w", i), verdict.Drifted)
		item.Revisions = []report.Revision{{Name: item.Name, State: verdict.Drifted, Changes: changes}}
		items = append(items, item)
	}
	if err := kept.save(t.Context(), report.New(report.DriftReport, time.Now(), items, 0), time.Now()); err != nil {
		t.Fatal(err)
	}
	found, err := kept.load(t.Context())
	if err != nil || len(found.Items) < 500 || found.Summary.Workloads[verdict.Drifted] != 10_000 {
		t.Errorf("%v, %+v", err, found)
	}
}

// A report that says the same as before is not written again and again, and nothing is more
// often than etcd likes.
func TestTheLastReportIsSeldomWritten(t *testing.T) {
	cluster := fake.NewClientset()
	kept := &lastReport{objects: cluster.CoreV1().ConfigMaps("sidecar-drift"), name: "r", masker: mask.Constant}
	now := time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
	wrote := func(after time.Duration, state verdict.State) bool {
		t.Helper()
		cluster.ClearActions()
		now = now.Add(after)
		if err := kept.save(t.Context(), report.New(report.DriftReport, now, []report.Item{workload("web", state)}, 0), now); err != nil {
			t.Fatal(err)
		}
		return len(cluster.Actions()) > 0
	}
	for i, step := range []struct {
		after time.Duration
		state verdict.State
		want  bool
	}{
		{0, verdict.InSync, true},
		{time.Minute, verdict.Drifted, false},
		{10 * time.Minute, verdict.Drifted, true},
		{11 * time.Minute, verdict.Drifted, false},
		{50 * time.Minute, verdict.Drifted, true},
		{5 * time.Minute, verdict.InSync, false},
	} {
		if got := wrote(step.after, step.state); got != step.want {
			t.Errorf("step %d: written: %t", i, got)
		}
	}
}

// What somebody has broken costs no more than the page's first minutes.
func TestALastReportThatIsBroken(t *testing.T) {
	bomb := func(text string) map[string][]byte {
		packed, err := gzipped(func(w io.Writer) error { _, err := io.WriteString(w, text); return err })
		if err != nil {
			t.Fatal(err)
		}
		return map[string][]byte{lastReportKey: packed}
	}
	for name, data := range map[string]map[string][]byte{
		"many workloads": bomb(`{"items":[{}` + strings.Repeat(",{}", 500_000) + `]}`),
		"many revisions": bomb(`{"items":[{"revisions":[{}` + strings.Repeat(",{}", 500_000) + `]}]}`),
		"endless":        bomb(`{"notes":["` + strings.Repeat("x", 20<<20) + `"]}`),
		"nothing in it":  nil,
		"not gzipped":    {lastReportKey: []byte("{}")},
	} {
		cluster := fake.NewClientset(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "sidecar-drift", Name: "r"}, BinaryData: data})
		kept := &lastReport{objects: cluster.CoreV1().ConfigMaps("sidecar-drift"), name: "r", masker: mask.Constant}
		if found, err := kept.load(t.Context()); found != nil || err == nil || !strings.Contains(err.Error(), "ConfigMap r") {
			t.Errorf("%s: %v, %v", name, found, err)
		}
	}
}

// An installation whose Role does not name the ConfigMap yet is told so now and then, not each
// round.
func TestTheLastReportMayNotBeWritten(t *testing.T) {
	cluster := fake.NewClientset()
	tried := 0
	cluster.PrependReactor("update", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
		tried++
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "r", nil)
	})
	kept := &lastReport{objects: cluster.CoreV1().ConfigMaps("sidecar-drift"), name: "r", masker: mask.Constant}
	now, failed := time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC), 0
	for i := range 60 {
		if kept.save(t.Context(), reportOf(workload("web", verdict.InSync)), now.Add(time.Duration(i)*30*time.Second)) != nil {
			failed++
		}
	}
	if tried != 3 || failed != 3 {
		t.Errorf("tried %d times in half an hour, and said so %d times; want three times", tried, failed)
	}
}
