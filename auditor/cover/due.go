package cover

import (
	"cmp"
	"slices"
	"time"
)

// Plan is how a round is to be.
type Plan struct {
	// Rounds are how many there are in the time of a sweep, Sweep.
	Rounds int
	Sweep  time.Duration
	// Budget is how many revisions can be asked about in the round; 0: any number.
	Budget int
}

const (
	// twice: so many workloads are asked that have a feature, where there are as many
	// and the share of the cover suffices.
	twice = 2
	// share of all revisions, one of so many, that a cover may take beyond asking once
	// for every feature, and the least that it may.
	share, leastShare = 5, 8
	// looked is how many are compared to choose one.
	looked = 256
)

// picker chooses revisions.
type picker[K, W comparable] struct {
	*Ledger[K, W]
	now     time.Time
	covered []uint8 // by need
	by      []W     // who was the first
	order   []*entry[K, W]
	picked  map[*entry[K, W]]bool
}

// Due returns whom to ask about in a round, what matters most first.
func (l *Ledger[K, W]) Due(now time.Time, plan Plan) []K {
	l.reindex()
	l.worst = l.Age(now)
	p := &picker[K, W]{
		Ledger: l, now: now, covered: make([]uint8, len(l.index.needs)), by: make([]W, len(l.index.needs)),
		picked: map[*entry[K, W]]bool{},
	}
	limit := len(l.list)
	if plan.Budget > 0 {
		limit = max(1, plan.Budget/2)
	}
	p.cover(limit)
	p.sweep(plan)
	keys := make([]K, 0, len(p.order))
	for _, e := range p.order {
		keys = append(keys, e.key)
	}
	return keys
}

// cover picks those that have every feature between them, at most so many.
func (p *picker[K, W]) cover(limit int) {
	for i := range p.index.needs {
		if p.covered[i] == 0 {
			p.pick(p.best(i))
		}
	}
	p.prune()
	if len(p.order) > limit { // then in turns, and who has waited longest comes first
		p.inTurns(limit)
		return
	}
	limit = min(limit, max(len(p.order), len(p.list)/share, leastShare))
	p.again(limit)
	for _, e := range p.oldest(p.index.lone, limit-len(p.order)) {
		p.pick(e)
	}
}

// again picks a second one for features, another one each time.
func (p *picker[K, W]) again(limit int) {
	needs := make([]int, 0, len(p.covered))
	for i := range p.covered {
		if p.covered[i] < twice {
			needs = append(needs, i)
		}
	}
	if over := len(needs) > limit-len(p.order); over { // some may have to wait for the next round
		second := make(map[int]time.Time, len(needs))
		for _, i := range needs {
			second[i] = p.second(i)
		}
		slices.SortStableFunc(needs, func(a, b int) int { return second[a].Compare(second[b]) })
	}
	for _, i := range needs {
		if len(p.order) >= limit {
			return
		}
		if p.covered[i] < twice {
			p.pick(p.another(i))
		}
	}
}

// second is when the second one was asked who has a feature.
func (p *picker[K, W]) second(i int) time.Time {
	var last, before time.Time
	n := 0
	p.index.needs[i].each(func(e *entry[K, W]) bool {
		switch {
		case e.answered.After(last):
			last, before = e.answered, last
		case e.answered.After(before):
			before = e.answered
		}
		n++
		return n < looked
	})
	return before
}

func (p *picker[K, W]) inTurns(limit int) {
	p.order = p.order[:0]
	clear(p.picked)
	clear(p.covered)
	needs := make([]int, len(p.covered))
	last := make([]time.Time, len(p.covered))
	for i := range needs {
		needs[i], last[i] = i, p.index.needs[i].last()
	}
	slices.SortStableFunc(needs, func(a, b int) int { return last[a].Compare(last[b]) })
	for _, i := range needs {
		if len(p.order) >= limit {
			return
		}
		if p.covered[i] == 0 {
			p.pick(p.best(i))
		}
	}
}

// pick takes one who is nil where there is none.
func (p *picker[K, W]) pick(e *entry[K, W]) {
	if e == nil || p.picked[e] {
		return
	}
	p.picked[e], p.order = true, append(p.order, e)
	p.count(e)
}

func (p *picker[K, W]) count(e *entry[K, W]) {
	for _, i := range p.needsOf(e) {
		if p.covered[i] == 0 {
			p.covered[i], p.by[i] = 1, e.workload
		} else if p.by[i] != e.workload {
			p.covered[i] = min(p.covered[i]+1, 255)
		}
	}
}

