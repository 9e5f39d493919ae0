package service

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// What a round finds is told once, all of it together, and not again by the next leader;
// what has ceased and begins anew is told anew.
func TestNews(t *testing.T) {
	objects := fake.NewClientset().CoreV1().ConfigMaps("sidecar-drift")
	m := newMemory(objects, "auditor")
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	item := func(name string, state verdict.State) report.Item {
		return report.Item{Namespace: "shop", Kind: "Deployment", Name: name, State: state}
	}
	down := []report.Outage{{Webhook: "istio/inject", Reason: "nobody"}}
	for _, tt := range []struct {
		what    string
		items   []report.Item
		outages []report.Outage
		want    []string
	}{
		{"the first round", []report.Item{item("a", verdict.Drifted), item("b", verdict.Missing), item("c", verdict.Blocked), item("d", verdict.InSync)}, down, []string{
			"2 workloads in namespace shop drifted", "1 workload in namespace shop cannot be re-created: admission refuses their Pods",
			"1 injector ceased to answer: new Pods may be created without what is injected",
		}},
		{"nothing new", []report.Item{item("a", verdict.Drifted), item("b", verdict.Orphaned), item("c", verdict.Blocked)}, down, nil},
		{"another leader", nil, nil, nil},
		{"nothing new to it", []report.Item{item("a", verdict.Drifted), item("b", verdict.Orphaned), item("c", verdict.Blocked)}, down, nil},
		{"one more, one less", []report.Item{item("a", verdict.InSync), item("b", verdict.Orphaned), item("d", verdict.Drifted)}, nil, []string{"1 workload in namespace shop drifted"}},
		{"and back", []report.Item{item("a", verdict.Drifted), item("b", verdict.Orphaned), item("c", verdict.Blocked), item("d", verdict.Drifted)}, down, []string{
			"1 workload in namespace shop drifted", "1 workload in namespace shop cannot be re-created: admission refuses their Pods",
			"1 injector ceased to answer: new Pods may be created without what is injected",
		}},
		{"a name that no object can have", []report.Item{item("", verdict.Blocked)}, down, nil},
	} {
		now = now.Add(time.Minute)
		if tt.what == "another leader" {
			m = newMemory(objects, "auditor")
			if err := m.load(t.Context()); err != nil {
				t.Fatal(err)
			}
			continue
		}
		found := &report.Report{Items: tt.items, Outages: tt.outages}
		var got []string
		for _, message := range m.update(found, now).messages(found, now) {
			got = append(got, message.Summary)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s:\n%s", tt.what, diff)
		}
		if err := m.save(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
