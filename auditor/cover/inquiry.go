package cover

import (
	"cmp"
	"slices"
	"time"
)

// inquiry looks for what is responsible for a change, from the first answer that moved
// until answers have stayed the same for a while. What was before it began is what all
// of it is compared with.
type inquiry[K, W comparable] struct {
	open   bool
	number int
	mixes  int // so many rounds were mixed
	calm   int // the last so many changed nothing
	// mixed: somebody answered otherwise when asked again in this round. Replicas of an
	// injector that is being upgraded do, and then nobody's answer tells anything of
	// others.
	mixed, wasMixed bool
	lastMixed       int  // round
	changed         bool // an answer has moved, or moved back, in this round
	pending         bool // somebody is to be asked yet
	unfinished      bool // and was, when the last round ended
	confirmed       int  // how often those of this round were asked again

	// Of each feature, by number, in this round:
	moved, stayed []int32
	far           far[K, W]
}

const (
	// settling is how many rounds must change nothing before a change is believed to be
	// over.
	settling = 2
	// longest is how many rounds an inquiry waits for answers that are not mixed.
	longest = 200
	// confirmations is how often some answers of a round are asked for again, and of how
	// many that moved and that stayed.
	confirmations, confirmed = 2, 4
)

func (q *inquiry[K, W]) begin(features int) {
	q.unfinished = q.pending
	q.mixed, q.changed, q.pending, q.confirmed = false, false, false, 0
	q.far = far[K, W]{}
	if q.open {
		q.moved, q.stayed = make([]int32, features), make([]int32, features)
	}
}

// Inquiring reports whether answers have moved lately.
func (l *Ledger[K, W]) Inquiring() bool { return l.inquiry.open }

// inquire begins an inquiry, unless one is under way.
func (l *Ledger[K, W]) inquire() {
	q := &l.inquiry
	if q.open {
		return
	}
	number := q.number + 1
	*q = inquiry[K, W]{open: true, number: number, moved: make([]int32, len(l.known)), stayed: make([]int32, len(l.known))}
	for _, e := range l.asked {
		l.count(e, e.evidence, 1)
	}
}

// movedSince reports whether the last answer is another than before the inquiry.
func (l *Ledger[K, W]) movedSince(e *entry[K, W]) bool {
	return l.inquiry.open && e.inquiry == l.inquiry.number && e.before != e.outcome
}

// tell takes down what an answer of this round tells.
func (l *Ledger[K, W]) tell(e *entry[K, W], what evidence) {
	l.count(e, e.evidence, -1)
	e.evidence = what
	l.count(e, what, 1)
}

func (l *Ledger[K, W]) count(e *entry[K, W], what evidence, by int32) {
	counts := &l.inquiry.moved
	switch {
	case what == none || !l.inquiry.open:
		return
	case what == stayed:
		counts = &l.inquiry.stayed
	}
	for _, id := range e.set.ids {
		for int(id) >= len(*counts) { // new ones may have been found since
			*counts = append(*counts, 0)
		}
		(*counts)[id] += by
	}
}

func at(counts []int32, id uint32) int32 {
	if int(id) >= len(counts) {
		return 0
	}
	return counts[id]
}

// pure reports whether a feature may be responsible: of those who were asked in this
// round, all moved that have it.
func (l *Ledger[K, W]) pure(id uint32) bool {
	return at(l.inquiry.moved, id) > 0 && at(l.inquiry.stayed, id) == 0
}

// Suspect reports whether what was answered in this round makes it likely that a
// revision's answer is another one, too.
func (l *Ledger[K, W]) Suspect(k K) bool {
	e := l.entries[k]
	return e != nil && l.inquiry.open && !l.inquiry.mixed && l.unasked(e) && slices.ContainsFunc(e.set.ids, l.pure)
}

// unasked reports whether an entry's answer of now is not known.
func (l *Ledger[K, W]) unasked(e *entry[K, W]) bool {
	return e.round != l.round && (!l.movedSince(e) || e.round <= l.inquiry.lastMixed)
}

