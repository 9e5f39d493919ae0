package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// hostile is a workload of which everything is as long as a stranger likes.
func hostile(size int) Item {
	long := strings.Repeat("ü", size/2)
	changes := []verdict.Change{{Part: "container/" + long[:400], Path: "env[" + long[:400] + "].value", From: []byte(`"` + long[:2000] + `"`)}}
	item := Item{
		Namespace: "evil", Kind: long, Name: long, State: verdict.Drifted, Pods: map[verdict.State]int{verdict.Drifted: 3},
		Rollout: Rollout{Reason: long},
	}
	for i := range 3 {
		item.Revisions = append(item.Revisions, Revision{
			Name: fmt.Sprint(i, long), State: verdict.Drifted, Pods: 1, Approximate: true, Fresh: long, Changes: changes, MoreChanges: 7,
			Reason: fmt.Sprint(i, long), Sidecars: []string{long, long + "x"}, Loses: []string{long},
		})
	}
	return item
}

// No rendering grows with what a stranger writes into a name, a kind or a reason.
func TestLongTexts(t *testing.T) {
	web := Item{Namespace: "shop", Kind: "Deployment", Name: "web", State: verdict.InSync, Pods: map[verdict.State]int{verdict.InSync: 1}}
	for _, format := range []Format{Table, Wide, JSON, YAML, HTML, CSV, Markdown, JUnit, PolicyReport} {
		written := func(size int) string {
			var out bytes.Buffer
			if err := New(DriftReport, time.Unix(0, 0), []Item{web, hostile(size)}, 0).write(&out, format, TextOptions{}); err != nil {
				t.Fatal(err)
			}
			if !utf8.Valid(out.Bytes()) {
				t.Errorf("%s is no UTF-8", format)
			}
			return out.String()
		}
		few, many := written(10_000), written(1_000_000)
		if more := len(many) - len(few); more > 200 {
			t.Errorf("%s is %d bytes longer: %d", format, more, len(many))
		}
		if format != Table && format != Wide {
			continue
		}
		for line := range strings.Lines(many) {
			if limit := 300; strings.Contains(line, "web") && cells(line) > limit {
				t.Errorf("%s has another's line of %d columns", format, cells(line))
			}
		}
	}
}

// A real name of any length is shown in full wherever something may read it.
func TestNamesStay(t *testing.T) {
	name := strings.Repeat("a", 253)
	found := New(DriftReport, time.Now(), []Item{{Namespace: "shop", Kind: "Deployment", Name: name}}, 0)
	for _, format := range []Format{Wide, JSON, YAML, CSV, JUnit, PolicyReport} {
		var out bytes.Buffer
		if err := found.write(&out, format, TextOptions{}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), name) {
			t.Errorf("%s cuts the name", format)
		}
	}
}

// Thousands of Pods of an owner that no template is known of are one revision, but
// for the worst; what they number stays.
func TestManyRevisions(t *testing.T) {
	item := Item{Namespace: "evil", Kind: "Foo", Name: "bar", State: verdict.Drifted, Pods: map[verdict.State]int{}}
	states := []verdict.State{verdict.Drifted, verdict.InSync}
	for i := range 5_000 {
		state := states[i/2500]
		item.Pods[state]++
		item.Revisions = append(item.Revisions, Revision{
			Name: fmt.Sprint("p-", i), State: state, Pods: 1, Approximate: true, Reason: fmt.Sprint("reason ", i),
			Changes: []verdict.Change{{Part: "container/x", Path: fmt.Sprint("env[V", i, "]"), To: []byte("1")}},
			Members: map[verdict.State][]PodRef{state: {{Name: fmt.Sprint("p-", i)}}},
		})
	}
	found := New(DriftReport, time.Now(), []Item{item}, 0)
	revisions := found.Items[0].Revisions
	if len(revisions) != maxRevisions {
		t.Fatalf("%d revisions, want %d", len(revisions), maxRevisions)
	}
	last := revisions[maxRevisions-1]
	pods, members := 0, 0
	for _, r := range revisions {
		pods += r.Pods
		for _, of := range r.Members {
			members += len(of)
		}
	}
	if last.State != verdict.Drifted || last.MoreChanges != 5_000-maxRevisions+1 || pods != 5_000 || members != 5_000 || len(item.Revisions) != 5_000 {
		t.Errorf("%s, %d changes left out, %d Pods, %d members: %s", last.State, last.MoreChanges, pods, members, last.Reason)
	}
	if again := New(DriftReport, time.Now(), found.Items, 0).Items[0].Revisions; len(again) != maxRevisions || again[maxRevisions-1].Reason != last.Reason {
		t.Errorf("folded again: %d, %s", len(again), again[len(again)-1].Reason)
	}
	_, more, reason := worstOf(found.Items[0])
	if more != last.MoreChanges || cells(reason) > 200 {
		t.Errorf("%d more; %s", more, reason)
	}
}

