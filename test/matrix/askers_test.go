package matrix

import (
	"context"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
)

// asker is an identity that audits the rows, with what was wrong about its verdicts.
type asker struct {
	*matrix
	config *rest.Config
	as     injection.DryRunAs

	falseAlarms, misses map[int][]string // by row
}

// asked is what questions of the Pods' controllers are answered, where that is not what
// others are. Nobody is in doubt then: no such verdict is approximate.
type asked struct{ before, after, rolledOut expectation }

// askers are the installation's own account for rollouts, which asks as itself, and
// its auditor, which has the component controller-identity and asks as the Pods'
// controllers.
func (m *matrix) askers(ctx context.Context, product *install.Product) error {
	own, err := m.ServiceAccountConfig(ctx, install.Namespace, install.RolloutAccount)
	if err != nil {
		return err
	}
	auditors, err := m.ServiceAccountConfig(ctx, install.Namespace, install.AuditorAccount)
	if err != nil {
		return err
	}
	m.self = &asker{m, own, injection.Self, map[int][]string{}, map[int][]string{}}
	m.controller = &asker{m, auditors, injection.Controller, map[int][]string{}, map[int][]string{}}
	if err := product.AllowControllerIdentity(ctx); err != nil {
		return err
	}
	return cluster.Poll(ctx, "the auditor to be let ask as controllers", func(ctx context.Context) error {
		_, err := m.controller.audit(ctx, audit.Options{Selection: inventory.Selection{Namespace: install.Namespace}})
		return err
	})
}

func (a *asker) audit(ctx context.Context, opts audit.Options) (*report.Report, error) {
	opts.Concurrency, opts.DryRunAs = 8, a.as
	return audit.Run(ctx, a.config, opts)
}

// expect audits everything and notes what is not as it should be.
func (a *asker) expect(t *testing.T, when string, want func(row) expectation) *report.Report {
	t.Helper()
	opts := audit.Options{Selection: inventory.Selection{IncludeNamespaces: a.namespaces()}}
	if a == a.self && when == recorded && *record != "" {
		opts.Compared = a.recorder(t)
	}
	found, err := a.audit(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if found.DryRunAs != string(a.as) {
		t.Errorf("%s: asked as %s, not %s", when, found.DryRunAs, a.as)
	}
	a.check(found, when, want, every)
	return found
}

// expectAsController audits once more, as the Pods' controllers.
func (m *matrix) expectAsController(t *testing.T, when string, want func(row) expectation, answered func(asked) expectation) {
	t.Helper()
	m.controller.expect(t, when+", as the controller", func(r row) expectation {
		if r.asked != nil {
			return answered(*r.asked)
		}
		return want(r)
	})
}

// doubted reports whether the asker's verdict on a row must be called approximate.
func (a *asker) doubted(r row) bool {
	return r.approximate && (a == a.self || r.asked == nil)
}
