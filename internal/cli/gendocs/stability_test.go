package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/config"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// releases holds what each release documented and wrote: docs/stability.md.
const releases = "testdata"

// TestWhoeverReadsARelease finds that a script made for a release reads today's reports:
// all that their schemas promised is there, and is what it was.
func TestWhoeverReadsARelease(t *testing.T) {
	for release := range eachRelease(t) {
		for _, name := range []string{"driftreport", "rolloutreport", "doctorreport", "notification"} {
			old, now := schemaOf(t, releases, release, name+".schema.json"), schemaOf(t, docs, "schema", name+".schema.json")
			for _, broken := range brokenOutput(old, now) {
				t.Errorf("%s of %s: %s", name, release, broken)
			}
		}
	}
}

// TestReportsOfReleases are read whole: nothing in them is unknown, and they are as
// today's schemas say.
func TestReportsOfReleases(t *testing.T) {
	for release := range eachRelease(t) {
		for _, name := range []string{"driftreport", "rolloutreport"} {
			text := read(t, releases, release, name+".json")
			decoder := json.NewDecoder(bytes.NewReader(text))
			decoder.DisallowUnknownFields()
			var r report.Report
			if err := decoder.Decode(&r); err != nil || len(r.Items) == 0 {
				t.Errorf("%s of %s: %d items, %v", name, release, len(r.Items), err)
			}
			if err := validate(t, name, text); err != nil {
				t.Errorf("%s of %s: %v", name, release, err)
			}
		}
		if err := validate(t, "doctorreport", read(t, releases, release, "doctorreport.json")); err != nil {
			t.Errorf("doctorreport of %s: %v", release, err)
		}
	}
}

// TestConfigurationsOfReleases are taken, and no key of them has another type.
func TestConfigurationsOfReleases(t *testing.T) {
	for release := range eachRelease(t) {
		if _, err := config.Load(read(t, releases, release, "configuration.yaml")); err != nil {
			t.Errorf("the configuration of %s: %v", release, err)
		}
		old, now := schemaOf(t, releases, release, "configuration.schema.json"), schemaOf(t, docs, "schema", "configuration.schema.json")
		for _, broken := range brokenInput(old, now) {
			t.Errorf("the configuration of %s: %s", release, broken)
		}
	}
}

// TestWhatBreaksIsSeen has the comparison find each kind of break.
func TestWhatBreaksIsSeen(t *testing.T) {
	const old = `{"type":"object","required":["a"],"properties":{"a":{"type":"string","enum":["x","y"]},"b":{"$ref":"#/$defs/B"},
		"d":{"type":"string"},"e":{"type":"object","additionalProperties":{"type":"number"}}},
		"$defs":{"B":{"type":"array","items":{"type":"object","properties":{"c":{"type":"integer"}}}}}}`
	for _, test := range []struct{ from, to, output, input string }{
		{`"c":{"type":"integer"}`, `"d":{"type":"integer"}`, ".b[].c is gone", ".b[].c is gone"},
		{`"c":{"type":"integer"}`, `"c":{"type":"string"}`, `.b[].c is "string", was "integer"`, `.b[].c is "string", was "integer"`},
		{`"required":["a"]`, `"required":[]`, ".a may be absent", ""},
		{`"required":["a"]`, `"required":["a","b"]`, "", ".b is required"},
		{`["x","y"]`, `["x"]`, "", `.a does not take "y" any more`},
		{`["x","y"]`, `["x","y","z"]`, "", ""},
		{`"c":`, `"more":{"type":"string"},"c":`, "", ""},
		{`"items":{"type":"object","properties":{"c":{"type":"integer"}}}`, `"title":"B"`, ".b[] may be anything", ".b[] may be anything"},
		{`"c":{"type":"integer"}`, `"c":{"type":"integer","minimum":1}`, "", ".b[].c has tighter bounds"},
		{`"c":{"type":"integer"}`, `"c":{"type":"integer","maximum":9}`, "", ".b[].c has tighter bounds"},
		{`"d":{"type":"string"}`, `"d":{"type":"string","enum":["x"]}`, "", ".d takes some words only"},
		{`"d":{"type":"string"}`, `"d":{"type":"string","pattern":"^x"}`, "", ".d has another pattern"},
		{`{"type":"number"}`, `{"type":"string"}`, `.e.* is "string", was "number"`, `.e.* is "string", was "number"`},
		{`"additionalProperties":{"type":"number"}`, `"additionalProperties":false`, ".e.* may be anything", ".e takes no other keys any more; .e.* may be anything"},
	} {
		var before, after schema
		for text, to := range map[string]*schema{old: &before, strings.Replace(old, test.from, test.to, 1): &after} {
			if err := json.Unmarshal([]byte(text), to); err != nil {
				t.Fatal(err)
			}
		}
		if got := strings.Join(brokenOutput(&before, &after), "; "); got != test.output {
			t.Errorf("%s → %s: output %q, want %q", test.from, test.to, got, test.output)
		}
		if got := strings.Join(brokenInput(&before, &after), "; "); got != test.input {
			t.Errorf("%s → %s: input %q, want %q", test.from, test.to, got, test.input)
		}
	}
}

