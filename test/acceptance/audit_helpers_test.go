package acceptance

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
)

// auditorConfig is the configuration of the auditor's own ServiceAccount.
func auditorConfig(t *testing.T, c *cluster.Cluster) *rest.Config {
	t.Helper()
	testProduct(t)
	config, err := c.ServiceAccountConfig(t.Context(), install.Namespace, install.AuditorAccount)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// auditOf audits what is selected, as the installed auditor would.
func auditOf(t *testing.T, c *cluster.Cluster, selection inventory.Selection) *report.Report {
	t.Helper()
	r, err := audit.Run(t.Context(), auditorConfig(t, c), audit.Options{
		Selection: selection, Concurrency: 4, DeclaredSidecars: selection.WithContainers, Log: logr.Discard(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return advise(t, auditorConfig(t, c), r)
}

// advise says of each workload whether a rollout would take it.
func advise(t *testing.T, config *rest.Config, r *report.Report) *report.Report {
	t.Helper()
	if err := (&rollout.Adviser{}).Advise(t.Context(), config, r, rollout.Options{Select: rollout.AnyKind()}); err != nil {
		t.Fatal(err)
	}
	return r
}

// auditNamespace audits a namespace and compares each workload's line, as in
// "Deployment/web Drifted 2", sorted.
func auditNamespace(t *testing.T, c *cluster.Cluster, namespace string, want ...string) *report.Report {
	t.Helper()
	r := auditOf(t, c, inventory.Selection{Namespace: namespace})
	checkStates(t, r, want...)
	return r
}

func checkStates(t *testing.T, r *report.Report, want ...string) {
	t.Helper()
	got := []string{}
	for _, item := range r.Items {
		line := fmt.Sprintf("%s/%s %s", item.Kind, item.Name, item.State)
		for _, state := range verdict.States() {
			if n := item.Pods[state]; n > 0 && state == item.State {
				line += fmt.Sprintf(" %d", n)
			} else if n > 0 {
				line += fmt.Sprintf(" +%d %s", n, state)
			}
		}
		got = append(got, line)
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("workloads (-want +got):\n%s\n%s", diff, details(r))
	}
}

// details says for a failed test why workloads are in their states.
func details(r *report.Report) string {
	var b strings.Builder
	for _, item := range r.Items {
		for _, revision := range item.Revisions {
			fmt.Fprintf(&b, "%s/%s revision %s: %s %s\n", item.Kind, item.Name, revision.Name, revision.State, revision.Reason)
			for _, line := range changeLines(revision.Changes) {
				fmt.Fprintf(&b, "\t%s\n", line)
			}
		}
	}
	return b.String()
}

// changeLines renders changes as "container/istio-proxy image: "a" → "b"".
func changeLines(changes []verdict.Change) []string {
	text := func(value json.RawMessage) string {
		if value == nil {
			return "none"
		}
		return string(value)
	}
	lines := []string{}
	for _, c := range changes {
		lines = append(lines, fmt.Sprintf("%s %s: %s → %s", c.Part, c.Path, text(c.From), text(c.To)))
	}
	return lines
}

func itemOf(t *testing.T, r *report.Report, kind, name string) report.Item {
	t.Helper()
	for _, item := range r.Items {
		if item.Kind == kind && item.Name == name {
			return item
		}
	}
	t.Fatalf("no %s/%s in the report:\n%s", kind, name, details(r))
	return report.Item{}
}

// reasonOf is the reason of the workload's one revision.
func reasonOf(t *testing.T, r *report.Report, kind, name string) string {
	t.Helper()
	item := itemOf(t, r, kind, name)
	if len(item.Revisions) != 1 {
		t.Fatalf("%s/%s has %d revisions, want one:\n%s", kind, name, len(item.Revisions), details(r))
	}
	return item.Revisions[0].Reason
}
