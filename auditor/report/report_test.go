package report_test

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

func TestNewSortsWorstFirstThenByName(t *testing.T) {
	items := []report.Item{
		{Namespace: "b", Kind: "Deployment", Name: "x", State: verdict.InSync},
		{Namespace: "b", Kind: "Pod", Name: "a", State: verdict.Drifted},
		{Namespace: "b", Kind: "Deployment", Name: "y", State: verdict.Drifted},
		{Namespace: "b", Kind: "Deployment", Name: "x", State: verdict.Drifted},
		{Namespace: "a", Kind: "Pod", Name: "z", State: verdict.Drifted},
		{Namespace: "c", Kind: "Pod", Name: "z", State: "FromTheFuture"},
		{Namespace: "c", Kind: "Pod", Name: "z", State: verdict.Blocked},
	}
	var got []string
	for _, item := range report.New(report.DriftReport, clock, items, 0).Items {
		got = append(got, strings.Join([]string{string(item.State), item.Namespace, item.Kind, item.Name}, " "))
	}
	want := []string{
		"Blocked c Pod z",
		"Drifted a Pod z",
		"Drifted b Deployment x",
		"Drifted b Deployment y",
		"Drifted b Pod a",
		"InSync b Deployment x",
		"FromTheFuture c Pod z",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if items[0].State != verdict.InSync || items[0].Pods != nil {
		t.Error("New changed the caller's items")
	}
}

func TestDriftPercentCountsPods(t *testing.T) {
	for _, tt := range []struct {
		name string
		pods map[verdict.State]int
		want float64
	}{
		{"none", nil, 0},
		{"a quarter", map[verdict.State]int{verdict.Drifted: 3, verdict.InSync: 9}, 25},
		{"missing and orphaned drift too", map[verdict.State]int{verdict.Missing: 1, verdict.Orphaned: 1, verdict.InSync: 2}, 50},
		{"modified is only counted", map[verdict.State]int{verdict.Drifted: 1, verdict.Modified: 1}, 50},
		{"the rest is apart", map[verdict.State]int{
			verdict.Drifted: 1, verdict.InSync: 1, verdict.Blocked: 5, verdict.Unstable: 5,
			verdict.Unknown: 5, verdict.Mutated: 5, verdict.NotInjected: 5,
		}, 50},
		{"nothing counted", map[verdict.State]int{verdict.NotInjected: 7}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := report.New(report.DriftReport, clock, []report.Item{{State: verdict.InSync, Pods: tt.pods}}, 0).Summary.Drift()
			if math.Abs(got-tt.want) > 1e-9 {
				t.Errorf("drift percent = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestListsAndMapsAreNeverNull(t *testing.T) {
	items := []report.Item{
		{Name: "bare"}, {Name: "with a revision", Revisions: []report.Revision{{}}},
		{Name: "judged", State: verdict.InSync, Pods: map[verdict.State]int{verdict.InSync: 1}}, // or driftPercent is null
	}
	var out bytes.Buffer
	if err := report.New(report.DriftReport, clock, items, 0).Masked(mask.Constant()).Write(&out, report.JSON, report.TextOptions{}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "null") {
		t.Errorf("null in\n%s", out.String())
	}
}

func TestSelectKeepsTheSummary(t *testing.T) {
	all := read(t, report.DriftReport, "audit", 2)
	some := all.Select(verdict.Blocked, verdict.Missing)
	if len(some.Items) != 2 || some.Items[0].State != verdict.Blocked || some.Items[1].State != verdict.Missing {
		t.Errorf("selected %v", some.Items)
	}
	if diff := cmp.Diff(all.Summary, some.Summary); diff != "" {
		t.Errorf("summary (-all +some):\n%s", diff)
	}
	if none := all.Select(verdict.Unstable); none.Items == nil {
		t.Error("no items is null, want an empty list")
	}
}

// What is in a Pod must not reach a terminal as a command, in any rendering.
func TestNoRenderingHoldsControlCharacters(t *testing.T) {
	const attack = "a\x1b]0;owned\x07b\x9b\u009b31m\x7f\r\u202ec"
	quoted, err := json.Marshal(attack)
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range []verdict.State{verdict.Drifted, verdict.Blocked, attack} {
		r := report.New(report.DriftReport, clock, []report.Item{{
			Namespace: attack, Kind: attack, Name: attack, State: state,
			Revisions: []report.Revision{{
				Name: attack, State: state, Reason: attack, Sidecars: []string{attack},
				Changes: []verdict.Change{
					{Part: attack, Path: attack, From: quoted, To: json.RawMessage(`{` + string(quoted) + `:` + string(quoted) + `}`)},
					{Part: "pod", Path: "x", From: quoted},
				},
			}},
			Rollout: report.Rollout{Result: attack, Reason: attack},
		}}, 0)
		rollout := *r
		rollout.Kind = report.RolloutReport
		var out bytes.Buffer
		for _, each := range []*report.Report{r, &rollout} {
			for _, format := range []report.Format{report.Table, report.Wide, report.JSON, report.YAML} {
				if err := each.Masked(mask.Constant()).Write(&out, format, report.TextOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			if err := each.Masked(mask.Constant()).WriteDiff(&out, report.TextOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		for line := range strings.Lines(out.String()) {
			if strings.ContainsFunc(strings.TrimSuffix(line, "\n"), unicode.IsControl) || !utf8.ValidString(line) {
				t.Errorf("control character or invalid UTF-8 in %q", line)
			}
		}
	}
}

func TestWriteRefusesAnUnknownFormat(t *testing.T) {
	r := report.New(report.DriftReport, clock, nil, 0)
	if err := r.Masked(mask.Constant()).Write(&bytes.Buffer{}, "xml", report.TextOptions{}); err == nil {
		t.Error("no error")
	}
}
