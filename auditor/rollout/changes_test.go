package rollout

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// A workload is rolled out by its changes only where all of them are named, and none is
// riskier than allowed.
func TestChooseByChangeAndRisk(t *testing.T) {
	cpu := verdict.Change{Part: "container/istio-proxy", Path: "resources.requests.cpu", From: json.RawMessage(`"1"`), To: json.RawMessage(`"2"`)}
	port := verdict.Change{Part: "container/istio-proxy", Path: "ports[15021]", To: json.RawMessage(`{"containerPort":15021}`)}
	named := func(item report.Item, name string) report.Item {
		item.Name = name
		return item
	}
	unstable := imageChange
	unstable.Unstable = true
	known := report.New(report.DriftReport, time.Unix(0, 0), []report.Item{
		named(audited("Deployment", verdict.Drifted, imageChange, cpu), "plain"),
		named(audited("Deployment", verdict.Drifted, imageChange, cpu, port), "port"),
		named(audited("Deployment", verdict.Drifted, cpu), "cpu"),
		named(with(audited("Deployment", verdict.Drifted, cpu), func(r *report.Revision) { r.MoreChanges = 1 }), "more"),
		named(audited("Deployment", verdict.Drifted, cpu, unstable), "unstable"),
		named(audited("Deployment", verdict.InSync), "in-sync"),
	}, 0)
	known.Group()
	item := func(name string) report.Item {
		for _, item := range known.Items {
			if item.Name == name {
				return item
			}
		}
		t.Fatal(name)
		return report.Item{}
	}
	id := func(of verdict.Change) change.ID {
		for _, item := range known.Items {
			for _, c := range item.Revisions[0].Changes {
				if c.Place() == of.Place() {
					id, err := change.ParseID(c.ID)
					if err != nil {
						t.Fatal(err)
					}
					return id
				}
			}
		}
		t.Fatal(of)
		return 0
	}
	only := func(ids ...change.ID) Options { return Options{Select: Filter{Changes: change.Name(ids...)}} }
	upTo := func(risk change.Risk) Options { return Options{Select: Filter{MaxRisk: risk}} }
	for name, test := range map[string]struct {
		item   report.Item
		opts   Options
		want   report.Result
		reason string
	}{
		"all named":                   {item("plain"), only(id(imageChange), id(cpu)), report.Planned, ""},
		"all named, and more":         {item("cpu"), only(id(imageChange), id(cpu)), report.Planned, ""},
		"one of two named":            {item("plain"), only(id(cpu)), report.Skipped, "also differs in change " + id(imageChange).String() + " (container/istio-proxy:image), which --change does not name"},
		"one of three named":          {item("port"), only(id(cpu)), report.Skipped, " and 1 more (container/istio-proxy:"},
		"none named":                  {item("cpu"), only(id(port)), report.Skipped, "differs in change " + id(cpu).String()},
		"not known whole":             {item("more"), only(id(cpu)), report.Skipped, "it is not known whether"},
		"something unstable, named":   {item("unstable"), only(id(cpu)), report.Skipped, "also differs in container/istio-proxy:image, which varies from one injection to the next"},
		"something unstable, tuning":  {item("unstable"), upTo(change.Tuning), report.Skipped, "what would change is version (another minor version: istio-proxy:image), and --max-risk is tuning"},
		"in sync":                     {item("in-sync"), only(id(cpu)), "", "in sync"},
		"audited again, all alone":    {named(audited("Deployment", verdict.Drifted, cpu, imageChange), "plain"), only(id(imageChange), id(cpu)), report.Planned, ""},
		"not grouped, and not named":  {named(audited("Deployment", verdict.Drifted, imageChange), "plain"), only(id(cpu)), report.Skipped, "it is not known whether"},
		"tuning":                      {item("cpu"), upTo(change.Tuning), report.Planned, ""},
		"a version, where tuning may": {item("plain"), upTo(change.Tuning), report.Skipped, "what would change is version (another minor version: istio-proxy:image), and --max-risk is tuning"},
		"a version":                   {item("plain"), upTo(change.Version), report.Planned, ""},
		"behaviour, where versions":   {item("port"), upTo(change.Version), report.Skipped, "is behaviour (ports: istio-proxy:ports[15021])"},
		"unknown, where behaviour":    {item("more"), upTo(change.Behaviour), report.Skipped, "it differs in more places than are known"},
		"unknown, without a limit":    {item("more"), upTo(change.Loss), report.Planned, ""},
		"in sync, --all, no risk":     {item("in-sync"), Options{Select: Filter{MaxRisk: change.Cosmetic, All: true}}, report.Planned, ""},
	} {
		got := choose(test.item, test.opts)
		if got.result != test.want || (got.reason == "") != (test.reason == "") || !strings.Contains(got.reason, test.reason) {
			t.Errorf("%s: %q (%s), want %q (%s)", name, got.result, got.reason, test.want, test.reason)
		}
	}
}
