package report_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
	"github.com/sidecar-drift/sidecar-drift/internal/printable"
)

// population is n workloads as a change of a template leaves them: most differ alike, some
// in more, one has a very long name, one's value is of wide characters.
func population(n int) *report.Report {
	text := func(s string) json.RawMessage {
		b, err := json.Marshal(s)
		if err != nil {
			panic(err)
		}
		return b
	}
	proxy := func(path, from, to string) verdict.Change {
		return verdict.Change{Part: "container/istio-proxy", Path: path, From: text(from), To: text(to)}
	}
	items := make([]report.Item, n)
	for i := range items {
		item := report.Item{
			Namespace: []string{"shop", "payments", "batch", "team-with-a-longer-name"}[i%4], Kind: []string{"Deployment", "StatefulSet", "DaemonSet"}[i%3],
			Name: fmt.Sprintf("service-%03d", i), State: verdict.Drifted, Pods: map[verdict.State]int{verdict.Drifted: 1 + i%3},
		}
		changes := []verdict.Change{
			proxy("image", "docker.io/istio/proxyv2:1.28.0", "docker.io/istio/proxyv2:1.29.0"),
			proxy("resources.requests.cpu", "150m", "200m"),
		}
		switch {
		case i%7 == 0:
			item.State, item.Pods, changes = verdict.InSync, map[verdict.State]int{verdict.InSync: 2}, nil
		case i%11 == 0:
			changes = append(changes, verdict.Change{Part: "container/istio-proxy", Path: "ports[15021]", To: json.RawMessage(`{"containerPort":15021}`)})
		case i == 2:
			item.Name = strings.Repeat("a-very-long-name-of-somebody-s-", 6) + "end"
		case i == 3:
			changes = append(changes, verdict.Change{Part: "app/表示", Path: "env[題名].value", From: text("日本語の長い値"), To: text("もう一つの値")})
		case i == 4:
			item.Namespace = "名前空間の長い長い名前であるもの"
		}
		if i == 5 {
			item.State, item.Pods, changes = verdict.Blocked, map[verdict.State]int{verdict.Blocked: 1}, nil
		}
		item.Revisions = []report.Revision{{Name: item.Name + "-1", State: item.State, Pods: 1 + i%3, Changes: changes, Sidecars: []string{"istio-proxy"}}}
		if item.State == verdict.Blocked {
			item.Revisions[0].Reason = `admission webhook "policy.example.com" denied the request: containers must not run as root: istio-init (runAsUser 0)`
		}
		item.Labels = map[string]string{"example.com/team": []string{"storefront", "", "チーム"}[i%3]}
		items[i] = item
	}
	return report.New(report.DriftReport, clock, items, 0)
}

// Each line fits the terminal, whatever one name or value is like.
func TestTablesFitTheTerminal(t *testing.T) {
	for _, width := range []int{60, 80, 120, 200} {
		for _, n := range []int{24, 500} {
			for _, kind := range []string{report.DriftReport, report.RolloutReport} {
				r := population(n)
				r.Kind = kind
				var out bytes.Buffer
				if err := r.Masked(mask.Constant()).Write(&out, report.Table, report.TextOptions{Width: width, Colour: n == 500}); err != nil {
					t.Fatal(err)
				}
				for line := range strings.Lines(out.String()) {
					if line = strings.TrimSuffix(line, "\n"); printable.Width(line) > width {
						t.Errorf("%s of %d: %d columns in %d: %q", kind, n, printable.Width(line), width, line)
					}
				}
				if n == 24 && kind == report.DriftReport {
					golden(t, fmt.Sprintf("population.table-%d.txt", width), out.Bytes())
				}
			}
		}
	}
}

func TestGroupedTables(t *testing.T) {
	for _, width := range []int{0, 60, 80, 120, 200} {
		for by, name := range map[report.GroupBy]string{report.ByChange: "change", report.ByNamespace: "namespace", report.ByLabel + "example.com/team": "label", "": "columns"} {
			for _, n := range []int{24, 500} {
				var out bytes.Buffer
				options := report.TextOptions{Width: width, GroupBy: by}
				if name == "columns" {
					options.Labels = []string{"example.com/team"}
				}
				if err := population(n).Masked(mask.Constant()).Write(&out, report.Table, options); err != nil {
					t.Fatal(err)
				}
				for line := range strings.Lines(out.String()) {
					if line = strings.TrimSuffix(line, "\n"); width > 0 && printable.Width(line) > width {
						t.Errorf("by %s: %d columns in %d: %q", name, printable.Width(line), width, line)
					}
				}
				if n == 24 && width == 80 {
					golden(t, fmt.Sprintf("population.by-%s.txt", name), out.Bytes())
				}
			}
		}
	}
}
