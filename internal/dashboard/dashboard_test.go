package dashboard

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

const (
	manifests = "../../manifests"
	docs      = "../../docs"
)

func read(t *testing.T, parts ...string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestFilesAreUpToDate(t *testing.T) {
	want, err := New().JSON()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(read(t, manifests, "grafana", "sidecar-drift.json"))); diff != "" {
		t.Errorf("the dashboard (run go generate ./internal/dashboard; -want +file):\n%s", diff)
	}
}

func TestPanels(t *testing.T) {
	taken, titles := map[string]string{}, map[string]bool{}
	for i, p := range New().Panels {
		if p.ID != i+1 {
			t.Errorf("%s has the id %d, want %d", p.Title, p.ID, i+1)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				cell := fmt.Sprintf("%d,%d", x, y)
				if other := taken[cell]; other != "" || x >= 24 {
					t.Fatalf("%s lies over %q, or over the edge, at %s", p.Title, other, cell)
				}
				taken[cell] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Title == "" || !strings.HasSuffix(p.Description, ".") {
			t.Errorf("%s is described by %q, which is no sentence", p.Title, p.Description)
		}
		if titles[p.Title] {
			t.Errorf("two panels are called %s", p.Title)
		}
		titles[p.Title] = true
		if d := p.FieldConfig.Defaults; d.Unit == "" || len(d.Thresholds.Steps) == 0 || d.Thresholds.Steps[0].Value != nil {
			t.Errorf("%s lacks a unit, or thresholds: %+v", p.Title, d)
		}
		if len(p.Targets) == 0 {
			t.Errorf("%s has no query", p.Title)
		}
		for _, q := range p.Targets {
			if selectors, chosen := strings.Count(q.Expr, "{"), strings.Count(q.Expr, `cluster=~"$cluster"`); selectors != chosen {
				t.Errorf("%s has %d selectors, of which %d heed the chosen cluster: %s", p.Title, selectors, chosen, q.Expr)
			}
		}
	}
}

// A stack has no lines, which were drawn for what is 0, and overlapping graphs have no fills,
// whose mixture is a colour of nothing.
func TestGraphs(t *testing.T) {
	for _, p := range New().Panels {
		if p.Type != "timeseries" {
			continue
		}
		custom := p.FieldConfig.Defaults.Custom
		stacked := custom["stacking"].(object)["mode"] == "normal"
		if width, fill := custom["lineWidth"].(int), custom["fillOpacity"].(int); stacked != (width == 0) || stacked != (fill > 0) {
			t.Errorf("%s is stacked: %t, its lines are %d wide and its fill is of %d %%", p.Title, stacked, width, fill)
		}
	}
}

// A query that ranks at each step draws whatever is among the first at any.
func TestRanksAreOfTheWholeRange(t *testing.T) {
	for _, p := range New().Panels {
		for _, q := range p.Targets {
			if q.Range && strings.Count(q.Expr, "topk(") > strings.Count(q.Expr, "@ end()") {
				t.Errorf("%s ranks anew at each step: %s", p.Title, q.Expr)
			}
			if strings.Contains(q.Expr, "increase(") && !strings.Contains(q.Expr, "_count{") {
				t.Errorf("%s counts by increase, which is no whole number: %s", p.Title, q.Expr)
			}
		}
	}
}

// Each alert has a severity, says what is wrong, and leads to a runbook that
// docs/monitoring.md links, too.
func TestRunbooks(t *testing.T) {
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert               string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(read(t, manifests, "prometheus", "rules.yaml"), &rules); err != nil {
		t.Fatal(err)
	}
	page := string(read(t, docs, "monitoring.md"))
	named := map[string]bool{}
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			named[rule.Alert+".md"] = true
			if want := "https://github.com/sidecar-drift/sidecar-drift/blob/main/docs/runbooks/" + rule.Alert + ".md"; rule.Annotations["runbook_url"] != want {
				t.Errorf("%s has the runbook %q, want %q", rule.Alert, rule.Annotations["runbook_url"], want)
			}
			if rule.Labels["severity"] == "" || rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" {
				t.Errorf("%s lacks severity, summary or description", rule.Alert)
			}
			if runbook := string(read(t, docs, "runbooks", rule.Alert+".md")); !strings.HasPrefix(runbook, "# "+rule.Alert+"\n") {
				t.Errorf("the runbook of %s has another title", rule.Alert)
			}
			if !strings.Contains(page, "(runbooks/"+rule.Alert+".md)") {
				t.Errorf("docs/monitoring.md does not link the runbook of %s", rule.Alert)
			}
		}
	}
	files, err := os.ReadDir(filepath.Join(docs, "runbooks"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !named[file.Name()] {
			t.Errorf("docs/runbooks/%s belongs to no alert", file.Name())
		}
	}
}
