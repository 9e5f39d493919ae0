package report

import (
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

// A plan in waves has a column for them, and no other plan has.
func TestRolloutTableShowsWaves(t *testing.T) {
	item := func(name, wave string) Item {
		return Item{
			Namespace: "shop", Kind: "Deployment", Name: name, State: verdict.Drifted, Pods: map[verdict.State]int{verdict.Drifted: 1},
			Rollout: Rollout{Result: Planned, Wave: wave},
		}
	}
	for want, items := range map[string][]Item{
		"NAMESPACE  KIND        NAME  STATE    PODS  RESULT   WAVE         DETAILS\n" +
			"shop       Deployment  web   Drifted  1     Planned  env=staging\n" +
			"shop       Deployment  api   Drifted  1     Planned  the rest\n": {item("web", "env=staging"), item("api", "the rest")},
		"NAMESPACE  KIND        NAME  STATE    PODS  RESULT   DETAILS\n" +
			"shop       Deployment  web   Drifted  1     Planned\n": {item("web", "")},
	} {
		var b strings.Builder
		r := Report{Kind: RolloutReport, Items: items}
		if err := r.Masked(mask.Constant()).Write(&b, Table, TextOptions{}); err != nil {
			t.Fatal(err)
		}
		var lines []string
		for line := range strings.Lines(b.String()) {
			if line == "\n" {
				break
			}
			lines = append(lines, strings.TrimRight(line, " \n")+"\n")
		}
		if got := strings.Join(lines, ""); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}