// Changes whose parts would be one text if they were joined are two.
func TestChangesAreToldApart(t *testing.T) {
	item := Item{State: verdict.Drifted, Revisions: []Revision{{State: verdict.Drifted, Changes: []verdict.Change{
		{Part: "pod", Path: "a\x00b", From: []byte("1")}, {Part: "pod\x00a", Path: "b", From: []byte("1")},
		{Part: "pod", Path: "a", From: []byte(`"\u0000"`), To: []byte("2")}, {Part: "pod", Path: "a", From: []byte("\"\\u0000\"\x002")},
	}}}}
	if changes, _, _ := worstOf(item); len(changes) != 4 {
		t.Errorf("%d changes, want 4", len(changes))
	}
	text, err := Page{Report: Shown{New(DriftReport, time.Now(), []Item{{Revisions: []Revision{{Changes: []verdict.Change{
		{Part: "pod", Path: "a\x00b", From: []byte("1")}, {Part: "pod\x00a", Path: "b", From: []byte("1")},
	}}}}}, 0)}}.json()
	if err != nil {
		t.Fatal(err)
	}
	var data struct{ Changes []verdict.Change }
	if err := json.Unmarshal(text, &data); err != nil || len(data.Changes) != 2 {
		t.Errorf("%d changes of a page, want 2 (%v)", len(data.Changes), err)
	}
}

// Pods that are each a workload of their own do not make a report as large as they
// like, and take nothing from another namespace.
func TestManyGuesses(t *testing.T) {
	pod := func(namespace string, i int, approximate bool) Item {
		return Item{Namespace: namespace, Kind: "Pod", Name: fmt.Sprintf("p-%05d", i), State: verdict.Mutated, Revisions: []Revision{{
			State: verdict.Mutated, Pods: 1, Approximate: approximate,
			Changes: []verdict.Change{{Part: "app/x", Path: "env[A].value", From: []byte(`"` + strings.Repeat("x", 2000) + `"`)}},
		}}}
	}
	var items []Item
	for i := range 2_000 {
		items = append(items, pod("evil", i, true), pod("templates", i, false))
	}
	items = append(items, pod("shop", 0, true))
	shown, left := map[string]int{}, map[string]int{}
	for _, item := range New(DriftReport, time.Now(), items, 0).Items {
		shown[item.Namespace] += len(item.Revisions[0].Changes)
		left[item.Namespace] += item.Revisions[0].MoreChanges
	}
	if n := shown["evil"]; n > maxGuessed/2000 || n < maxGuessed/2100 || n+left["evil"] != 2_000 {
		t.Errorf("%d changes of one namespace are shown, %d left out", n, left["evil"])
	}
	if shown["shop"] != 1 || shown["templates"] != 2_000 {
		t.Errorf("%d and %d of the others are shown", shown["shop"], shown["templates"])
	}
}
