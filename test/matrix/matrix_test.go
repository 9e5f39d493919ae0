// Package matrix measures how often verdicts are wrong: each row is created,
// audited, changed, audited, rolled out and audited again, on the real cluster.
package matrix

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/clustertest"
	"github.com/sidecar-drift/sidecar-drift/test/injector"
	"github.com/sidecar-drift/sidecar-drift/test/install"
)

var accuracy = flag.String("accuracy", "", "write the result to this file, as Markdown")

const (
	namespace = "matrix"
	rowLabel  = "matrix-row"
)

// matrix is the table on the cluster: a Deployment a row.
type matrix struct {
	*cluster.Cluster
	config *rest.Config
	rows   []row
	// problems are what was wrong, by row.
	falseAlarms, misses map[int][]string
}

func TestMatrix(t *testing.T) {
	c := clustertest.New(t, cluster.Options{})
	product, err := install.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := product.Stop(); err != nil {
			t.Error(err)
		}
	})
	i, err := injector.Start(t.Context(), c, "matrix")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	config, err := c.ServiceAccountConfig(t.Context(), install.Namespace, install.RolloutAccount)
	if err != nil {
		t.Fatal(err)
	}
	m := &matrix{Cluster: c, config: config, rows: rows(), falseAlarms: map[int][]string{}, misses: map[int][]string{}}
	inject := func(operations func(row) []injector.Operation) {
		byRow := map[string][]injector.Operation{}
		for n, r := range m.rows {
			byRow[fmt.Sprint(n)] = operations(r)
		}
		i.Inject(func(labels map[string]string) []injector.Operation { return byRow[labels[rowLabel]] })
	}

	inject(func(r row) []injector.Operation { return r.before })
	m.deploy(t)
	for range 2 {
		m.expect(t, "before the change", m.unchanged)
	}
	inject(func(r row) []injector.Operation { return r.then })
	found := m.expect(t, "after the change", func(r row) (verdict.State, []string) { return r.state, r.changes })
	m.rollOut(t, found)
	m.expect(t, "after the rollout", m.rolledOut)

	for n, r := range m.rows {
		for _, problem := range slices.Concat(m.falseAlarms[n], m.misses[n]) {
			t.Errorf("%s: %s: %s", r.group, r.name, problem)
		}
	}
	m.publish(t)
}

