package month

import (
	"math/rand/v2"
	"slices"
)

// nodes is how many Nodes there are, and Pods a DaemonSet has.
const nodes = 5

// size is how much a script has of everything.
type size struct {
	days, workloads int
	replicas        int // at most, of Deployments and StatefulSets
	crashes, scales int
	changes         []change
	rollback        bool // of the log level
}

var (
	whole = size{days: 30, workloads: 40, replicas: 6, crashes: 6, scales: 15, changes: changes, rollback: true}
	short = size{days: 5, workloads: 14, replicas: 3, crashes: 1, scales: 2, changes: []change{newProxy, defaultCPU, aComment}}
)

// script is what happens in a month, whatever is done about drift.
type script struct {
	seed      uint64
	workloads []workload
	days      []day
}

// day is what happens on one. No workload is both deployed and scaled on it.
type day struct {
	change  *change // nil: none
	deploys []int   // workloads
	scales  []scale
	crashed []slot // the Pods of a node that crashes then
	// replicas of each workload, at its end.
	replicas []int
}

// slot is a workload's Pod, by number: a StatefulSet's by its ordinal.
type slot struct{ Workload, N int }

func compareSlots(a, b slot) int {
	if a.Workload != b.Workload {
		return a.Workload - b.Workload
	}
	return a.N - b.N
}

// scale changes a workload's replicas; the slots of the highest numbers come and
// go.
type scale struct{ workload, from, to int }

// node is where the script has a slot be: a workload's are spread.
func (s slot) node(of workload) int {
	if of.kind == "DaemonSet" {
		return s.N
	}
	return (s.Workload + s.N) % nodes
}

// replicas of each workload at the beginning.
func (s script) replicas() []int {
	var all []int
	for _, w := range s.workloads {
		all = append(all, w.replicas)
	}
	return all
}

// slotsOf are a workload's slots.
func slotsOf(workload, replicas int) []slot {
	slots := make([]slot, replicas)
	for n := range slots {
		slots[n] = slot{workload, n}
	}
	return slots
}

func scriptOf(seed uint64, size size) script {
	s := script{seed: seed, workloads: populationOf(seed, size), days: make([]day, size.days)}
	random := rand.New(rand.NewPCG(seed, 2))
	s.schedule(random, size)
	crashes := random.Perm(size.days)[:size.crashes]
	scales := random.Perm(size.days)[:size.scales]
	replicas := s.replicas()
	for n := range s.days {
		d := &s.days[n]
		scaled := -1
		if slices.Contains(scales, n) {
			if scaled = random.IntN(size.workloads); s.workloads[scaled].kind != "DaemonSet" {
				to := 1 + random.IntN(size.replicas)
				d.scales = []scale{{scaled, replicas[scaled], to}}
				replicas[scaled] = to
			}
		}
		for w, of := range s.workloads {
			if random.Float64() < of.deploys && w != scaled {
				d.deploys = append(d.deploys, w)
			}
		}
		if slices.Contains(crashes, n) {
			node := random.IntN(nodes)
			for w, of := range s.workloads {
				for _, pod := range slotsOf(w, replicas[w]) {
					if pod.node(of) == node {
						d.crashed = append(d.crashed, pod)
					}
				}
			}
		}
		d.replicas = slices.Clone(replicas)
	}
	return s
}

// schedule gives the changes days, none of them two.
func (s script) schedule(random *rand.Rand, size size) {
	order := random.Perm(size.days)
	if size.rollback {
		on := order[0] % (size.days - 2)
		s.days[on].change, s.days[on+2].change = &logLevel, &logLevel
	}
	for _, c := range size.changes {
		at := slices.IndexFunc(order, func(n int) bool { return s.days[n].change == nil })
		s.days[order[at]].change = &c
	}
}
