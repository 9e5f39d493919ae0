package matrix

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/dapr"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

// TestDapr is the matrix for Dapr, on a cluster of its own, as its webhook is asked
// about every Pod. Each audit is made twice, as the account of rollouts and as the
// Pods' controllers.
func TestDapr(t *testing.T) {
	m := newMatrix(t, selected(daprRows()))
	d := &daprMatrix{matrix: m, before: dapr.Options{SidecarImage: "daprd:1.14.0"}}
	d.start(t)
	m.create(t)
	d.createWhileDown(t)
	d.expectUntold(t)
	d.allow(t)
	d.expect(t, "before the change", before)
	d.change(t)
	found := d.expect(t, "after the change", after)
	d.expectDown(t)
	m.rollOut(t, found)
	d.expect(t, "after the rollout", rolledOut)

	for n, r := range m.rows {
		for _, problem := range slices.Concat(m.self.falseAlarms[n], m.self.misses[n], m.controller.falseAlarms[n], m.controller.misses[n]) {
			t.Errorf("%s: %s: %s", r.group, r.name, problem)
		}
	}
	if *only == "" {
		d.publish(t)
	}
}

// daprMatrix is the matrix' Pods under Dapr, and some under Istio, too.
type daprMatrix struct {
	*matrix
	dapr   *dapr.Injector
	istio  *istio.Injector
	before dapr.Options
}

func (d *daprMatrix) start(t *testing.T) {
	t.Helper()
	var err error
	if d.istio, err = istio.Start(t.Context(), d.Cluster, istio.Options{Set: istio.Values("1.27.0", "100m")}); err != nil {
		t.Fatal(err)
	}
	if d.dapr, err = dapr.Start(t.Context(), d.Cluster, d.before); err != nil {
		t.Fatal(err)
	}
}

// createWhileDown has the Pods of rows about that be created anew while Dapr is down.
func (d *daprMatrix) createWhileDown(t *testing.T) {
	t.Helper()
	if err := d.dapr.Stop(); err != nil {
		t.Fatal(err)
	}
	d.each(t, func(r row) step {
		if r.state != verdict.Missing && r.state != verdict.Blocked {
			return nil
		}
		return createAnew
	})
	if err := d.dapr.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// allow has Dapr inject for audits, however they are made: for the account by its
// UID, and for who impersonates a controller, whose UID that one has not, by name.
func (d *daprMatrix) allow(t *testing.T) {
	t.Helper()
	d.before.AllowedServiceAccounts = []string{install.Namespace + ":" + install.RolloutAccount}
	d.before.AllowedServiceAccountsPrefixNames = []string{
		"kube-system:replicaset-controller", "kube-system:statefulset-controller", "kube-system:daemon-set-controller",
	}
	if err := d.dapr.Configure(t.Context(), d.before); err != nil {
		t.Fatal(err)
	}
}

func (d *daprMatrix) change(t *testing.T) {
	t.Helper()
	then := d.before
	then.SidecarImage, then.TrustAnchors = "daprd:1.15.0", "another authority"
	if err := d.dapr.Configure(t.Context(), then); err != nil {
		t.Fatal(err)
	}
	if err := d.istio.Update(t.Context(), istio.Values("1.28.0", "150m")...); err != nil {
		t.Fatal(err)
	}
	d.each(t, func(r row) step { return r.change })
}

// expect audits as either identity, and returns what the account of rollouts found.
func (d *daprMatrix) expect(t *testing.T, when string, want func(row) expectation) *report.Report {
	t.Helper()
	d.controller.expect(t, when+", as the controller", want)
	return d.self.expect(t, when, want)
}

// expectUntold: as Dapr is installed, it injects for no audit of the installation's, be
// it as the controllers, whose UIDs it wants. Whoever asks is told that Dapr may look at
// that, and nothing is certain. An administrator has the UIDs, and is told the truth.
func (d *daprMatrix) expectUntold(t *testing.T) {
	t.Helper()
	admin := &asker{d.matrix, d.RESTConfig(), injection.Controller, d.controller.falseAlarms, d.controller.misses}
	admin.expect(t, "as an administrator", before)
	for _, a := range []*asker{d.self, d.controller} {
		found, err := a.audit(t.Context(), audit.Options{Selection: inventory.Selection{IncludeNamespaces: d.namespaces()}})
		if err != nil {
			t.Fatal(err)
		}
		for n, r := range d.rows {
			if r.state != verdict.Drifted {
				continue
			}
			for _, item := range d.itemsOf(n, found) {
				for _, revision := range item.Revisions {
					if !revision.Approximate || !strings.Contains(revision.Reason, "allowedServiceAccounts") {
						a.falseAlarms[n] = append(a.falseAlarms[n], "as Dapr is installed: "+string(revision.State)+" "+revision.Reason)
					}
				}
			}
		}
	}
}

// expectDown: while Dapr is down, which lets Pods be created without it, nobody
// knows what differs.
func (d *daprMatrix) expectDown(t *testing.T) {
	t.Helper()
	if err := d.dapr.Stop(); err != nil {
		t.Fatal(err)
	}
	d.expect(t, "while Dapr is down", func(r row) expectation {
		switch {
		case r.state == verdict.Missing, r.state == verdict.Blocked:
			return expectation{state: verdict.NotInjected}
		case r.state.Drift():
			return expectation{state: verdict.Unknown}
		}
		return after(r)
	})
	if err := d.dapr.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// createAnew has the workload's Pods be created once more.
func createAnew(ctx context.Context, w *workload) error {
	if err := w.kubectl(ctx, "delete", "pods", "-l", w.text(rowLabel+"=ROW")); err != nil {
		return err
	}
	return waitForPods(ctx, w)
}

// daprSection is where what is published about Dapr begins.
const daprSection = "\n# Rows with Dapr\n"

const daprIntroduction = "\nDapr injects for whom it knows. So these rows are on a cluster of their own, and each is audited as the account of rollouts\n" +
	"(`--dry-run-as self`), for which Dapr was told to inject, and as the controllers (`--dry-run-as controller`), whom it was told to know by their names.\n" +
	"Both find the same. Before, as Dapr is installed, whatever lacks its sidecar is approximate to both. Dapr is stopped in between: what differs is\n" +
	"`Unknown` then. Of %d rows there were %d false alarms and %d misses.\n\n"

// publish writes what is published about Dapr, or checks it.
func (d *daprMatrix) publish(t *testing.T) {
	t.Helper()
	got := d.section()
	if *accuracy != "" {
		table, _ := published(t, *accuracy)
		write(t, table+got)
		return
	}
	_, want := published(t, publishedFile)
	compare(t, want, got)
}

// section is what is published about Dapr.
func (d *daprMatrix) section() string {
	alarms, misses := 0, 0
	for n := range d.rows {
		alarms += len(d.self.falseAlarms[n]) + len(d.controller.falseAlarms[n])
		misses += len(d.self.misses[n]) + len(d.controller.misses[n])
	}
	return daprSection + fmt.Sprintf(daprIntroduction, len(d.rows), alarms, misses) + linesOf(d.rows, realDapr)
}

// apply applies a manifest; NAME and IN in it are the workload's.
func apply(manifest string) step {
	return func(ctx context.Context, w *workload) error { return w.Apply(ctx, w.text(manifest)) }
}

// remove deletes an object, KIND/NAME.
func remove(object string) step {
	return func(ctx context.Context, w *workload) error { return w.kubectl(ctx, "delete", object) }
}
