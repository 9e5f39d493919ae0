package matrix

import (
	"context"
	"testing"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// sweepRounds is how many rounds of sentinels ask about everything.
const sweepRounds = 10

// sentinels is the daemon's auditor beside the single audits: it must find the
// same.
type sentinels struct {
	*matrix
	auditor *auditor.Auditor
}

func (m *matrix) startSentinels(t *testing.T) *sentinels {
	t.Helper()
	a, err := auditor.NewAuditor(m.self.config, auditor.Options{
		Selection: inventory.Selection{IncludeNamespaces: m.namespaces()}, Concurrency: 8, DryRunAs: m.self.as,
	}, auditor.Sweep{Interval: time.Minute, Full: sweepRounds * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { a.Run(ctx); close(ended) }()
	t.Cleanup(func() { stop(); <-ended })
	return &sentinels{m, a}
}

func (s *sentinels) round(t *testing.T, scope auditor.Scope) auditor.Round {
	t.Helper()
	r, err := s.auditor.Round(t.Context(), scope)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// before: classes are made by an audit of everything, and asking about some finds
// nothing.
func (s *sentinels) before(t *testing.T) {
	t.Helper()
	everything := s.round(t, auditor.Everything)
	s.self.check(everything.Report, "before the change, everything by classes", before, every)
	r := s.round(t, auditor.Sentinels)
	s.self.check(r.Report, "before the change, by sentinels", before, every)
	t.Logf("%d revisions are of %d classes, the largest of %d", everything.Asked, len(r.Classes), r.Classes[0])
	if r.Asked >= everything.Asked || len(r.Classes) >= everything.Asked {
		t.Errorf("sentinels ask about %d of %d", r.Asked, everything.Asked)
	}
}

// after: what the real injector changed is found by the next round, whatever its
// reach. The matrix's own injectors look at the number of a row, which no class
// tells: what they changed is found by the sweep.
func (s *sentinels) after(t *testing.T) {
	t.Helper()
	asked, splits := 0, 0
	var found *report.Report
	for n := range sweepRounds + 2 {
		r := s.round(t, auditor.Sentinels)
		if found = r.Report; n == 0 {
			s.self.check(found, "by the next sentinels", after, byTheRealInjector)
		}
		asked, splits = asked+r.Asked, splits+r.Splits
	}
	s.self.check(found, "by the sweep of sentinels", after, every)
	t.Logf("after the change %d were asked about in %d rounds, and %d classes were split", asked, sweepRounds+2, splits)
}

// byTheRealInjector: rows whose namespace is labelled anew apart, which has
// everything audited.
func byTheRealInjector(r row) bool {
	return r.group == realIstio && r.in != istioBegins && r.in != istioEnds && r.in != istioMoved
}

// rolledOut: new Pods are noticed.
func (s *sentinels) rolledOut(t *testing.T) {
	t.Helper()
	s.self.check(s.round(t, auditor.Changes).Report, "after the rollout, by the watch", rolledOut, every)
}
