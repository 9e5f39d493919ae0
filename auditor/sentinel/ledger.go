// Package sentinel decides which revisions to ask about, where asking about all
// of them each time costs too much.
//
// Each round asks about one member of each class, another one each time, and
// about as many as it takes to have asked about all within the sweep's time. When
// one's answer moved, all of its class are asked. Where some of a class moved and
// others stay, it was no class: it is split.
//
// A Ledger knows neither cluster nor clock.
package sentinel

import (
	"slices"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/class"
)

// Sum is a hash of what was asked, or of what was answered.
type Sum [16]byte

// Answer is what came of asking about a revision.
type Answer[W comparable] struct {
	// Workload is the revision's: its next revision joins the same class.
	Workload W
	// Class is where it belongs by what was asked.
	Class class.ID
	// Asked sums up what was asked, Outcome what admission made of it. The same
	// question with another outcome has moved.
	Asked, Outcome Sum
	// Lost: there is no answer, and Outcome means nothing.
	Lost bool
	// Restless: answers to the same question differ among themselves, so that a
	// move means nothing.
	Restless bool
}

// settling is how many rounds a class is asked whole in which some moved and
// others did not, before that is believed: replicas of an injector that is being
// upgraded answer differently for a while.
const settling = 2

// Ledger keeps of each revision K what was last answered, by class. It is for one
// goroutine.
type Ledger[K, W comparable] struct {
	entries map[K]*entry[W]
	classes map[class.ID]*members[K]
	parted  map[membership[W]]*parting
	round   int
	splits  int
}

type entry[W comparable] struct {
	Answer[W]
	class class.ID
	at    time.Time // zero: ask soon
	round int       // in which it was asked last
	lost  int       // in which the answer was lost last
	// before is the outcome from before its class began to move.
	before Sum
}

// members of a class.
type members[K comparable] struct {
	keys   map[K]bool
	moving bool
	rounds int // for which some of it moved and others did not
}

// membership is a workload in the class that its revisions look like.
type membership[W comparable] struct {
	workload W
	looks    class.ID
}

// parting is the class that a workload was parted into.
type parting struct {
	class class.ID
	seen  int // the last round in which it had revisions
}

// remembered is for how many rounds without revisions that is kept.
const remembered = 100

// New returns an empty Ledger.
func New[K, W comparable]() *Ledger[K, W] {
	return &Ledger[K, W]{
		entries: map[K]*entry[W]{}, classes: map[class.ID]*members[K]{}, parted: map[membership[W]]*parting{},
	}
}

// Sizes returns how many revisions each class has, the largest first.
func (l *Ledger[K, W]) Sizes() []int {
	sizes := make([]int, 0, len(l.classes))
	for _, m := range l.classes {
		sizes = append(sizes, len(m.keys))
	}
	slices.SortFunc(sizes, func(a, b int) int { return b - a })
	return sizes
}

// Begin starts a round. Whatever is answered until the next one counts as asked
// in it.
func (l *Ledger[K, W]) Begin() { l.round++ }

// Due returns whom to ask about in a round of which there are so many in the time
// of a sweep, ending at now.
func (l *Ledger[K, W]) Due(now time.Time, rounds int, sweep time.Duration) []K {
	var due []K
	for _, m := range l.classes {
		if m.moving {
			due = l.members(due, m)
			continue
		}
		byAge := l.members(nil, m)
		slices.SortFunc(byAge, func(a, b K) int { return l.entries[a].at.Compare(l.entries[b].at) })
		share := (len(byAge) + rounds - 1) / max(1, rounds)
		for i, k := range byAge {
			if i < share || now.Sub(l.entries[k].at) >= sweep {
				due = append(due, k)
			}
		}
	}
	return due
}

func (l *Ledger[K, W]) members(list []K, m *members[K]) []K {
	for k := range m.keys {
		list = append(list, k)
	}
	return list
}

// Moving returns those who are to be asked in this round, too, as somebody of
// their class moved.
func (l *Ledger[K, W]) Moving() []K {
	var others []K
	for _, m := range l.classes {
		if !m.moving {
			continue
		}
		for k := range m.keys {
			if l.entries[k].round != l.round {
				others = append(others, k)
			}
		}
	}
	return others
}

