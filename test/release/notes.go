// Package release checks what is released: that a tag is what CHANGELOG and chart say,
// and what is in a snapshot of it.
package release

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"
)

var tagged = regexp.MustCompile(`^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?$`)

// Notes returns what CHANGELOG.md of a checkout says of a version, v1.2.3, and an error
// unless the chart is of that version, too.
func Notes(root, version string) (string, error) {
	if !tagged.MatchString(version) {
		return "", fmt.Errorf("%q is no version like v1.2.3", version)
	}
	number := strings.TrimPrefix(version, "v")
	chart, err := os.ReadFile(filepath.Join(root, "manifests", "chart", "Chart.yaml"))
	if err != nil {
		return "", err
	}
	var versions struct{ Version, AppVersion string }
	if err := yaml.Unmarshal(chart, &versions); err != nil {
		return "", fmt.Errorf("read Chart.yaml: %w", err)
	}
	if versions.Version != number || versions.AppVersion != version {
		return "", fmt.Errorf("the chart is version %s of %s; set both in Chart.yaml to %s, run make generate, and tag that",
			versions.Version, versions.AppVersion, number)
	}
	changelog, err := os.ReadFile(filepath.Join(root, "CHANGELOG.md"))
	if err != nil {
		return "", err
	}
	notes, err := section(string(changelog), number)
	if err != nil {
		return "", err
	}
	return absolute(notes, version), nil
}

// section is what stands below "## [0.1.0] - 2026-11-29" or "## 0.1.0 - …".
func section(changelog, number string) (string, error) {
	heading := regexp.MustCompile(`(?m)^## \[?` + regexp.QuoteMeta(number) + `\]?( .*)?\n`)
	at := heading.FindStringIndex(changelog)
	if at == nil {
		return "", fmt.Errorf("CHANGELOG.md has no heading %q; move what is under Unreleased below it", "## "+number)
	}
	text := changelog[at[1]:]
	if next := regexp.MustCompile(`(?m)^## `).FindStringIndex(text); next != nil {
		text = text[:next[0]]
	}
	if text = strings.TrimSpace(text); text == "" {
		return "", errors.New("CHANGELOG.md says nothing of this version")
	}
	return text + "\n", nil
}

var relative = regexp.MustCompile(`\]\(([^):#\s]+)(#[^)\s]*)?\)`)

// absolute has links lead to the files as they were in that version: a release's page
// stands beside no file.
func absolute(notes, version string) string {
	return relative.ReplaceAllString(notes, "](https://github.com/sidecar-drift/sidecar-drift/blob/"+version+"/$1$2)")
}