// brokenOutput says what a reader of old documents misses in new ones. New values of an
// enumeration are no break: docs/stability.md has readers expect them.
func brokenOutput(old, now *schema) []string {
	return compare(old, now, func(path string, old, now *schema) (broken []string) {
		for _, name := range old.Required {
			if !slices.Contains(now.Required, name) {
				broken = append(broken, path+"."+name+" may be absent")
			}
		}
		return broken
	})
}

// brokenInput says what of old documents is not taken any more.
func brokenInput(old, now *schema) []string {
	return compare(old, now, func(path string, old, now *schema) (broken []string) {
		for _, name := range now.Required {
			if !slices.Contains(old.Required, name) {
				broken = append(broken, path+"."+name+" is required")
			}
		}
		for _, value := range old.Enum {
			if len(now.Enum) > 0 && !slices.Contains(now.Enum, value) {
				broken = append(broken, fmt.Sprintf("%s does not take %q any more", path, value))
			}
		}
		if len(old.Enum) == 0 && len(now.Enum) > 0 {
			broken = append(broken, path+" takes some words only")
		}
		if old.Pattern != now.Pattern && now.Pattern != "" {
			broken = append(broken, path+" has another pattern")
		}
		if tighter(old.Minimum, now.Minimum, 1) || tighter(old.Maximum, now.Maximum, -1) {
			broken = append(broken, path+" has tighter bounds")
		}
		if old.Additional != false && now.Additional == false {
			broken = append(broken, path+" takes no other keys any more")
		}
		return broken
	})
}

// tighter reports whether a bound has come, or has moved in the direction in which it
// excludes more.
func tighter(old, now *int, direction int) bool {
	return now != nil && (old == nil || (*now-*old)*direction > 0)
}

// compare visits what two schemas have in common, and says what is gone or of another
// type.
func compare(old, now *schema, judge func(path string, old, now *schema) []string) []string {
	var broken []string
	seen := map[[2]string]bool{}
	var visit func(path string, a, b *schema)
	visit = func(path string, a, b *schema) {
		if a.Ref != "" || b.Ref != "" {
			if pair := [2]string{a.Ref, b.Ref}; a.Ref != "" && seen[pair] {
				return
			} else {
				seen[pair] = true
			}
			a, b = resolved(old, a), resolved(now, b)
		}
		if !reflect.DeepEqual(a.Type, b.Type) || a.Const != b.Const || a.Format != b.Format {
			broken = append(broken, fmt.Sprintf("%s is %q, was %q", path, fmt.Sprint(b.Type, b.Const, b.Format), fmt.Sprint(a.Type, a.Const, a.Format)))
			return
		}
		broken = append(broken, judge(path, a, b)...)
		for name, of := range a.Properties {
			if b.Properties[name] == nil {
				broken = append(broken, path+"."+name+" is gone")
				continue
			}
			visit(path+"."+name, of, b.Properties[name])
		}
		for of, pair := range map[string][2]*schema{"[]": {a.Items, b.Items}, ".*": {valuesOf(a), valuesOf(b)}} {
			switch {
			case pair[0] == nil:
			case pair[1] == nil:
				broken = append(broken, path+of+" may be anything")
			default:
				visit(path+of, pair[0], pair[1])
			}
		}
	}
	visit("", old, now)
	slices.Sort(broken)
	return broken
}

// valuesOf is the schema of a map's values; nil where it has none.
func valuesOf(s *schema) *schema {
	text, err := json.Marshal(s.Additional)
	if _, described := s.Additional.(map[string]any); !described || err != nil {
		return nil
	}
	var values schema
	if json.Unmarshal(text, &values) != nil {
		return nil
	}
	return &values
}

// resolved follows a reference within its document.
func resolved(document, s *schema) *schema {
	if name, is := strings.CutPrefix(s.Ref, "#/$defs/"); is {
		return document.Defs[name]
	}
	return s
}

func schemaOf(t *testing.T, path ...string) *schema {
	t.Helper()
	var s schema
	if err := json.Unmarshal(read(t, path...), &s); err != nil {
		t.Fatal(err)
	}
	return &s
}

// eachRelease yields the releases whose promises hold.
func eachRelease(t *testing.T) func(func(string) bool) {
	t.Helper()
	entries, err := os.ReadDir(releases)
	if err != nil || len(entries) == 0 {
		t.Fatalf("%d releases: %v", len(entries), err)
	}
	return func(yield func(string) bool) {
		for _, e := range entries {
			if !yield(e.Name()) {
				return
			}
		}
	}
}