// needsOf are the needs that an entry has: those by name are few.
func (p *picker[K, W]) needsOf(e *entry[K, W]) []int32 {
	needs := e.set.needs
	for i := range p.index.needs {
		if p.index.needs[i].listed == nil {
			break // they come first
		}
		if slices.Contains(p.index.needs[i].listed, e) {
			needs = append(slices.Clone(needs), int32(i))
		}
	}
	return needs
}

// gain is how many needs a set's entries have that fewer than so many have that are
// picked.
func (p *picker[K, W]) gain(e *entry[K, W], below uint8) int {
	gain := 0
	for _, i := range e.set.needs {
		if p.covered[i] < below {
			gain++
		}
	}
	return gain
}

// best is who has most besides.
func (p *picker[K, W]) best(i int) *entry[K, W] {
	var best *entry[K, W]
	most, n := -1, 0
	var last *set[K, W]
	p.index.needs[i].each(func(e *entry[K, W]) bool {
		if e.set == last || e.lost {
			return true
		}
		last = e.set
		if gain := p.gain(e, 1); gain > most {
			best, most = e, gain
		}
		n++
		return n < looked
	})
	if best == nil { // all are lost
		p.index.needs[i].each(func(e *entry[K, W]) bool { best = e; return false })
	}
	return best
}

// another is who has most besides of those that have waited longest.
func (p *picker[K, W]) another(i int) *entry[K, W] {
	var some []*entry[K, W]
	n := &p.index.needs[i]
	skip := 0
	if n.entries > looked {
		skip = p.round * looked % (n.entries - looked + 1)
	}
	n.each(func(e *entry[K, W]) bool {
		if skip > 0 {
			skip--
			return true
		}
		if !p.picked[e] && !e.lost && e.workload != p.by[i] {
			some = append(some, e)
		}
		return len(some) < looked
	})
	if len(some) == 0 {
		return nil
	}
	slices.SortStableFunc(some, func(a, b *entry[K, W]) int { return a.answered.Compare(b.answered) })
	some = some[:(len(some)+2)/3]
	return slices.MaxFunc(some, func(a, b *entry[K, W]) int {
		return cmp.Or(cmp.Compare(p.gain(a, twice), p.gain(b, twice)), b.answered.Compare(a.answered))
	})
}

// prune drops those whose features others have that are picked.
func (p *picker[K, W]) prune() {
	times := make([]int, len(p.covered))
	for _, e := range p.order {
		for _, i := range p.needsOf(e) {
			times[i]++
		}
	}
	kept := p.order[:0]
	for _, e := range p.order {
		needs := p.needsOf(e)
		if slices.ContainsFunc(needs, func(i int32) bool { return times[i] == 1 }) {
			kept = append(kept, e)
			continue
		}
		for _, i := range needs {
			times[i]--
		}
		delete(p.picked, e)
	}
	p.order = kept
	clear(p.covered)
	for _, e := range kept {
		p.count(e)
	}
}

// oldest are so many of those not picked, who were asked longest ago.
func (p *picker[K, W]) oldest(of []*entry[K, W], n int) []*entry[K, W] {
	if n <= 0 {
		return nil
	}
	var oldest []*entry[K, W] // sorted, and never longer
	for _, e := range of {
		if p.picked[e] || len(oldest) == n && !e.tried.Before(oldest[n-1].tried) {
			continue
		}
		at, _ := slices.BinarySearchFunc(oldest, e, func(a, b *entry[K, W]) int {
			if b.tried.Before(a.tried) {
				return 1
			}
			return -1
		})
		oldest = slices.Insert(oldest[:min(len(oldest), n-1)], at, e)
	}
	return oldest
}

// sweep picks those whose turn it is: so many each round that all have theirs, and
// those that are late, but never a burst; besides some of which there is no answer.
func (p *picker[K, W]) sweep(plan Plan) {
	rounds := max(1, plan.Rounds*9/10) // as rounds may begin late
	turn := (len(p.list) + rounds - 1) / rounds
	most := 2 * turn
	if plan.Budget > 0 && plan.Rounds > 1 {
		turn = min(turn, max(1, plan.Budget/4))
		most = turn
	}
	interval := plan.Sweep / time.Duration(max(1, plan.Rounds))
	var lost, known []*entry[K, W]
	for _, e := range p.list {
		if e.lost || e.answered.IsZero() {
			lost = append(lost, e)
		} else {
			known = append(known, e)
		}
	}
	for i, e := range p.oldest(known, most) {
		if i < turn || p.now.Sub(e.tried) >= plan.Sweep-interval {
			p.pick(e)
		}
	}
	for _, e := range p.oldest(lost, max(leastShare, turn)) {
		p.pick(e)
	}
}
