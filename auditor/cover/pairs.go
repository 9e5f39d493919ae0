package cover

import (
	"cmp"
	"math/bits"
	"slices"
	"time"
)

// far is the search for what no single feature tells.
type far[K, W comparable] struct {
	asked  int // revisions, in this round
	batch  int // as many the last time
	before int // how many had moved before
}

const (
	// seeds are how many of those that moved it starts from at a time.
	seeds = 4
	// firstBatch is how many are asked first, leastFar how many at least in vain, and
	// farShare, one of so many of all, at most.
	firstBatch, leastFar, farShare = 8, 100, 8
	// chance: what one of so many that moved have may be so by chance.
	chance = 8
	// mostPairs is how many pairs are learned of one inquiry.
	mostPairs = 8
	// compared is how many of those that moved are compared to choose a pair.
	compared = 64
)

// pairs are those of a revision's features that nobody has together who stayed.
type pairs struct {
	ids   []uint32
	words int
	rows  []uint64 // a bit a pair
}

func pairsOf(ids []uint32) *pairs {
	p := &pairs{ids: ids, words: (len(ids) + 63) / 64}
	p.rows = make([]uint64, len(ids)*p.words)
	for i := range ids {
		for j := range ids {
			if i != j {
				p.rows[i*p.words+j/64] |= 1 << (j % 64)
			}
		}
	}
	return p
}

// mask are those of the features that are in a sorted list, too.
func (p *pairs) mask(of []uint32) []uint64 {
	mask := make([]uint64, p.words)
	j := 0
	for i, id := range p.ids {
		for j < len(of) && of[j] < id {
			j++
		}
		if j < len(of) && of[j] == id {
			mask[i/64] |= 1 << (i % 64)
		}
	}
	return mask
}

// without drops the pairs within the mask.
func (p *pairs) without(mask []uint64) {
	for i := range p.ids {
		if mask[i/64]&(1<<(i%64)) == 0 {
			continue
		}
		for w := range p.words {
			p.rows[i*p.words+w] &^= mask[w]
		}
	}
}

// within counts the pairs within the mask.
func (p *pairs) within(mask []uint64) int {
	n := 0
	for i := range p.ids {
		if mask[i/64]&(1<<(i%64)) == 0 {
			continue
		}
		for w := range p.words {
			n += bits.OnesCount64(p.rows[i*p.words+w] & mask[w])
		}
	}
	return n / 2
}

// farther are some of those who have two features that may be responsible together, or
// all that somebody has who moved; the most alike first.
func (l *Ledger[K, W]) farther() []K {
	f := &l.inquiry.far
	all := 0
	for _, e := range l.asked {
		if e.evidence == moved {
			all++
		}
	}
	// A feature that few of them have may have moved as a whole by chance.
	responsible := func(id uint32) bool { return l.pure(id) && int(at(l.inquiry.moved, id)) >= max(2, all/chance) }
	var from, stays []*set[K, W]
	for _, e := range l.asked {
		switch {
		case e.evidence == stayed:
			stays = append(stays, e.set)
		case e.evidence == moved && !slices.ContainsFunc(e.set.ids, responsible):
			from = append(from, e.set)
		}
	}
	if len(from) == 0 || !l.inquiry.changed && !l.inquiry.unfinished {
		return nil
	}
	if f.batch *= 2; f.batch == 0 {
		f.batch, f.before = firstBatch, all
	}
	if f.asked > max(leastFar, len(l.list)/farShare)+2*(all-f.before) {
		return nil
	}
	var some []K
	from, stays = distinct(from), distinct(stays)
	for ; len(some) == 0 && len(from) > 0; from = from[min(seeds, len(from)):] {
		some = l.alike(from[:min(seeds, len(from))], stays)
	}
	some = some[:min(f.batch, len(some))]
	f.asked += len(some)
	return some
}

func distinct[K, W comparable](sets []*set[K, W]) []*set[K, W] {
	slices.SortFunc(sets, func(a, b *set[K, W]) int { return cmp.Compare(a.at, b.at) })
	return slices.Compact(sets)
}

