package report

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

func TestWrap(t *testing.T) {
	for _, tt := range []struct {
		text         string
		width, limit int
		want         []string
	}{
		{"short", 10, 2, []string{"short"}},
		{"no limit at all", 0, 2, []string{"no limit at all"}},
		{"one two three", 7, 3, []string{"one two", "three"}},
		{"one two three four", 7, 2, []string{"one two", "three…"}},
		{"one two three four five", 7, 0, []string{"one two", "three", "four", "five"}},
		{"verylongword and more", 5, 0, []string{"very…", "and", "more"}},
		{"\x1b[31mone\x1b[0m two", 7, 0, []string{"\x1b[31mone\x1b[0m two"}},
	} {
		if diff := cmp.Diff(tt.want, wrap(tt.text, tt.width, tt.limit)); diff != "" {
			t.Errorf("wrap(%q, %d, %d) (-want +got):\n%s", tt.text, tt.width, tt.limit, diff)
		}
	}
}

func TestPercentNeverRoundsToNoneOrAll(t *testing.T) {
	for p, want := range map[float64]string{0: "0.0 %", 0.01: "<0.1 %", 25: "25.0 %", 33.333: "33.3 %", 99.95: ">99.9 %", 100: "100.0 %"} {
		if got := percent(p); got != want {
			t.Errorf("percent(%v) = %q, want %q", p, got, want)
		}
	}
}

func FuzzSummaryFitsItsWidth(f *testing.F) {
	f.Add("container/istio-proxy", "image", "istio/proxyv2:1.27.0", "istio/proxyv2:1.28.0", 30)
	f.Add("volumes", "[x].emptyDir", "", "\x1b", 21)
	f.Add("", "", "\xff", "é", 20)
	f.Add("app/web", "env["+strings.Repeat("x", 500)+"].value", strings.Repeat("é", 300), strings.Repeat("a/", 200)+"b:1@sha256:c", 80)
	f.Add("order", "image", ":", "@", 1000)
	f.Fuzz(func(t *testing.T, part, path, from, to string, width int) {
		if width < narrowest || width > 1000 {
			return
		}
		value := func(s string) json.RawMessage {
			if s == "" {
				return nil
			}
			raw, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			return raw
		}
		changes := []verdict.Change{
			{Part: part, Path: path, From: value(from), To: value(to)},
			{Part: part, Path: "image", From: value(to), To: value(from)},
			{Part: "pod", Path: path, To: value(to)},
		}
		if got := summarizeChanges(changes, 0, tableChanges, width); cells(got) > width {
			t.Errorf("%d columns in %d: %q", cells(got), width, got)
		}
	})
}
