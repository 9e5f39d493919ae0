// Package newborn learns from real Pods where a dry run answers otherwise than a
// creation does: a Pod that its controller created while injection did not change is
// what injection gives, whatever a dry run says. It is pure, and talks to no cluster.
package newborn

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// Settled is how long an answer must have been the same before a Pod is born that
// proves something: the replicas of an injector take a new template up one after the
// other, and clocks of API servers differ.
const Settled = time.Minute

// Chain identifies the mutating webhooks and policies that a Pod passes, in the
// definitions that they have.
type Chain [16]byte

// ChainOf returns the chain of the steps that are, or may be, asked.
func ChainOf(steps []injection.Step) Chain {
	h := sha256.New()
	for _, s := range steps {
		mutating := s.Kind == injection.MutatingWebhook || s.Kind == injection.MutatingPolicy
		if mutating && s.Match != injection.MatchesNot {
			fmt.Fprintf(h, "%q %q %q\n", s.Kind, s.Name, s.Version)
		}
	}
	return Chain(h.Sum(nil)[:16])
}

// Scope is what a lesson holds for. Who may write in a namespace may forge a Pod of a
// controller's, so no lesson reaches beyond it.
type Scope struct {
	Namespace string
	// Owner is the kind of the Pods' controller, with its API group.
	Owner string
	Chain Chain
}

// Lesson is what a newborn Pod has taught.
type Lesson struct {
	// Pod is the newborn's name, Born when it was created, Since when dry runs began
	// to give the answer that it differs from.
	Pod         string
	Born, Since time.Time
	// Places are where it differs (verdict.Change.Place).
	Places []string
	// Lacking are places where the dry run has something and the newborn has nothing: an
	// injector that did not answer for a moment is another reason for that.
	Lacking []string
}

// Apart is how long after another a Pod must be born that lacks the same, and no injector
// have been seen not to answer in between, before that is believed.
const Apart = 10 * time.Minute

// Reason says why places are not judged.
func (l Lesson) Reason() string {
	return fmt.Sprintf("Pods that controllers created since %s (%s) differ from a dry run, which has not changed, at %s: a webhook answers controllers, or dry runs, otherwise",
		l.Since.UTC().Format(time.RFC3339), l.Pod, enumerated(l.Places))
}

// namedPlaces is how many places a reason names.
const namedPlaces = 5

func enumerated(places []string) string {
	text := ""
	for i, place := range places {
		switch {
		case i == namedPlaces:
			return fmt.Sprintf("%s and %d more", text, len(places)-i)
		case i > 0:
			text += ", "
		}
		text += place
	}
	return text
}

// maxPlaces bounds what is kept of one scope.
const maxPlaces = 256

// Ledger keeps lessons. The zero Ledger is ready to use, by one goroutine at a time.
type Ledger struct {
	lessons map[Scope]Lesson
	lacking map[Scope]map[string]time.Time // when the first was born that lacks it
}

// Learn adds to what is known of a scope.
func (l *Ledger) Learn(scope Scope, lesson Lesson) {
	places := slices.Concat(lesson.Places, l.lackedBefore(scope, lesson), l.lessons[scope].Places)
	lesson.Lacking = nil
	if len(places) == 0 {
		return
	}
	slices.Sort(places)
	lesson.Places = slices.Compact(places)
	lesson.Places = lesson.Places[:min(len(lesson.Places), maxPlaces)]
	if l.lessons == nil {
		l.lessons = map[Scope]Lesson{}
	}
	l.lessons[scope] = lesson
}

// lackedBefore returns what another Pod has lacked, long enough before.
func (l *Ledger) lackedBefore(scope Scope, lesson Lesson) []string {
	if l.lacking == nil {
		l.lacking = map[Scope]map[string]time.Time{}
	}
	if l.lacking[scope] == nil {
		l.lacking[scope] = map[string]time.Time{}
	}
	var before []string
	for _, place := range lesson.Lacking {
		first, has := l.lacking[scope][place]
		switch {
		case has && lesson.Born.Sub(first) >= Apart:
			before = append(before, place)
		case !has && len(l.lacking[scope]) < maxPlaces:
			l.lacking[scope][place] = lesson.Born
		}
	}
	return before
}

// Outage is told that an injector does not answer: what newborns have lacked up to now
// proves nothing.
func (l *Ledger) Outage() { l.lacking = nil }

// Forget takes back what is known of a scope: the answer changed, or a newborn has
// come that is as the dry run.
func (l *Ledger) Forget(scope Scope) {
	delete(l.lessons, scope)
	delete(l.lacking, scope)
}

// Keep forgets scopes that nothing is in any more.
func (l *Ledger) Keep(in func(Scope) bool) {
	for scope := range l.lessons {
		if !in(scope) {
			l.Forget(scope)
		}
	}
	for scope := range l.lacking {
		if !in(scope) {
			l.Forget(scope)
		}
	}
}

// Split parts changes into those to be judged and those at places of which a lesson of
// the scope says that a dry run does not tell; lesson is its zero value if there are
// none of these.
func (l *Ledger) Split(scope Scope, changes []verdict.Change) (judged, biased []verdict.Change, lesson Lesson) {
	known, has := l.lessons[scope]
	if !has {
		return changes, nil, Lesson{}
	}
	for _, c := range changes {
		if _, found := slices.BinarySearch(known.Places, c.Place()); found {
			biased = append(biased, c)
		} else {
			judged = append(judged, c)
		}
	}
	if len(biased) == 0 {
		return changes, nil, Lesson{}
	}
	known.Places = nil
	for _, c := range biased {
		known.Places = append(known.Places, c.Place())
	}
	known.Places = slices.Compact(known.Places)
	return judged, biased, known
}

// Elsewhere names a namespace whose lessons, of the same chain and kind of owner, are
// about all of the changes; empty if there is none, or no change.
func (l *Ledger) Elsewhere(scope Scope, changes []verdict.Change) string {
	first := ""
	for other := range l.lessons {
		if other.Namespace == scope.Namespace || other.Owner != scope.Owner || other.Chain != scope.Chain {
			continue
		}
		judged, biased, _ := l.Split(other, changes)
		if len(judged) == 0 && len(biased) > 0 && (first == "" || other.Namespace < first) {
			first = other.Namespace
		}
	}
	return first
}
