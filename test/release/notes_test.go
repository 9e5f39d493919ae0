package release

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const changes = `# Changelog

## Unreleased
- not yet

## [0.2.0] - 2027-01-01
### Added
- A page ([the page](docs/page.md#top), [elsewhere](https://example.com/x), [above](#here)).

## 0.1.0 - 2026-11-29
- The first one.
`

func checkout(t *testing.T, chart string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "manifests", "chart"), 0o755); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{"CHANGELOG.md": changes, "manifests/chart/Chart.yaml": chart} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestNotesAreTheVersionsSection(t *testing.T) {
	notes, err := Notes(checkout(t, "version: 0.2.0\nappVersion: v0.2.0\n"), "v0.2.0")
	if err != nil {
		t.Fatal(err)
	}
	want := "### Added\n- A page ([the page](https://github.com/sidecar-drift/sidecar-drift/blob/v0.2.0/docs/page.md#top), " +
		"[elsewhere](https://example.com/x), [above](#here)).\n"
	if notes != want {
		t.Errorf("got\n%s\nwant\n%s", notes, want)
	}
	if notes, err = Notes(checkout(t, "version: 0.1.0\nappVersion: v0.1.0\n"), "v0.1.0"); err != nil || notes != "- The first one.\n" {
		t.Errorf("of the last section: %q, %v", notes, err)
	}
}

func TestATagThatNothingElseSaysIsRefused(t *testing.T) {
	for _, tt := range []struct{ chart, tag, want string }{
		{"version: 0.2.0\nappVersion: v0.2.0\n", "0.2.0", "no version like v1.2.3"},
		{"version: 0.2.0\nappVersion: v0.2.0\n", "v0.2", "no version like v1.2.3"},
		{"version: 0.1.0\nappVersion: v0.2.0\n", "v0.2.0", "the chart is version 0.1.0 of v0.2.0"},
		{"version: 0.2.0\nappVersion: v0.1.0\n", "v0.2.0", "set both in Chart.yaml to 0.2.0"},
		{"version: 0.3.0\nappVersion: v0.3.0\n", "v0.3.0", `no heading "## 0.3.0"`},
	} {
		if _, err := Notes(checkout(t, tt.chart), tt.tag); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s with %q: %v, want %q", tt.tag, tt.chart, err, tt.want)
		}
	}
}
