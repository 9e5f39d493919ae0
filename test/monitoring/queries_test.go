//go:build monitoring

package monitoring

import (
	"context"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/sidecar-drift/sidecar-drift/internal/dashboard"
)

// grafana puts values in the place of variables, as Grafana does, where All is
// chosen and where a namespace is.
var (
	grafana = strings.NewReplacer("$cluster", ".*", "$namespace", ".*", "$__rate_interval", "15s", "$__range", "10m")
	inShop  = strings.NewReplacer("$cluster", ".*", "$namespace", shop, "$__rate_interval", "15s", "$__range", "10m")
)

// inCluster puts in the value of a cluster that is chosen.
func inCluster(name, expr string) string {
	return grafana.Replace(strings.ReplaceAll(expr, "$cluster", name))
}

func readDashboard(t *testing.T) dashboard.Dashboard {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(manifests, "grafana", "sidecar-drift.json"))
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard.Dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// No panel is dead: each of its queries has numbers, graphs' at some time, others'
// now.
func TestPanels(t *testing.T) {
	n := 0
	for _, p := range readDashboard(t).Panels {
		for _, q := range p.Targets {
			n++
			t.Run(p.Title+"/"+q.RefID, func(t *testing.T) {
				ask := shared.prometheus.over
				if q.Instant {
					ask = shared.prometheus.instant
				}
				found, err := ask(t.Context(), grafana.Replace(q.Expr))
				if err != nil {
					t.Fatalf("%v\n%s", err, q.Expr)
				}
				if !numbers(found) { // what is shown only where not all namespaces are chosen
					if found, err = ask(t.Context(), inShop.Replace(q.Expr)); err != nil || !numbers(found) {
						t.Errorf("no numbers: %v (%v)\n%s", found, err, q.Expr)
					}
				}
				if series := regexp.MustCompile(`{{(\w+)}}`).FindAllStringSubmatch(q.LegendFormat, -1); len(found) > 0 {
					for _, label := range series {
						if _, ok := found[0].Metric[label[1]]; !ok && label[1] != "cluster" {
							t.Errorf("the legend %q names the label %s, which %v has not", q.LegendFormat, label[1], found[0].Metric)
						}
					}
				}
			})
		}
	}
	if n == 0 {
		t.Error("the dashboard has no query")
	}
}

// Where scrapes name the cluster, each panel can be had for that one alone.
func TestPanelsOfOneCluster(t *testing.T) {
	for _, p := range readDashboard(t).Panels {
		for _, q := range p.Targets {
			ask := shared.labelled.over
			if q.Instant {
				ask = shared.labelled.instant
			}
			found, err := ask(t.Context(), inCluster(east, q.Expr))
			if err == nil && !numbers(found) {
				found, err = ask(t.Context(), inCluster(east, strings.ReplaceAll(q.Expr, "$namespace", shop)))
			}
			if err != nil || !numbers(found) {
				t.Errorf("%s: no numbers of the cluster: %v (%v)\n%s", p.Title, found, err, q.Expr)
			}
			if found, err := ask(t.Context(), inCluster("west", q.Expr)); err != nil || anyAbove0(found) {
				t.Errorf("%s: numbers of another cluster: %v (%v)\n%s", p.Title, found, err, q.Expr)
			}
		}
	}
}

// anyAbove0 tells whether a value is more than nothing.
func anyAbove0(found []series) bool {
	return slices.ContainsFunc(found, func(s series) bool {
		for _, value := range append(s.Values, s.Value) {
			if text, ok := value[1].(string); ok && text != "0" && text != "NaN" {
				return true
			}
		}
		return false
	})
}

