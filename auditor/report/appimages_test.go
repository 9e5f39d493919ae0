package report

import (
	"encoding/json"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

func TestImageChanges(t *testing.T) {
	image := func(part, from, to string) verdict.Change {
		c := verdict.Change{Part: part, Path: "image"}
		if from != "" {
			c.From = json.RawMessage(`"` + from + `"`)
		}
		if to != "" {
			c.To = json.RawMessage(`"` + to + `"`)
		}
		return c
	}
	a, b := image("app/a", "a:1", "a:2"), image("app/b", "", "b:1")
	for want, revisions := range map[string][]Revision{
		"":                            {{}},
		"a: a:1 → a:2":                {{AppImages: []verdict.Change{a}}, {AppImages: []verdict.Change{a}}},
		"a: a:1 → a:2, b: none → b:1": {{AppImages: []verdict.Change{a}}, {AppImages: []verdict.Change{b}}},
		"a: a:1 → a:2, b: none → b:1, c: c → none, and 1 more": {{AppImages: []verdict.Change{a, b, image("app/c", "c", ""), image("app/d", "d", "e")}}},
	} {
		if got := (Item{Revisions: revisions}).ImageChanges(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestSidecarless(t *testing.T) {
	sidecar, variables := Revision{Sidecars: []string{"proxy"}}, Revision{Injected: true}
	for _, test := range []struct {
		revisions []Revision
		want      bool
		cell      string
	}{
		{[]Revision{{}}, false, ""},
		{[]Revision{sidecar}, false, "proxy"},
		{[]Revision{variables}, true, "(no container)"},
		{[]Revision{variables, sidecar}, false, "proxy"},
	} {
		item := Item{Revisions: test.revisions}
		if got, cell := item.Sidecarless(), sidecarNames(item); got != test.want || cell != test.cell {
			t.Errorf("%+v: %v, %q", test.revisions, got, cell)
		}
	}
}