// alike are those who are not asked yet and share a pair with one of the sets, or all.
func (l *Ledger[K, W]) alike(from, stays []*set[K, W]) []K {
	type candidate struct {
		*entry[K, W]
		pairs int
	}
	best := map[*set[K, W]]int{}
	for _, m := range from {
		p := pairsOf(m.ids)
		for _, s := range stays {
			p.without(p.mask(s.ids))
		}
		for _, s := range l.sets {
			n := p.within(p.mask(s.ids))
			if s == m {
				n++ // whatever it is, it is most alike
			}
			best[s] = max(best[s], n)
		}
	}
	var all []candidate
	for _, s := range l.sets {
		if best[s] == 0 {
			continue
		}
		for _, e := range s.entries {
			if l.unasked(e) {
				all = append(all, candidate{e, best[s]})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return cmp.Compare(b.pairs, a.pairs) })
	keys := make([]K, len(all))
	for i, c := range all {
		keys[i] = c.key
	}
	return keys
}

// explain says which features were responsible, of all that was answered in the
// inquiry, and learns what the cover does not know. It returns how many it learned.
func (l *Ledger[K, W]) explain(now time.Time) int {
	var movers []*entry[K, W]
	var stays []*set[K, W]
	with, without := make([]int, len(l.known)), make([]int, len(l.known))
	for _, e := range l.list {
		switch {
		case e.inquiry != l.inquiry.number || e.restless || e.lost || e.round <= l.inquiry.lastMixed:
		case l.movedSince(e):
			movers = append(movers, e)
			for _, id := range e.set.ids {
				with[id]++
			}
		default:
			stays = append(stays, e.set)
			for _, id := range e.set.ids {
				without[id]++
			}
		}
	}
	before := len(l.learned)
	stays = distinct(stays)
	movers = l.bySingle(movers, with, without, now)
	movers = l.byLearned(movers, stays, now)
	movers = l.byPairs(movers, stays, now)
	l.byName(movers, now)
	return max(0, len(l.learned)-before)
}

// bySingle leaves out those that one feature explains which several have, the most of
// them first; one that rounds do not ask for is learned.
func (l *Ledger[K, W]) bySingle(movers []*entry[K, W], with, without []int, now time.Time) []*entry[K, W] {
	var pure []uint32
	for id := range with {
		if with[id] > 1 && without[id] == 0 {
			pure = append(pure, uint32(id))
		}
	}
	slices.SortStableFunc(pure, func(a, b uint32) int { return cmp.Compare(with[b], with[a]) })
	for _, id := range pure {
		rest := slices.DeleteFunc(slices.Clone(movers), func(e *entry[K, W]) bool { return e.set.has(id) })
		if len(movers)-len(rest) < 2 {
			continue
		}
		movers = rest
		if !l.known[id].wanted {
			l.learn(learned[W]{features: []Feature{l.known[id].Feature}}, now)
		}
	}
	return movers
}

// byLearned leaves out those that a learned feature explains, which was needed for it.
func (l *Ledger[K, W]) byLearned(movers []*entry[K, W], stays []*set[K, W], now time.Time) []*entry[K, W] {
	for _, f := range l.learned {
		has := func(e *entry[K, W]) bool {
			return f.listed[e.workload] || f.features != nil && l.hasAll(e.set, f.features)
		}
		if !slices.ContainsFunc(movers, has) ||
			f.features != nil && slices.ContainsFunc(stays, func(s *set[K, W]) bool { return l.hasAll(s, f.features) }) {
			continue
		}
		f.needed(now)
		movers = slices.DeleteFunc(slices.Clone(movers), has)
	}
	return movers
}

// byPairs leaves out those that two features explain together, and learns them.
func (l *Ledger[K, W]) byPairs(movers []*entry[K, W], stays []*set[K, W], now time.Time) []*entry[K, W] {
	for range mostPairs {
		pair, n := l.pair(movers, stays)
		if n < 2 {
			return movers
		}
		l.learn(learned[W]{features: pair}, now)
		movers = slices.DeleteFunc(slices.Clone(movers), func(e *entry[K, W]) bool { return l.hasAll(e.set, pair) })
	}
	return movers
}

// pair returns two features that nobody has together who stayed, and how many have them
// of those that are compared.
func (l *Ledger[K, W]) pair(movers []*entry[K, W], stays []*set[K, W]) ([]Feature, int) {
	if len(movers) < 2 {
		return nil, 0
	}
	p := pairsOf(movers[0].set.ids)
	for _, s := range stays {
		p.without(p.mask(s.ids))
	}
	times := make([]int, len(p.ids)*len(p.ids))
	best, most := 0, 0
	for _, e := range movers[:min(compared, len(movers))] {
		mask := p.mask(e.set.ids)
		for i := range p.ids {
			for j := range i {
				both := mask[i/64]>>(i%64)&1 == 1 && mask[j/64]>>(j%64)&1 == 1
				if both && p.rows[i*p.words+j/64]>>(j%64)&1 == 1 {
					at := i*len(p.ids) + j
					if times[at]++; times[at] > most {
						best, most = at, times[at]
					}
				}
			}
		}
	}
	if most == 0 {
		return nil, 0
	}
	a, b := p.ids[best/len(p.ids)], p.ids[best%len(p.ids)]
	return []Feature{l.known[a].Feature, l.known[b].Feature}, most
}

// byName learns the workloads that nothing else explains, where they are few.
func (l *Ledger[K, W]) byName(movers []*entry[K, W], now time.Time) {
	if len(movers) == 0 || len(movers) > mostListed {
		return
	}
	f := learned[W]{listed: map[W]bool{}}
	for _, e := range movers {
		f.listed[e.workload] = true
	}
	l.learn(f, now)
}
