package acceptance

import (
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/auditor/watch"
)

// An injector that goes and comes makes nothing drift, and takes no drift back: the
// daemon keeps what it knew, marked; an audit that knows nothing says Unknown.
func TestAnInjectorComesAndGoes(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	namespace, running := startOwnInjector(t, c, addsProxy("proxy:1"))
	all := names(6)
	deployAtOnce(t, c, namespace, all...)
	daemon := startAuditor(t, auditorConfig(t, c), namespace)
	cycles := 2
	if *full {
		cycles = 20
	}
	byDaemon, byAudit := map[verdict.State]int{}, map[verdict.State]int{}
	expect := func(when string, state, audited verdict.State, stale int) {
		t.Helper()
		r := daemon.round(watch.Everything)
		checkStates(t, r.Report, in(state, all...)...)
		if got := r.Report.Stale(); got != stale {
			t.Errorf("%s: %d stale workloads, want %d", when, got, stale)
		}
		once := auditOf(t, c, inventory.Selection{Namespace: namespace})
		checkStates(t, once, in(audited, all...)...)
		for state, n := range r.Report.Summary.Workloads {
			byDaemon[state] += n
		}
		for state, n := range once.Summary.Workloads {
			byAudit[state] += n
		}
	}
	state := verdict.InSync
	for cycle := range cycles {
		expect("before", state, state, 0)
		if err := running.Stop(); err != nil {
			t.Fatal(err)
		}
		expect("while it is away", state, verdict.Unknown, len(all))
		if cycle == cycles/2 {
			running.Inject(addsProxy("proxy:2"))
			state = verdict.Drifted
		}
		if err := running.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect("again", state, state, 0)
	}
	whole := 3 * cycles * len(all)
	if got := byAudit[verdict.Unknown]; got != whole/3 || byAudit[verdict.Blocked]+byAudit[verdict.Orphaned]+byAudit[verdict.Missing] > 0 {
		t.Errorf("audits said %v, want %d Unknown and none of the others", byAudit, whole/3)
	}
	if sum := byDaemon[verdict.InSync] + byDaemon[verdict.Drifted]; sum != whole {
		t.Errorf("the daemon said %v", byDaemon)
	}
	t.Logf("in %d cycles of %d workloads the daemon said %v, audits %v", cycles, len(all), byDaemon, byAudit)
}