// Answered takes an answer down.
func (l *Ledger[K, W]) Answered(k K, a Answer[W], now time.Time) {
	e := l.entries[k]
	if a.Lost {
		if e != nil {
			e.at, e.round, e.lost = time.Time{}, l.round, l.round
		} else {
			l.enter(k, &entry[W]{Answer: a, round: l.round, lost: l.round})
		}
		return
	}
	switch {
	case e == nil:
		e = &entry[W]{Answer: a, before: a.Outcome}
		l.enter(k, e)
	case e.Class != a.Class:
		l.leave(k, e)
		*e = entry[W]{Answer: a, before: a.Outcome}
		l.enter(k, e)
	case e.Lost || e.Asked != a.Asked:
		e.Answer, e.before = a, a.Outcome
	default:
		if e.Outcome != a.Outcome && !e.Restless && !a.Restless {
			l.moves(l.classes[e.class])
		}
		e.Answer = a
		if e.Restless {
			e.before = a.Outcome
		}
	}
	e.at, e.round = now, l.round
}

// moves has a class asked whole, unless it is already.
func (l *Ledger[K, W]) moves(m *members[K]) {
	if m.moving {
		return
	}
	m.moving, m.rounds = true, 0
	for k := range m.keys {
		l.entries[k].before = l.entries[k].Outcome
	}
}

func (l *Ledger[K, W]) enter(k K, e *entry[W]) {
	e.class = e.Class
	if parted, ok := l.parted[membership[W]{e.Workload, e.Class}]; ok {
		e.class = parted.class
	}
	l.entries[k] = e
	l.join(k, e.class)
}

func (l *Ledger[K, W]) join(k K, id class.ID) {
	m := l.classes[id]
	if m == nil {
		m = &members[K]{keys: map[K]bool{}}
		l.classes[id] = m
	}
	m.keys[k] = true
}

func (l *Ledger[K, W]) leave(k K, e *entry[W]) {
	m := l.classes[e.class]
	delete(m.keys, k)
	if len(m.keys) == 0 {
		delete(l.classes, e.class)
	}
}

// Keep forgets all revisions that are gone, and after a while in which class
// workloads were that are gone.
func (l *Ledger[K, W]) Keep(has func(K) bool) {
	workloads := map[W]bool{}
	for k, e := range l.entries {
		if has(k) {
			workloads[e.Workload] = true
			continue
		}
		l.leave(k, e)
		delete(l.entries, k)
	}
	for m, parting := range l.parted {
		switch {
		case workloads[m.workload]:
			parting.seen = l.round
		case l.round-parting.seen > remembered:
			delete(l.parted, m)
		}
	}
}

// End ends a round: classes that moved whole, or back, are at rest again, and
// those of which others keep staying are split. It returns how many were.
func (l *Ledger[K, W]) End() (splits int) {
	for _, m := range l.classes {
		if !m.moving {
			continue
		}
		moved, whole := l.moved(m)
		switch {
		case !whole: // the round was ended early
		case len(moved) == 0 || len(moved) == len(m.keys):
			m.moving = false
		case m.rounds < settling:
			m.rounds++
		default:
			m.moving = false
			l.part(moved)
			splits++
		}
	}
	return splits
}

// moved returns those of a class whose outcome is another than before it began to
// move, or all if the others have none; whole tells that all were asked.
func (l *Ledger[K, W]) moved(m *members[K]) (moved []K, whole bool) {
	whole = true
	stays := 0
	for k := range m.keys {
		switch e := l.entries[k]; {
		case e.round != l.round:
			whole = false
		case e.lost == l.round || e.Restless:
		case e.Outcome != e.before:
			moved = append(moved, k)
		default:
			stays++
		}
	}
	if stays == 0 {
		moved = l.members(nil, m)
	}
	return moved, whole
}

// part makes a class of some of one.
func (l *Ledger[K, W]) part(some []K) {
	l.splits++
	id := l.entries[some[0]].class.Moved(l.splits)
	for _, k := range some {
		e := l.entries[k]
		l.leave(k, e)
		e.class = id
		l.join(k, id)
		l.parted[membership[W]{e.Workload, e.Class}] = &parting{id, l.round}
	}
}
