package service

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-logr/logr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/journal"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// A change that begins leaves an Event where people look for it: on the injector's Service or,
// where that is not known or not allowed, on the journal.
func TestAChangeLeavesAnEvent(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	before, round := now.Add(-time.Minute), journal.Audit{At: now.Add(300 * time.Millisecond)}
	istio := &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "istio"},
		Webhooks: []admissionregistrationv1.MutatingWebhook{
			{Name: "inject.istio.io", ClientConfig: admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Namespace: "istio-system", Name: "istiod"}}},
			{Name: "by.url", ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: new("https://example.com")}},
		},
	}
	for name, test := range map[string]struct {
		webhook   string
		began     journal.Interval
		forbidden bool
		want      string // of whom; empty: none
	}{
		"of an injector":                 {"istio/inject.istio.io", journal.Interval{After: before, By: now}, false, "istio-system/istiod"},
		"of one that we may not tell":    {"istio/inject.istio.io", journal.Interval{After: before, By: now}, true, "sidecar-drift/sidecar-drift-auditor-journal"},
		"of one behind a URL":            {"istio/by.url", journal.Interval{After: before, By: now}, false, "sidecar-drift/sidecar-drift-auditor-journal"},
		"of a configuration that went":   {"linkerd/inject", journal.Interval{After: before, By: now}, false, "sidecar-drift/sidecar-drift-auditor-journal"},
		"of nobody who is known":         {"", journal.Interval{After: before, By: now}, false, "sidecar-drift/sidecar-drift-auditor-journal"},
		"that takes long to say":         {"", journal.Interval{After: before, By: now}, false, "sidecar-drift/sidecar-drift-auditor-journal"},
		"that was there before":          {"istio/inject.istio.io", journal.Interval{After: before.Add(-time.Hour), By: before}, false, ""},
		"that was there at first":        {"istio/inject.istio.io", journal.Interval{By: now}, false, ""},
		"that the journal does not have": {"istio/inject.istio.io", journal.Interval{}, false, ""},
	} {
		cluster := fake.NewClientset(istio)
		if test.forbidden {
			cluster.PrependReactor("create", "events", func(a ktesting.Action) (bool, runtime.Object, error) {
				return a.GetNamespace() != DefaultNamespace, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "events"}, "", nil)
			})
		}
		a := &announcer{cluster, &eventWriter{cluster, logr.Discard()}, DefaultNamespace, DefaultName, logr.Discard()}
		r := &report.Report{Changes: []report.ChangeSummary{{ID: "3f0c29d1aa", Summary: "istio-proxy image 1 → 2\x1b[2J", Webhook: test.webhook, Risk: change.Version, Workloads: 46, Pods: 98, Namespaces: 12}}}
		if name == "that takes long to say" {
			r.Changes[0].Summary = strings.Repeat("→", 2*longestNote)
		}
		open := map[string]journal.Interval{}
		if test.began != (journal.Interval{}) {
			open["3f0c29d1aa"] = test.began
		}
		a.began(t.Context(), r, open, round)
		found, err := cluster.EventsV1().Events("").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var got string
		for _, e := range found.Items {
			got = e.Regarding.Namespace + "/" + e.Regarding.Name
			if e.Reason != "InjectionChanged" || !strings.Contains(e.Note, "46 workloads (98 Pods, 12 namespaces) differ in it, risk version; sidecar-drift history show 3f0c29d1aa") || strings.Contains(e.Note, "\x1b") || len(e.Note) > longestNote {
				t.Errorf("a change %s: %s %q", name, e.Reason, e.Note)
			}
		}
		if got != test.want || len(found.Items) > 1 {
			t.Errorf("a change %s: %d Events, on %q, want %q", name, len(found.Items), got, test.want)
		}
	}
}

// An API server takes notes of longestNote bytes, and writes three for a byte that is no character.
func TestANoteIsCutBetweenCharacters(t *testing.T) {
	cluster := fake.NewClientset()
	w := &eventWriter{cluster, logr.Discard()}
	for _, before := range []string{"", "x", "xx"} {
		if err := w.write(t.Context(), &corev1.ObjectReference{Namespace: "x", Name: "y"}, "Normal", "R", "A", before+strings.Repeat("→", longestNote)); err != nil {
			t.Fatal(err)
		}
	}
	found, err := cluster.EventsV1().Events("").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(found.Items) != 3 {
		t.Fatalf("%d Events, %v", len(found.Items), err)
	}
	for _, e := range found.Items {
		if !utf8.ValidString(e.Note) || len(e.Note) > longestNote || !strings.HasSuffix(e.Note, "…") {
			t.Errorf("%d bytes: %q", len(e.Note), e.Note[len(e.Note)-9:])
		}
	}
}

func TestFewEventsARound(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	cluster, r, open := fake.NewClientset(), &report.Report{}, map[string]journal.Interval{}
	for i := range 3 * mostAnnounced {
		id := fmt.Sprintf("%010d", i)
		r.Changes = append(r.Changes, report.ChangeSummary{ID: id})
		open[id] = journal.Interval{After: now.Add(-time.Minute), By: now}
	}
	(&announcer{cluster, &eventWriter{cluster, logr.Discard()}, DefaultNamespace, DefaultName, logr.Discard()}).began(t.Context(), r, open, journal.Audit{At: now})
	found, err := cluster.EventsV1().Events("").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(found.Items) != mostAnnounced {
		t.Errorf("%d Events, %v", len(found.Items), err)
	}
}
