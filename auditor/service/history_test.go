package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/journal"
)

// What one leader has seen, the next one goes on with, and people read; it is written once a
// minute at most.
func TestHistoryIsKept(t *testing.T) {
	cluster := fake.NewClientset()
	objects, now := cluster.CoreV1().ConfigMaps(DefaultNamespace), time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	web := inventory.WorkloadRef{Kind: "Deployment", Namespace: "shop", Name: "web"}
	workloads := map[inventory.WorkloadRef]journal.Workload{web: {OldestPod: now.Add(-time.Hour), Standing: journal.InSync}}
	h := newHistory(objects, DefaultName)
	audit := func(places ...string) map[string]journal.Interval {
		t.Helper()
		var changes []journal.Change
		for _, place := range places {
			changes = append(changes, journal.Change{ID: place, Summary: "change of " + place, PlaceIDs: []string{place}, Pods: 1, Workloads: []inventory.WorkloadRef{web}})
		}
		if err := h.load(t.Context()); err != nil {
			t.Fatal(err)
		}
		since := h.audited(journal.Audit{At: now, Asked: true, Changes: changes, Workloads: workloads})
		if err := h.save(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		return since
	}
	audit()
	now = now.Add(30 * time.Second)
	since := audit("p")
	if diff := cmp.Diff(map[string]journal.Interval{"p": {After: now.Add(-30 * time.Second), By: now}}, since); diff != "" {
		t.Errorf("since when (-want +got):\n%s", diff)
	}
	if entries, _, err := ReadHistory(t.Context(), cluster, DefaultNamespace); err != nil || len(entries) != 0 {
		t.Errorf("within the minute %d entries are written, %v", len(entries), err)
	}
	now = now.Add(31 * time.Second)
	audit("p")
	writes := len(cluster.Actions())
	for range 10 {
		now = now.Add(2 * time.Minute)
		audit("p")
	}
	if n := len(cluster.Actions()) - writes; n != 0 {
		t.Errorf("%d requests though nothing changed", n)
	}
	entries, _, err := ReadHistory(t.Context(), cluster, DefaultNamespace)
	if err != nil || len(entries) != 1 || entries[0].Open != 1 || entries[0].Summary != "change of p" {
		t.Fatalf("people read %+v, %v", entries, err)
	}

	h = newHistory(objects, DefaultName)
	now = now.Add(10 * time.Minute)
	workloads[web] = journal.Workload{OldestPod: now, Standing: journal.InSync}
	audit()
	again, _, err := ReadHistory(t.Context(), cluster, DefaultNamespace)
	if err != nil || len(again) != 1 || again[0].Ended == nil || again[0].Ended.How != journal.RolledOut || again[0].Began != entries[0].Began {
		t.Errorf("the next leader goes on with %+v, %v", again, err)
	}
	if diff := cmp.Diff(entries[0].Places, again[0].Places, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

func TestHistoryThatCannotBeRead(t *testing.T) {
	large, err := gzipped(func(w io.Writer) error {
		_, err := io.WriteString(w, "["+strings.Repeat("{},", mostJournalObjects+1)+"{}]")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]map[string][]byte{
		"no gzip":    {entriesKey: []byte("[]")},
		"no JSON":    {aboutKey: []byte("{")},
		"many of it": {entriesKey: large},
	} {
		cluster := fake.NewClientset(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: DefaultNamespace, Name: DefaultName + journalSuffix}, BinaryData: data})
		h := newHistory(cluster.CoreV1().ConfigMaps(DefaultNamespace), DefaultName)
		if err := h.load(t.Context()); err == nil || !strings.Contains(err.Error(), DefaultName+journalSuffix) {
			t.Errorf("%s: %v, want an error that names the ConfigMap", name, err)
		}
		h.audited(journal.Audit{At: time.Now(), Changes: []journal.Change{{ID: "x", PlaceIDs: []string{"x"}}}})
		if err := h.save(t.Context(), time.Now()); err != nil {
			t.Errorf("%s: it cannot begin anew: %v", name, err)
		}
	}
	cluster := fake.NewClientset(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: DefaultNamespace, Name: DefaultName + journalSuffix}})
	away := true
	cluster.PrependReactor("get", "configmaps", func(ktesting.Action) (bool, runtime.Object, error) { return away, nil, errors.New("away") })
	h := newHistory(cluster.CoreV1().ConfigMaps(DefaultNamespace), DefaultName)
	for range 2 {
		err := errors.Join(h.load(t.Context()), h.save(t.Context(), time.Now()))
		written := slices.ContainsFunc(cluster.Actions(), func(a ktesting.Action) bool { return a.GetVerb() == "update" })
		if (err != nil) != away || written == away {
			t.Errorf("away: %t: %v, written: %t", away, err, written)
		}
		away = false
	}
	if _, _, err := ReadHistory(context.Background(), fake.NewClientset(), "elsewhere"); err == nil || !strings.Contains(err.Error(), "--installation-namespace") {
		t.Errorf("where none is kept: %v", err)
	}
}

// Whatever there is to say, a ConfigMap has room for it, and what goes first is the oldest.
func TestJournalIsBounded(t *testing.T) {
	cluster, now := fake.NewClientset(), time.Now()
	h := newHistory(cluster.CoreV1().ConfigMaps(DefaultNamespace), DefaultName)
	workloads := map[inventory.WorkloadRef]journal.Workload{}
	if err := h.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	for n := range journal.MostEntries {
		id := fmt.Sprintf("%010x", n)
		c := journal.Change{ID: id, Summary: strings.Repeat("s", 200), PlaceIDs: []string{id}}
		for i := range 60 {
			ref := inventory.WorkloadRef{Kind: "Deployment", Namespace: fmt.Sprintf("namespace-%d-%d", n, i), Name: strings.Repeat("n", 63)}
			workloads[ref] = journal.Workload{Standing: journal.InSync}
			c.Workloads = append(c.Workloads, ref)
			c.Places = append(c.Places, journal.Place{Part: "container/istio-proxy", Path: fmt.Sprint("env", i), To: strings.Repeat("{v", 125)})
		}
		now = now.Add(time.Minute)
		h.audited(journal.Audit{At: now, Asked: true, Changes: []journal.Change{c}, Workloads: workloads})
	}
	if err := h.save(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	entries, _, err := ReadHistory(t.Context(), cluster, DefaultNamespace)
	if err != nil || len(entries) < journal.MostEntries/2 || len(entries) == journal.MostEntries || entries[0].ID != fmt.Sprintf("%010x", journal.MostEntries-1) {
		t.Errorf("%d entries, %v", len(entries), err)
	}
}
