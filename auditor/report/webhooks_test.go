package report_test

import (
	"encoding/json"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// A webhook is named where no other can have made the change.
func TestWebhookOfAChange(t *testing.T) {
	changed := func(part, path, from, to string) verdict.Change {
		c := verdict.Change{Part: part, Path: path}
		if from != "" {
			c.From = json.RawMessage(from)
		}
		if to != "" {
			c.To = json.RawMessage(to)
		}
		return c
	}
	image := changed("container/istio-proxy", "image", `"p:1"`, `"p:2"`)
	own := changed("container/mesh", "image", `"p:1"`, `"p:2"`)
	const istio, other, policy = "istiod/sidecar-injector.istio.io", "other/inject.example.com", "adds-labels"
	for _, test := range []struct {
		name     string
		change   verdict.Change
		mutators [][]string // of each workload
		want     string
	}{
		{"one alone", own, [][]string{{other}}, other},
		{"one of those that several workloads pass", own, [][]string{{other, istio}, {other}}, other},
		{"one of two, by its name", image, [][]string{{other, istio}, {istio, other}}, istio},
		{"two, of no known name", own, [][]string{{other, istio}}, ""},
		{"a policy besides, and the injector known", image, [][]string{{policy, istio}}, istio},
		{"a policy alone", own, [][]string{{policy}}, ""},
		{"none that could be read", own, [][]string{nil}, ""},
		{"no two workloads pass the same", own, [][]string{{other}, {istio}}, ""},
		{"what is gone may be another's", changed("container/mesh", "", `{"name":"mesh"}`, ""), [][]string{{other}}, ""},
		{"resources of the app, which a LimitRange gives, too", changed("app/web", "resources.limits.cpu", "", `"1"`), [][]string{{other}}, ""},
		{"variables of the app", changed("app/web", "env[JAVA_OPTS]", "", `{"name":"JAVA_OPTS"}`), [][]string{{other}}, other},
	} {
		var items []report.Item
		for i, mutators := range test.mutators {
			items = append(items, report.Item{
				Namespace: "shop", Kind: "Deployment", Name: string(rune('a' + i)), State: verdict.Drifted, Pods: map[verdict.State]int{verdict.Drifted: 1},
				Revisions: []report.Revision{{Name: "r", State: verdict.Drifted, Pods: 1, Changes: []verdict.Change{test.change}, Sidecars: []string{"istio-proxy", "mesh"}, Mutators: mutators}},
			})
		}
		r := &report.Report{Items: items}
		r.Group()
		if len(r.Changes) != 1 || r.Changes[0].Webhook != test.want {
			t.Errorf("%s: %+v, want %q", test.name, r.Changes, test.want)
		}
	}
}