// Next returns whom to ask in this round, besides, as answers have moved: at most so
// many. Nobody: the round may end.
func (l *Ledger[K, W]) Next(limit int) []K {
	q := &l.inquiry
	if !q.open || q.mixed {
		return nil
	}
	if q.confirmed < confirmations {
		q.confirmed++
		if some := l.toConfirm(); len(some) > 0 {
			return some
		}
	}
	var some []K
	if q.wasMixed {
		some = l.ofMixedRounds()
		q.wasMixed = len(some) > 0
	}
	if len(some) == 0 {
		some = l.suspects()
	}
	if len(some) == 0 {
		some = l.farther()
	}
	if len(some) > limit {
		q.pending = true
		some = some[:max(0, limit)]
	}
	return some
}

// toConfirm are some that moved in this round, and of those that stayed the most alike.
func (l *Ledger[K, W]) toConfirm() []K {
	var keys []K
	var first *entry[K, W]
	var others []*entry[K, W]
	for _, e := range l.asked {
		switch {
		case e.evidence == moved && len(keys) < confirmed:
			keys = append(keys, e.key)
			if first == nil {
				first = e
			}
		case e.evidence == stayed && len(others) < looked:
			others = append(others, e)
		}
	}
	if first == nil {
		return nil
	}
	slices.SortStableFunc(others, func(a, b *entry[K, W]) int {
		return cmp.Compare(common(b.set, first.set), common(a.set, first.set))
	})
	for _, e := range others[:min(confirmed, len(others))] {
		keys = append(keys, e.key)
	}
	return keys
}

// common is how many features two sets share.
func common[K, W comparable](a, b *set[K, W]) int {
	n := 0
	for _, id := range a.ids {
		if b.has(id) {
			n++
		}
	}
	return n
}

// ofMixedRounds are those whose answers of this inquiry mean nothing, as they are of a
// round in which answers were mixed.
func (l *Ledger[K, W]) ofMixedRounds() []K {
	var keys []K
	for _, e := range l.list {
		if e.inquiry == l.inquiry.number && e.round <= l.inquiry.lastMixed {
			keys = append(keys, e.key)
		}
	}
	return keys
}

// suspects are some of those who have a feature that may be responsible: of each
// feature as many as have moved already, so that one that is not is soon known.
func (l *Ledger[K, W]) suspects() []K {
	type suspect struct {
		*entry[K, W]
		pure int
	}
	var all []suspect
	for _, s := range l.sets {
		pure := 0
		for _, id := range s.ids {
			if l.pure(id) {
				pure++
			}
		}
		if pure == 0 {
			continue
		}
		for _, e := range s.entries {
			if l.unasked(e) {
				all = append(all, suspect{e, pure})
			}
		}
	}
	// Who has the fewest of them tells most of each.
	slices.SortStableFunc(all, func(a, b suspect) int { return cmp.Compare(a.pure, b.pure) })
	var keys []K
	chosen := make([]int32, len(l.known))
	for _, e := range all {
		wanted := false
		for _, id := range e.set.ids {
			wanted = wanted || l.pure(id) && chosen[id] < at(l.inquiry.moved, id)
		}
		if !wanted {
			continue
		}
		for _, id := range e.set.ids {
			chosen[id]++
		}
		keys = append(keys, e.key)
	}
	return keys
}

// conclude ends a round of an inquiry, and the inquiry where it is over. It returns how
// many features were learned.
func (l *Ledger[K, W]) conclude(now time.Time) int {
	q := &l.inquiry
	if !q.open {
		return 0
	}
	switch {
	case q.mixed:
		q.mixes++
		q.wasMixed, q.lastMixed, q.calm = true, l.round, 0
	case q.changed || q.pending || l.anySuspect():
		q.calm = 0
	case slices.ContainsFunc(l.asked, func(e *entry[K, W]) bool { return e.evidence != none }):
		q.calm++ // where nobody was asked, nothing is known
	}
	if q.calm < settling && q.mixes < longest {
		return 0
	}
	n := 0
	if q.calm >= settling {
		n = l.explain(now)
	}
	q.open = false
	for _, e := range l.list {
		if e.next != nil {
			s := e.next
			e.next = nil
			l.change(e, s)
		}
	}
	return n
}

func (l *Ledger[K, W]) anySuspect() bool {
	return slices.ContainsFunc(l.list, func(e *entry[K, W]) bool { return l.unasked(e) && slices.ContainsFunc(e.set.ids, l.pure) })
}
