package report_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/auditor/cause"
	"github.com/sidecar-drift/sidecar-drift/auditor/journal"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

// differing is a workload with one sidecar, which differs in its image.
func differing(namespace, to string) report.Item {
	item := report.Item{
		Namespace: namespace, Kind: "Deployment", Name: "web", State: verdict.Drifted, Pods: map[verdict.State]int{verdict.Drifted: 1},
		Revisions: []report.Revision{{
			Name: "web-1", State: verdict.Drifted, Pods: 1, Sidecars: []string{"istio-proxy"},
			Changes: []verdict.Change{{Part: "container/istio-proxy", Path: "image", From: []byte(`"proxy:1"`), To: []byte(`"proxy:` + to + `"`)}},
			Members: map[verdict.State][]report.PodRef{verdict.Drifted: {{Name: "web-1-x", UID: namespace}}, verdict.InSync: {{Name: "web-1-y", UID: "other"}}},
		}},
	}
	if to == "" {
		item.State, item.Revisions[0].State, item.Revisions[0].Changes = verdict.InSync, verdict.InSync, nil
	}
	return item
}

func TestQuestions(t *testing.T) {
	now := time.Now()
	for name, test := range map[string]struct {
		items  []report.Item
		spared bool
		spaces []string
	}{
		"everywhere":           {[]report.Item{differing("pay", "2"), differing("shop", "2")}, false, []string{"pay", "shop"}},
		"some are spared":      {[]report.Item{differing("pay", "2"), differing("shop", "")}, true, []string{"pay"}},
		"others are not of it": {[]report.Item{differing("pay", "2"), {Namespace: "plain", Kind: "Deployment", Name: "x", State: verdict.NotInjected}}, false, []string{"pay"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := report.New(report.DriftReport, clock, test.items, 0)
			r.Group()
			questions := r.Questions()
			if len(questions) != 1 {
				t.Fatalf("%+v", questions)
			}
			q := questions[0]
			want := cause.Change{Kind: "image", Parts: []string{"container/istio-proxy"}, Paths: []string{"image"}, Namespaces: test.spaces, Spared: test.spared}
			if diff := cmp.Diff(want, q.Change); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			slices.Sort(q.Pods)
			if diff := cmp.Diff(test.spaces, q.Pods); diff != "" {
				t.Errorf("Pods that differ (-want +got):\n%s", diff)
			}
			born := map[string]time.Time{"pay": now, "shop": now.Add(time.Second), "other": now.Add(time.Hour)}
			if last := q.LastBorn(born); last != born[test.spaces[len(test.spaces)-1]] {
				t.Errorf("the last was born at %s", last)
			}
		})
	}
}

// What is said of a change is in every format, and nothing in it reaches a terminal or a page
// as more than text.
func TestWhoseChangesAreIsShown(t *testing.T) {
	r := report.New(report.DriftReport, clock, []report.Item{differing("pay", "2"), differing("shop", "")}, 0)
	r.Group()
	r.Caused(map[string]cause.Verdict{
		r.Changes[0].ID: {By: "=helm\x1b[2J <b>updated</b> | ConfigMap istio-system/istio", Writes: []cause.Write{{Kind: "ConfigMap", Name: "istio", Manager: "helm", Certainty: cause.Sure}}},
		"another":       {By: "nobody"},
	})
	for format, want := range map[report.Format]string{
		report.Table:    "#1  istio-proxy image 1 → 2  1 workload  1 Pod  1 namespace  version  " + r.Changes[0].ID + "\n    by: =helm\\x1b[2J <b>updated</b> | ConfigMap istio-system/istio\n",
		report.Markdown: "Risk | ID | By |\n|---|---|---:|---:|---:|---|---|---|\n",
		report.CSV:      "version," + r.Changes[0].ID + ": =helm\\x1b[2J",
		report.JSON:     `"certainty": "sure"`,
	} {
		var out bytes.Buffer
		if err := r.Masked(mask.Constant()).Write(&out, format, report.TextOptions{}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), want) || strings.Contains(out.String(), "\x1b") {
			t.Errorf("%s has no %q:\n%s", format, want, out.String())
		}
		if format == report.Markdown && !strings.Contains(out.String(), `&lt;b&gt;updated&lt;/b&gt; \| ConfigMap`) {
			t.Errorf("markdown:\n%s", out.String())
		}
	}
}

// The daemon's entries are recognised in a report of one workload, which has them as one.
func TestKnown(t *testing.T) {
	r := report.New(report.DriftReport, clock, []report.Item{differing("pay", "2")}, 0)
	r.Group()
	id := r.Changes[0].ID
	known := r.Known([]journal.Entry{
		{ID: id, Parts: []string{id}}, {ID: "x", Parts: []string{id, "x"}}, {ID: "y"}, {ID: id, Parts: []string{id}, Ended: &journal.End{}},
	})
	if len(known) != 1 || known[0].ID != id {
		t.Errorf("%+v", known)
	}
}
