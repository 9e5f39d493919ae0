package matrix

import (
	"context"
	"testing"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/watch"
)

// sweepRounds is how many rounds of the cover ask about everything, and how many there are
// after the change. Many find what few do, and ask for the cover each time.
func sweepRounds() (sweep, after int) {
	if *full {
		return 10, 12
	}
	return 3, 3
}

// covered is the daemon's auditor beside the single audits: it must find the
// same.
type covered struct {
	*matrix
	auditor *watch.Auditor
}

func (m *matrix) startCovered(t *testing.T) *covered {
	t.Helper()
	sweep, _ := sweepRounds()
	a, err := watch.New(m.self.config, audit.Options{
		Selection: inventory.Selection{IncludeNamespaces: m.namespaces()}, Concurrency: 8, DryRunAs: m.self.as,
	}, watch.Sweep{Interval: 10 * time.Minute, Full: time.Duration(sweep) * 10 * time.Minute}) // a round is not to end by time
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { a.Run(ctx); close(ended) }()
	t.Cleanup(func() { stop(); <-ended })
	return &covered{m, a}
}

func (s *covered) round(t *testing.T, scope watch.Scope) watch.Round {
	t.Helper()
	r, err := s.auditor.Round(t.Context(), scope)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// before: features are known by an audit of everything, and asking for each finds
// nothing.
func (s *covered) before(t *testing.T) {
	t.Helper()
	everything := s.round(t, watch.Everything)
	s.self.check(everything.Report, "before the change, everything by the cover", before, every)
	r := s.round(t, watch.Cover)
	s.self.check(r.Report, "before the change, by the cover", before, every)
	t.Logf("%d revisions have %d features; the cover asks about %d", everything.Asked, r.Features, r.Asked)
	if r.Asked >= everything.Asked {
		t.Errorf("the cover asks about %d of %d", r.Asked, everything.Asked)
	}
}

// after: what the real injector changed is found by the next round, whatever its
// reach. The matrix's own injectors look at the number of a row, which no feature
// tells: what they changed is found by the sweep, and by whom the rounds ask about
// because of that. How soon the sweep comes round is simulated: make bench-detection.
func (s *covered) after(t *testing.T) {
	t.Helper()
	asked, learned := 0, 0
	_, rounds := sweepRounds()
	var found *report.Report
	for n := range rounds {
		r := s.round(t, watch.Cover)
		if found = r.Report; n == 0 {
			s.self.check(found, "by the cover's next round", after, byTheRealInjector)
		}
		asked, learned = asked+r.Asked, learned+r.Learned
	}
	s.self.check(found, "by the rounds after it", after, every)
	t.Logf("after the change %d were asked about in %d rounds, and %d features were learned", asked, rounds, learned)
}

// byTheRealInjector: rows whose namespace is labelled anew apart, which the daemon is
// told of.
func byTheRealInjector(r row) bool {
	return r.group == realIstio && r.in != istioBegins && r.in != istioEnds && r.in != istioMoved
}

// rolledOut: new Pods are noticed.
func (s *covered) rolledOut(t *testing.T) {
	t.Helper()
	s.self.check(s.round(t, watch.Changes).Report, "after the rollout, by the watch", rolledOut, every)
}
