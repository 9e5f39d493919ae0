//go:build monitoring

package monitoring

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// run runs a program in a directory, and fails the test with what it says.
func run(t *testing.T, dir, stdin, name string, args ...string) {
	t.Helper()
	if output, err := command(t, dir, stdin, name, args...); err != nil {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, output)
	}
}

func command(t *testing.T, dir, stdin, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(stdin)
	output, err := cmd.CombinedOutput()
	return string(output), err
}

func TestPromtoolChecksRules(t *testing.T) {
	dir := filepath.Join(manifests, "prometheus")
	run(t, dir, "", "promtool", "check", "rules", "--lint-fatal", "rules.yaml")
	run(t, dir, "", "promtool", "test", "rules", "rules_test.yaml", "rules_days_test.yaml")
}

func TestPromtoolChecksMetrics(t *testing.T) {
	for name, address := range map[string]string{
		"one auditor": shared.auditors[0], "the other": shared.auditors[1], "stamper": shared.product.Replicas[0].Metrics(),
	} {
		t.Run(name, func(t *testing.T) {
			response, err := http.Get("http://" + address + "/metrics")
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			text, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(text), "\nsidecar_drift_") {
				t.Errorf("no metric of ours:\n%s", text)
			}
			run(t, ".", string(text), "promtool", "check", "metrics")
		})
	}
}

// The dashboard has the types of Grafana's schema: options of each kind of panel,
// fields, variables. The compiler is handed the JSON as a literal, so that it
// complains about fields that do not exist, too.
func TestDashboardHasGrafanasTypes(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("schema")); err != nil {
		t.Fatal(err)
	}
	run(t, dir, "", "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	text, err := os.ReadFile(filepath.Join(manifests, "grafana", "sidecar-drift.json"))
	if err != nil {
		t.Fatal(err)
	}
	compile := func(dashboard string) (string, error) {
		source := "import type { Dashboard } from './types';\nexport const dashboard: Dashboard = " + dashboard
		if err := os.WriteFile(filepath.Join(dir, "dashboard.ts"), []byte(source), 0o644); err != nil {
			t.Fatal(err)
		}
		return command(t, dir, "", filepath.Join(dir, "node_modules", ".bin", "tsc"), "-p", ".")
	}
	if output, err := compile(string(text)); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
	for right, wrong := range map[string]string{
		`"lineInterpolation": "stepAfter"`: `"lineInterpolation": "stepafter"`,
		`"colorMode": "background"`:        `"colourMode": "background"`,
		`"unit": "percentunit"`:            `"units": "percentunit"`,
	} {
		broken := strings.ReplaceAll(string(text), right, wrong)
		if broken == string(text) {
			t.Errorf("the dashboard holds no %s", right)
		}
		if _, err := compile(broken); err == nil {
			t.Errorf("%s passes", wrong)
		}
	}
}