// publish writes the result, or checks that the one that is published is this.
func (m *matrix) publish(t *testing.T) {
	t.Helper()
	if *accuracy != "" {
		if err := os.WriteFile(*accuracy, []byte(m.markdown()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	published, err := os.ReadFile("../../docs/accuracy.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(published), m.markdown()); diff != "" {
		t.Errorf("docs/accuracy.md is not the result of this run: make matrix (-published +run):\n%s", diff)
	}
}

func name(n int) string { return fmt.Sprintf("row-%03d", n) }

// deploy creates the Deployments and waits for their Pods.
func (m *matrix) deploy(t *testing.T) {
	t.Helper()
	var manifests strings.Builder
	fmt.Fprintf(&manifests, "apiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: {%s: \"yes\"}}\n", namespace, injector.NamespaceLabel)
	for n := range m.rows {
		fmt.Fprintf(&manifests, `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s, namespace: %[2]s}
spec:
  selector: {matchLabels: {%[3]s: "%[4]d"}}
  template: {metadata: {labels: {%[3]s: "%[4]d"}}, spec: {containers: [{name: app, image: "app:1"}]}}
`, name(n), namespace, rowLabel, n)
	}
	if err := m.Apply(t.Context(), manifests.String()); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Kubectl(t.Context(), "", "-n", namespace, "wait", "deployment", "--all", "--for=condition=Available", "--timeout=3m"); err != nil {
		pods, _ := m.Client().CoreV1().Events(namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "type=Warning"})
		for _, event := range pods.Items {
			t.Log(event.InvolvedObject.Name, event.Message)
		}
		t.Fatal(err)
	}
}

// unchanged is the state of a row whose Pods are as injection would make them.
func (m *matrix) unchanged(r row) (verdict.State, []string) {
	if r.state == verdict.Missing || r.state == verdict.Mutated {
		return verdict.NotInjected, nil
	}
	return verdict.InSync, nil
}

// rolledOut is the state of a row after everything was rolled out that may be.
func (m *matrix) rolledOut(r row) (verdict.State, []string) {
	switch r.state {
	case verdict.Orphaned:
		return verdict.NotInjected, nil
	case verdict.Mutated:
		return r.state, r.changes // never rolled out
	}
	return verdict.InSync, nil
}

func (m *matrix) audit(ctx context.Context, workloads ...inventory.WorkloadRef) (*report.Report, error) {
	return auditor.Audit(ctx, m.config, auditor.Options{
		Selection: inventory.Selection{Namespace: namespace, Workloads: workloads}, Concurrency: 8,
	})
}

// expect audits everything and notes what is not as it should be.
func (m *matrix) expect(t *testing.T, when string, want func(row) (verdict.State, []string)) *report.Report {
	t.Helper()
	found, err := m.audit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	items := map[string]report.Item{}
	for _, item := range found.Items {
		items[item.Name] = item
	}
	for n, r := range m.rows {
		state, changes := want(r)
		m.compare(n, when, items[name(n)], state, changes)
	}
	return found
}

func (m *matrix) compare(n int, when string, item report.Item, state verdict.State, changes []string) {
	var got []string
	for _, revision := range item.Revisions {
		for _, c := range revision.Changes {
			got = append(got, strings.TrimSpace(c.Part+" "+c.Path))
		}
		if item.State != state && revision.Reason != "" {
			got = append(got, revision.Reason)
		}
	}
	for _, place := range got {
		if !slices.Contains(changes, place) {
			m.falseAlarms[n] = append(m.falseAlarms[n], when+": reports "+place)
		}
	}
	for _, place := range changes {
		if !slices.Contains(got, place) {
			m.misses[n] = append(m.misses[n], when+": does not report "+place)
		}
	}
	switch {
	case item.State == state:
	case state == verdict.InSync || state == verdict.NotInjected:
		m.falseAlarms[n] = append(m.falseAlarms[n], fmt.Sprintf("%s: is %s, not %s", when, item.State, state))
	default:
		m.misses[n] = append(m.misses[n], fmt.Sprintf("%s: is %s, not %s", when, item.State, state))
	}
}

// rollOut rolls out what may be, sidecars that are meant to go included.
func (m *matrix) rollOut(t *testing.T, found *report.Report) {
	t.Helper()
	opts := rollout.Options{
		Guards: rollout.Guards{AllowOrphaned: true},
		Pace:   rollout.Pace{Parallel: 8, MaxFailures: len(m.rows), Timeout: time.Minute},
	}
	plan, err := rollout.Plan(t.Context(), m.config, found, opts)
	if err != nil {
		t.Fatal(err)
	}
	done, err := rollout.Run(t.Context(), m.config, plan, opts, func(ctx context.Context, w inventory.WorkloadRef) (*report.Item, error) {
		again, err := m.audit(ctx, w)
		if err != nil || len(again.Items) == 0 {
			return nil, err
		}
		return &again.Items[0], nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var rolled []string
	for _, item := range done.Items {
		if item.Rollout.Result != report.RolledOut {
			t.Errorf("%s is %s: %s", item.Name, item.Rollout.Result, item.Rollout.Reason)
		}
		rolled = append(rolled, item.Name)
	}
	var want []string
	for n, r := range m.rows {
		if r.state.Drift() {
			want = append(want, name(n))
		}
	}
	slices.Sort(rolled)
	if diff := cmp.Diff(want, rolled); diff != "" {
		t.Errorf("rolled out (-want +got):\n%s", diff)
	}
}

// markdown is docs/accuracy.md.
func (m *matrix) markdown() string {
	var b strings.Builder
	b.WriteString("# How often is a verdict wrong?\n\nGenerated by `make matrix`, on a real API server with real webhooks. Each row is a Deployment: created, audited twice\n" +
		"(nothing may be reported), then injection is changed, audited (exactly these states and places must be), rolled out where that is meant,\n" +
		"and audited once more (nothing may be left). A *false alarm* is a state or a place that is reported and should not be, a *miss* one that is not\nand should.\n\n")
	b.WriteString("| | rows | false alarms | misses |\n|---|---:|---:|---:|\n")
	var groups []string
	rows, alarms, misses := map[string]int{}, map[string]int{}, map[string]int{}
	for n, r := range m.rows {
		if rows[r.group] == 0 {
			groups = append(groups, r.group)
		}
		rows[r.group]++
		alarms[r.group] += len(m.falseAlarms[n])
		misses[r.group] += len(m.misses[n])
	}
	total := [3]int{}
	for _, g := range groups {
		fmt.Fprintf(&b, "| %s | %d | %d | %d |\n", g, rows[g], alarms[g], misses[g])
		total[0], total[1], total[2] = total[0]+rows[g], total[1]+alarms[g], total[2]+misses[g]
	}
	fmt.Fprintf(&b, "| **all** | **%d** | **%d** | **%d** |\n\n## Rows\n\n| what changes | state | places |\n|---|---|---|\n", total[0], total[1], total[2])
	for _, r := range m.rows {
		places := "–"
		if len(r.changes) > 0 {
			places = "`" + strings.Join(r.changes, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| %s: %s | `%s` | %s |\n", r.group, r.name, r.state, places)
	}
	return b.String()
}
