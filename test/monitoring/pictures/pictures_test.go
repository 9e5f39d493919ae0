//go:build monitoring

package pictures

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/dashboard"
)

var (
	update = flag.Bool("update", false, "write the golden files anew, and the picture in docs/")
	kept   = flag.String("pictures", "", "keep the pictures in this directory")
)

// drawing is what draw.jsx draws.
type drawing struct {
	Dashboard dashboard.Dashboard `json:"dashboard"`
	// Answers of Prometheus, by panel and query: PANEL/QUERY.
	Answers map[string]answer `json:"answers"`
	// Annotations are times, in milliseconds.
	Annotations []float64         `json:"annotations"`
	Variables   map[string]string `json:"variables"`
	From        int64             `json:"from"`
	To          int64             `json:"to"`
	Step        int               `json:"step"`
	Light       bool              `json:"light"`
}

// said is what people read on a panel: its words, where its links lead, the colours of its
// graph.
type said struct {
	Words   []string `json:"words"`
	Links   []string `json:"links"`
	Colours []string `json:"colours"`
}

// of asks Prometheus all that the dashboard asks, with these variables.
func of(ctx context.Context, t *testing.T, p server, variables map[string]string) drawing {
	t.Helper()
	const width = 5 * time.Minute
	d := drawing{
		Dashboard: dashboard.New(), Answers: map[string]answer{}, Variables: variables,
		From: morning.Unix(), To: evening.Unix(), Step: int(width.Seconds()),
	}
	values := strings.NewReplacer("$cluster", variables["cluster"], "$namespace", variables["namespace"], "$__rate_interval", "10m", "$__range", "24h")
	for _, panel := range d.Dashboard.Panels {
		for _, q := range panel.Targets {
			found, err := p.ask(ctx, values.Replace(q.Expr), q.Instant, width)
			if err != nil {
				t.Fatalf("%s: %v", panel.Title, err)
			}
			d.Answers[fmt.Sprintf("%d/%s", panel.ID, q.RefID)] = found
		}
	}
	d.Annotations = beginnings(ctx, t, p, d.Dashboard, values)
	return d
}

// beginnings are the times of the annotations, which are their values.
func beginnings(ctx context.Context, t *testing.T, p server, d dashboard.Dashboard, values *strings.Replacer) []float64 {
	t.Helper()
	list, _ := d.Annotations["list"].([]map[string]any)
	expr, _ := list[0]["expr"].(string)
	found, err := p.ask(ctx, values.Replace(expr), true, 0)
	if err != nil {
		t.Fatal(err)
	}
	var times []float64
	for _, series := range found.Result {
		var one struct{ Value [2]json.Number }
		if err := json.Unmarshal(series, &one); err != nil {
			t.Fatal(err)
		}
		at, err := one.Value[1].Float64()
		if err != nil {
			t.Fatal(err)
		}
		times = append(times, at)
	}
	return times
}

// tools is the directory of the programs that draw, with all that they need of npm, which
// is kept in the user's cache.
func tools(t *testing.T) string {
	t.Helper()
	lock, err := os.ReadFile("draw/package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	installed := filepath.Join(cache, "sidecar-drift", "npm", fmt.Sprintf("%.12x", sha256.Sum256(lock)))
	if _, err := os.Stat(installed); err != nil {
		if err := os.MkdirAll(filepath.Dir(installed), 0o755); err != nil {
			t.Fatal(err)
		}
		fresh, err := os.MkdirTemp(filepath.Dir(installed), "new-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(fresh)
		if err := os.CopyFS(fresh, os.DirFS("draw")); err != nil {
			t.Fatal(err)
		}
		run(t, fresh, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
		if err := os.Rename(fresh, installed); err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("draw")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(installed, "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// drawn is what came of a drawing.
type drawn struct {
	Problems []string
	Said     map[string]said
}

// draw draws each drawing into its directory, and returns what came of it.
func draw(t *testing.T, tools string, drawings map[string]drawing) map[string]drawn {
	t.Helper()
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"shoot.mjs", browser}
	for pictures, d := range drawings {
		if err := os.MkdirAll(pictures, 0o755); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(pictures, "drawing.json"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, pictures)
	}
	output := run(t, tools, "node", args...)
	var all map[string]drawn
	if err := json.Unmarshal([]byte(output), &all); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return all
}

func TestPictures(t *testing.T) {
	p, tools := serve(t, record(t)), tools(t)
	pictures := t.TempDir()
	if *kept != "" {
		var err error
		if pictures, err = filepath.Abs(*kept); err != nil {
			t.Fatal(err)
		}
	}
	drawings := map[string]drawing{}
	for name, variables := range map[string]map[string]string{
		"one-cluster":   {"cluster": "east", "namespace": ".*"},
		"one-namespace": {"cluster": "east", "namespace": "payments"},
		"fleet":         {"cluster": ".*", "namespace": ".*"},
	} {
		variables["page"], variables["datasource"] = "http://localhost:8082", "prometheus"
		drawings[filepath.Join(pictures, name)] = of(t.Context(), t, p, variables)
	}
	all := draw(t, tools, drawings)
	for directory := range drawings {
		name, drawn := filepath.Base(directory), all[directory]
		t.Run(name, func(t *testing.T) {
			for _, problem := range drawn.Problems {
				t.Errorf("the browser says: %s", problem)
			}
			golden(t, name, drawn.Said)
			if name == "one-cluster" {
				coloured(t, drawn.Said["Pods by state"].Colours)
				documented(t, decoded(t, filepath.Join(directory, "dashboard.png")))
			}
		})
	}
}

// coloured looks for the colours of states in the graph of Pods by state: those that Pods were
// in that day are there, and nothing is drawn for what is 0 all day.
func coloured(t *testing.T, colours []string) {
	t.Helper()
	for state, there := range map[verdict.State]bool{verdict.InSync: true, verdict.Drifted: true, verdict.Blocked: true, verdict.Orphaned: false} {
		if slices.ContainsFunc(colours, func(drawn string) bool { return alike(t, drawn, report.StateColour(state)) }) != there {
			t.Errorf("%s is drawn: %t, want %t; the graph has %v", state, !there, there, colours)
		}
	}
}

// alike reports whether two colours differ by no more than a fill's transparency rounds.
func alike(t *testing.T, a, b string) bool {
	t.Helper()
	one, other := channels(t, a), channels(t, b)
	for i := range one {
		if max(one[i]-other[i], other[i]-one[i]) > 1 {
			return false
		}
	}
	return true
}

func channels(t *testing.T, colour string) [3]int {
	t.Helper()
	var c [3]int
	if _, err := fmt.Sscanf(colour, "#%02x%02x%02x", &c[0], &c[1], &c[2]); err != nil {
		t.Fatalf("%s is no colour: %v", colour, err)
	}
	return c
}

// golden compares what panels say with what they said.
func golden(t *testing.T, name string, panels map[string]said) {
	t.Helper()
	var b strings.Builder
	for _, panel := range dashboard.New().Panels {
		if panel.Type == "row" {
			fmt.Fprintf(&b, "# %s\n\n", panel.Title)
			continue
		}
		fmt.Fprintf(&b, "## %s\n", panel.Title)
		for _, line := range panels[panel.Title].Words {
			fmt.Fprintln(&b, line)
		}
		for _, link := range panels[panel.Title].Links {
			fmt.Fprintln(&b, "->", link)
		}
		fmt.Fprintln(&b)
	}
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("what the panels say (-want +got; -update writes it anew):\n%s", diff)
	}
}