// What the numbers of a namespace are, of those that are known.
func TestPanelsShowWhatHappened(t *testing.T) {
	want := map[string]string{
		"Now/Blocked": "1", "Now/Drift now": "1", "Now/Drifted": "1", "Now/Open changes": "1", "Now/Injectors down": "0", "Stamper/Replicas": "1",
		"By workload/Workloads that cannot be re-created": "1",
	}
	section := ""
	for _, p := range readDashboard(t).Panels {
		if p.Type == "row" {
			section = p.Title
		}
		value, ok := want[section+"/"+p.Title]
		if !ok {
			continue
		}
		delete(want, section+"/"+p.Title)
		found, err := shared.prometheus.instant(t.Context(), inShop.Replace(p.Targets[0].Expr))
		if err != nil || len(found) != 1 || found[0].Value[1] != value {
			t.Errorf("%s shows %v (%v), want %s", p.Title, found, err, value)
		}
	}
	if len(want) > 0 {
		t.Errorf("there are no panels %v", want)
	}
}

// The variable namespace holds what was audited, not where the auditor is.
func TestVariables(t *testing.T) {
	values := func(label, metric string) []string {
		var found []string
		if err := shared.prometheus.get(t.Context(), "/api/v1/label/"+label+"/values", url.Values{"match[]": {metric}}, &found); err != nil {
			t.Fatal(err)
		}
		return found
	}
	query := regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)
	list, _ := readDashboard(t).Templating["list"].([]any)
	seen := map[string][]string{}
	for _, variable := range list {
		variable, _ := variable.(map[string]any)
		if variable["type"] != "query" {
			continue
		}
		text, _ := variable["query"].(map[string]any)["query"].(string)
		parts := query.FindStringSubmatch(text)
		if parts == nil {
			t.Fatalf("the variable %v asks %q", variable["name"], text)
		}
		seen[parts[2]] = values(parts[2], grafana.Replace(parts[1]))
	}
	if !slices.Contains(seen["namespace"], shop) || slices.Contains(seen["namespace"], "sidecar-drift") != productIsAudited(t) {
		t.Errorf("the namespaces to choose from are %v", seen["namespace"])
	}
	if found, ok := seen["cluster"]; !ok || len(found) > 0 {
		t.Errorf("the clusters to choose from are %v, where no series has that label", found)
	}
}

// productIsAudited tells whether the product's own Pods are, which its manifests
// make on any cluster.
func productIsAudited(t *testing.T) bool {
	t.Helper()
	found, err := shared.prometheus.instant(t.Context(), `sidecar_drift_workloads{namespace="sidecar-drift"}`)
	if err != nil {
		t.Fatal(err)
	}
	return len(found) > 0
}

// threshold is the end of an alert's expression: what makes it an alert.
var threshold = regexp.MustCompile(`\s[<>]=?\s[0-9.]+$`)

// What each alert compares with its threshold is there; an alert that fires where
// something is absent fired when nothing ran yet.
func TestRules(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(manifests, "prometheus", "rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var rules struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal(text, &rules); err != nil {
		t.Fatal(err)
	}
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			t.Run(rule.Alert, func(t *testing.T) {
				found, err := shared.prometheus.over(t.Context(), threshold.ReplaceAllString(rule.Expr, ""))
				if err != nil {
					t.Fatal(err)
				}
				if rule.Alert == "SidecarDriftInjectorDown" {
					if numbers(found) {
						t.Errorf("an injector does not answer: %v", found)
					}
					return // rules_test.yaml has those that do not
				}
				if !numbers(found) {
					t.Errorf("no numbers: %v\n%s", found, rule.Expr)
				}
			})
		}
	}
}

// Prometheus itself has loaded the rules, and what happened makes them active.
func TestAlerts(t *testing.T) {
	for _, alert := range []string{"SidecarDriftHigh", "SidecarDriftWorkloadBlocked", "SidecarDriftStamperFailingOpen", "SidecarDriftRolloutFailed", "SidecarDriftNotificationsFailed"} {
		if err := shared.prometheus.until(t.Context(), `ALERTS{alertname="`+alert+`"}`); err != nil {
			t.Error(err)
		}
	}
	var found result
	if err := shared.prometheus.get(context.Background(), "/api/v1/query", url.Values{"query": {`ALERTS{alertname=~"SidecarDrift(AuditStale|ChangeStuck|StamperSlow|CertificateExpiring)"}`}}, &found); err != nil {
		t.Fatal(err)
	}
	if len(found.Result) > 0 {
		t.Errorf("alerts without a reason: %v", found.Result)
	}
}
