package month

import "slices"

// injection is what admission makes of a workload's Pods.
type injection struct {
	spec    string
	sidecar bool
}

// pod is what a ledger knows of a Pod.
type pod struct {
	injection
	// created on which morning (the day's number) or after it (half a day later).
	created float64
}

// tally counts what a policy did, and what was left to be.
type tally struct {
	// restarted Pods, and those of them whose sidecar was the fresh one already.
	restarted, vain int
	// stale are Pods, each evening, whose sidecar is not the fresh one.
	stale int
	// bombs are Pods that came back with another sidecar from an event that had
	// nothing to do with it.
	bombs int
}

func (t *tally) add(other tally) {
	t.restarted += other.restarted
	t.vain += other.vain
	t.stale += other.stale
	t.bombs += other.bombs
}

// policy is a way to deal with changes.
type policy struct {
	name string
	// restarts says which of a workload's Pods are re-created tonight.
	restarts func(n night, of workload, pods []pod) []bool
	// real: carried out on the cluster.
	real bool
}

// night is what a policy can go by.
type night struct {
	change *change // today's; nil: none
	today  float64
	fresh  injection
}

// Policies, by their place in policies.
const (
	nobody = iota
	everything
	byStart
	driftedByWhole
	driftedPodsOnly
)

var policies = []policy{
	{name: "nothing", restarts: func(_ night, _ workload, pods []pod) []bool { return each(pods, false) }},
	{name: "after a change: everything with a sidecar", restarts: func(n night, of workload, pods []pod) []bool {
		return each(pods, n.change != nil && n.change.concerns(of) && pods[0].sidecar)
	}},
	{name: "after a change: what has an older Pod, as k8s-sidecar-rollout", restarts: func(n night, of workload, pods []pod) []bool {
		old := slices.ContainsFunc(pods, func(p pod) bool { return p.created < n.today })
		return each(pods, n.change != nil && n.change.concerns(of) && pods[0].sidecar && old)
	}},
	{name: "workloads that drifted, whole (`--strategy restart` alone)", restarts: func(n night, _ workload, pods []pod) []bool {
		return each(pods, slices.ContainsFunc(pods, n.drifted))
	}},
	{name: "Pods that drifted (`restart`, or `evict` where not all of a workload did)", real: true, restarts: func(n night, _ workload, pods []pod) []bool {
		answer := each(pods, false)
		for i, p := range pods {
			answer[i] = n.drifted(p)
		}
		return answer
	}},
}

func (n night) drifted(p pod) bool { return p.injection != n.fresh }

func each(pods []pod, answer bool) []bool {
	return slices.Repeat([]bool{answer}, len(pods))
}

// ledger is the account of one policy: what each Pod would carry under it.
type ledger struct {
	policy
	workloads []workload
	pods      [][]pod // by workload and number
	today     int
	total     tally
	byReach   map[string]tally // of the nights after a change
}

func newLedger(p policy, workloads []workload, fresh []injection) *ledger {
	l := &ledger{policy: p, workloads: workloads, pods: make([][]pod, len(workloads)), byReach: map[string]tally{}}
	for w, of := range workloads {
		l.create(w, of.replicas, pod{injection: fresh[w]})
	}
	return l
}

// create appends Pods.
func (l *ledger) create(workload, count int, p pod) {
	for range count {
		l.pods[workload] = append(l.pods[workload], p)
	}
}

// day accounts for a day and its night, in which it returns what is re-created;
// fresh is what a Pod of each workload gets since that morning.
func (l *ledger) day(d day, fresh []injection) []slot {
	l.today++
	var t tally
	daytime := float64(l.today) + 0.5
	again := func(s slot) {
		p := &l.pods[s.Workload][s.N]
		if p.injection != fresh[s.Workload] {
			t.bombs++
		}
		*p = pod{fresh[s.Workload], daytime}
	}
	for _, s := range d.scales {
		l.pods[s.workload] = l.pods[s.workload][:min(s.from, s.to)]
		l.create(s.workload, s.to-len(l.pods[s.workload]), pod{fresh[s.workload], daytime})
	}
	for _, w := range d.deploys {
		for n := range l.pods[w] {
			again(slot{w, n})
		}
	}
	for _, s := range d.crashed {
		again(s)
	}
	restarted := []slot{}
	for w, pods := range l.pods {
		tonight := night{d.change, float64(l.today), fresh[w]}
		for n, now := range l.restarts(tonight, l.workloads[w], pods) {
			drifted := tonight.drifted(pods[n])
			if drifted {
				t.stale++
			}
			if !now {
				continue
			}
			t.restarted++
			if !drifted {
				t.vain++
			}
			restarted = append(restarted, slot{w, n})
			pods[n] = pod{fresh[w], daytime}
		}
	}
	l.total.add(t)
	if d.change != nil {
		reach := l.byReach[d.change.reach]
		reach.add(t)
		l.byReach[d.change.reach] = reach
	}
	return restarted
}
