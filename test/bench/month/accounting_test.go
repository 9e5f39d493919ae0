package month

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLedger has the events of five days, accounted by hand.
func TestLedger(t *testing.T) {
	workloads := []workload{{namespace: "shop", kind: "Deployment", replicas: 2}}
	old, fresh := []injection{{"old", true}}, []injection{{"new", true}}
	days := []day{
		{change: &newProxy, crashed: []slot{{0, 0}}},
		{},
		{change: &aComment, deploys: []int{0}},
		{change: &otherProxy, scales: []scale{{0, 2, 1}}},
		{change: &aComment},
	}
	for policy, want := range map[int]tally{
		nobody:          {stale: 2, bombs: 2},
		everything:      {restarted: 5, vain: 4, stale: 1, bombs: 1},
		byStart:         {restarted: 3, vain: 2, stale: 1, bombs: 1},
		driftedByWhole:  {restarted: 2, vain: 1, stale: 1, bombs: 1},
		driftedPodsOnly: {restarted: 1, stale: 1, bombs: 1},
	} {
		l := newLedger(policies[policy], workloads, old)
		for _, d := range days {
			l.day(d, fresh)
		}
		if diff := cmp.Diff(want, l.total, cmp.AllowUnexported(tally{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", policies[policy].name, diff)
		}
	}
}

// A workload without a sidecar is nobody's concern.
func TestLedgerOfNoSidecar(t *testing.T) {
	none := []injection{{"none", false}}
	for _, p := range policies {
		l := newLedger(p, []workload{{namespace: "shop", replicas: 1}}, none)
		if got := l.day(day{change: &newProxy}, none); len(got) > 0 {
			t.Errorf("%s: re-creates %v", p.name, got)
		}
	}
}

func TestScripts(t *testing.T) {
	for seed := range uint64(50) {
		s := scriptOf(seed, whole)
		var rolled []int
		reaches := map[string]int{}
		for n, d := range s.days {
			if d.change != nil {
				reaches[d.change.reach]++
			}
			if d.change == &logLevel {
				rolled = append(rolled, n)
			}
			for _, scaled := range d.scales {
				if slices.Contains(d.deploys, scaled.workload) {
					t.Errorf("seed %d, day %d: %d is deployed and scaled", seed, n, scaled.workload)
				}
			}
			for _, pod := range d.crashed {
				if pod.N >= d.replicas[pod.Workload] {
					t.Errorf("seed %d, day %d: %v crashes and is not there", seed, n, pod)
				}
			}
		}
		want := map[string]int{logLevel.reach: 2}
		for _, c := range changes {
			want[c.reach]++
		}
		if diff := cmp.Diff(want, reaches); diff != "" {
			t.Errorf("seed %d (-want +got):\n%s", seed, diff)
		}
		if len(rolled) != 2 || rolled[1]-rolled[0] != 2 {
			t.Errorf("seed %d: the log level changes on days %v", seed, rolled)
		}
		same := cmp.Comparer(func(a, b *change) bool { return (a == nil) == (b == nil) && (a == nil || a.reach == b.reach) })
		if diff := cmp.Diff(s, scriptOf(seed, whole), same, cmp.AllowUnexported(script{}, workload{}, trait{}, day{}, scale{})); diff != "" {
			t.Errorf("seed %d makes two scripts:\n%s", seed, diff)
		}
	}
}
