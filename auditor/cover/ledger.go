// Package cover decides which revisions to ask about, where asking about all of them
// each time costs too much.
//
// What a change of injection touches shows in something that some revision has: a
// leaf of the injected spec, a label, a webhook, a trait of the Pod. These are its
// features. A round asks about revisions that have every feature between them, and
// about some more, so that all have been asked about within the time of a sweep. When
// answers move, others that share a feature are asked, until it is known which
// features are responsible, and then all that have them.
//
// A Ledger knows neither cluster nor clock.
package cover

import (
	"slices"
	"time"
)

// Sum is a hash of what was asked, or of what was answered.
type Sum [16]byte

// Answer is what came of asking about a revision.
type Answer[W comparable] struct {
	// Workload is the revision's.
	Workload W
	// Features are what it has, by what was asked and what was answered.
	Features []Feature
	// Asked sums up what was asked, Outcome what admission made of it. The same
	// question with another outcome has moved.
	Asked, Outcome Sum
	// Lost: there is no answer, and Outcome means nothing.
	Lost bool
	// Restless: answers to the same question differ among themselves, so that a
	// move means nothing.
	Restless bool
}

// Ledger keeps of each revision K what was last answered, by features. It is for one
// goroutine.
type Ledger[K, W comparable] struct {
	table[K, W]
	entries   map[K]*entry[K, W]
	list      []*entry[K, W]
	workloads map[W]int // how many entries each has
	learned   []*learned[W]
	index     index[K, W]
	dirty     bool // the index is of other entries
	round     int
	asked     []*entry[K, W] // in this round
	inquiry   inquiry[K, W]
	worst     time.Duration // see Detection
}

type entry[K, W comparable] struct {
	key      K
	workload W
	set      *set[K, W]
	slot     int // in the set
	at       int // in the list
	// next is the set by the last answer, where that is another and an inquiry, which
	// goes by what was before, is under way.
	next           *set[K, W]
	asked, outcome Sum
	lost, restless bool
	// answered is when there was an answer last; tried is when it was asked for.
	answered, tried time.Time
	round           int // in which it was asked last
	evidence        evidence

	// Of the inquiry numbered so:
	inquiry int
	before  Sum // the outcome from before it began
}

// evidence is what an answer tells in a round.
type evidence byte

const (
	none evidence = iota
	moved
	stayed
)

// New returns an empty Ledger.
func New[K, W comparable]() *Ledger[K, W] {
	return &Ledger[K, W]{table: newTable[K, W](), entries: map[K]*entry[K, W]{}, workloads: map[W]int{}, dirty: true}
}

// Sizes of a Ledger.
type Sizes struct {
	// Features are those that rounds ask for, of which no two are of the same revisions;
	// of them Learned were learned from what a cover of the others had missed.
	Features, Learned int
	// Sets are how many revisions differ in their features.
	Sets int
}

// Sizes returns how large the ledger is.
func (l *Ledger[K, W]) Sizes() Sizes {
	l.reindex()
	return Sizes{Features: len(l.index.needs), Learned: len(l.learned), Sets: len(l.sets)}
}

// Begin starts a round. Whatever is answered until the next one counts as asked
// in it.
func (l *Ledger[K, W]) Begin() {
	for _, e := range l.asked {
		e.evidence = none
	}
	l.round++
	l.asked = l.asked[:0]
	l.inquiry.begin(len(l.known))
}

// Answered takes an answer down.
func (l *Ledger[K, W]) Answered(k K, a Answer[W], now time.Time) {
	e := l.entries[k]
	if e == nil {
		l.enter(k, a, now)
		return
	}
	again := e.round == l.round && e.evidence != none
	if e.round != l.round {
		l.asked = append(l.asked, e)
	}
	e.tried, e.round = now, l.round
	if a.Lost {
		e.lost = true
		l.tell(e, none)
		return
	}
	another := e.asked != a.Asked || e.answered.IsZero()
	silent := another || e.restless || a.Restless
	was := e.outcome
	e.lost, e.restless, e.asked, e.outcome, e.answered = false, e.restless || a.Restless, a.Asked, a.Outcome, now
	if silent {
		if l.inquiry.open && e.inquiry == l.inquiry.number {
			e.before = a.Outcome
		}
		l.tell(e, none)
		l.become(e, a.Features, another)
		return
	}
	if was != a.Outcome {
		l.inquire()
		l.inquiry.changed = true
		l.inquiry.mixed = l.inquiry.mixed || again
	}
	if l.inquiry.open && e.inquiry != l.inquiry.number {
		e.inquiry, e.before = l.inquiry.number, was
	}
	if l.movedSince(e) {
		l.tell(e, moved)
	} else {
		l.tell(e, stayed)
	}
	l.become(e, a.Features, false)
}

// become gives an entry the features of its last answer: at once, or when no inquiry
// goes by those that it had.
func (l *Ledger[K, W]) become(e *entry[K, W], features []Feature, atOnce bool) {
	s := l.intern(features)
	if e.next != nil {
		l.letGo(e.next)
		e.next = nil
	}
	switch {
	case s == e.set:
		l.letGo(s)
	case l.inquiry.open && !atOnce:
		e.next = s
	default:
		l.change(e, s)
	}
}

// change moves an entry into a set that is held for it.
func (l *Ledger[K, W]) change(e *entry[K, W], s *set[K, W]) {
	e.set.leave(e)
	l.letGo(e.set)
	s.enter(e)
	l.dirty = true
}

func (l *Ledger[K, W]) enter(k K, a Answer[W], now time.Time) {
	e := &entry[K, W]{
		key: k, workload: a.Workload, at: len(l.list), asked: a.Asked, outcome: a.Outcome,
		lost: a.Lost, restless: a.Restless, tried: now, round: l.round,
	}
	if !a.Lost {
		e.answered = now
	}
	l.intern(a.Features).enter(e)
	l.entries[k], l.list = e, append(l.list, e)
	l.workloads[a.Workload]++
	l.asked = append(l.asked, e)
	l.dirty = true
}

// Keep forgets all revisions that are gone.
func (l *Ledger[K, W]) Keep(has func(K) bool) {
	for k, e := range l.entries {
		if has(k) {
			continue
		}
		delete(l.entries, k)
		last := l.list[len(l.list)-1]
		l.list[e.at], last.at = last, e.at
		l.list = slices.Delete(l.list, len(l.list)-1, len(l.list))
		if l.workloads[e.workload]--; l.workloads[e.workload] == 0 {
			delete(l.workloads, e.workload)
		}
		e.set.leave(e)
		l.letGo(e.set)
		if e.next != nil {
			l.letGo(e.next)
		}
		l.dirty = true
	}
	l.asked = slices.DeleteFunc(l.asked, func(e *entry[K, W]) bool { return l.entries[e.key] != e })
}

// End ends a round, and returns how many features were learned from it.
func (l *Ledger[K, W]) End(now time.Time) int {
	learned := l.conclude(now)
	l.forgetLearned(now)
	return learned
}
