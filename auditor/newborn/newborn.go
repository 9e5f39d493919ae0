// Package newborn learns from real Pods where a dry run answers otherwise than a
// creation does: a Pod that its controller created while injection did not change is
// what injection gives, whatever a dry run says. It is pure, and talks to no cluster.
package newborn

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
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
	for _, s := range injection.Changing(steps) {
		fmt.Fprintf(h, "%q %q %q\n", s.Kind, s.Name, s.Version)
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
	// Alone: no older Pod of its revision is like it. Then a mutator that did not answer
	// for a moment is another reason.
	Alone bool
}

// Apart is how long after one that is alone another Pod must be born that differs at the
// same place, and no injector have been seen not to answer in between, before that is
// believed.
const Apart = 10 * time.Minute

// Reason says why places are not judged.
func (l Lesson) Reason() string {
	return fmt.Sprintf("Pods that controllers created since %s (%s) differ from a dry run, which has not changed, at %s: a webhook answers controllers, or dry runs, otherwise",
		l.Since.UTC().Format(time.RFC3339), l.Pod, Enumerated(l.Places))
}

// namedPlaces is how many places a reason names.
const namedPlaces = 5

// Enumerated names the first places of a list, and how many more there are.
func Enumerated(places []string) string {
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
	alone   map[Scope]map[string]time.Time // when the first was born that differs there
	// elsewhere are the namespaces that have a lesson about a place; nil: to be found
	// out anew.
	elsewhere map[whereabouts][]string
}

// whereabouts is a place in Pods of one kind of owner that pass one chain.
type whereabouts struct {
	owner string
	chain Chain
	place string
}

// Learn adds to what is known of a scope.
func (l *Ledger) Learn(scope Scope, lesson Lesson) {
	if lesson.Alone {
		lesson.Places = l.seenBefore(scope, lesson)
	}
	if len(lesson.Places) == 0 {
		return
	}
	places := slices.Clone(lesson.Places)
	for _, place := range l.lessons[scope].Places {
		if !slices.Contains(lesson.Places, place) && len(places) < maxPlaces {
			places = append(places, place)
		}
	}
	slices.Sort(places)
	lesson.Places = slices.Compact(places)
	if l.lessons == nil {
		l.lessons = map[Scope]Lesson{}
	}
	l.lessons[scope], l.elsewhere = lesson, nil
}

// seenBefore returns where another Pod that was alone has differed, long enough before.
func (l *Ledger) seenBefore(scope Scope, lesson Lesson) []string {
	if l.alone == nil {
		l.alone = map[Scope]map[string]time.Time{}
	}
	if l.alone[scope] == nil {
		l.alone[scope] = map[string]time.Time{}
	}
	var before []string
	for _, place := range lesson.Places {
		first, has := l.alone[scope][place]
		switch {
		case has && lesson.Born.Sub(first) >= Apart:
			before = append(before, place)
		case !has && len(l.alone[scope]) < maxPlaces:
			l.alone[scope][place] = lesson.Born
		}
	}
	return before
}

// Outage is told that an injector does not answer: how newborns that were alone have
// differed up to now proves nothing.
func (l *Ledger) Outage() { l.alone = nil }

// Forget takes back what is known of a scope: a newborn has come that is as the dry run.
func (l *Ledger) Forget(scope Scope) { l.ForgetWhere(scope, func(string) bool { return true }) }

// ForgetWhere takes back what is known of places of a scope, as where the answer
// changed.
func (l *Ledger) ForgetWhere(scope Scope, changed func(place string) bool) {
	for place := range l.alone[scope] {
		if changed(place) {
			delete(l.alone[scope], place)
		}
	}
	known, has := l.lessons[scope]
	if !has {
		return
	}
	l.elsewhere = nil
	known.Places = slices.DeleteFunc(slices.Clone(known.Places), changed)
	if len(known.Places) == 0 {
		delete(l.lessons, scope)
		return
	}
	l.lessons[scope] = known
}

// Empty reports whether nothing is known.
func (l *Ledger) Empty() bool { return len(l.lessons)+len(l.alone) == 0 }

// Keep forgets scopes that nothing is in any more.
func (l *Ledger) Keep(in func(Scope) bool) {
	for scope := range l.lessons {
		if !in(scope) {
			l.Forget(scope)
		}
	}
	for scope := range l.alone {
		if !in(scope) {
			delete(l.alone, scope)
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
// about all of the changes; empty if none is found among a few, or there is no change.
func (l *Ledger) Elsewhere(scope Scope, changes []verdict.Change) string {
	if len(changes) == 0 || len(l.lessons) == 0 {
		return ""
	}
	for _, namespace := range l.namespacesOf(whereabouts{scope.Owner, scope.Chain, changes[0].Place()}) {
		if namespace == scope.Namespace {
			continue
		}
		judged, _, _ := l.Split(Scope{namespace, scope.Owner, scope.Chain}, changes)
		if len(judged) == 0 {
			return namespace
		}
	}
	return ""
}

// fewNamespaces are looked through for one that has all places.
const fewNamespaces = 4

// namespacesOf returns the first few namespaces that have a lesson about a place.
func (l *Ledger) namespacesOf(w whereabouts) []string {
	if l.elsewhere == nil {
		l.elsewhere = map[whereabouts][]string{}
		scopes := slices.SortedFunc(maps.Keys(l.lessons), func(a, b Scope) int { return cmp.Compare(a.Namespace, b.Namespace) })
		for _, scope := range scopes {
			for _, place := range l.lessons[scope].Places {
				at := whereabouts{scope.Owner, scope.Chain, place}
				if len(l.elsewhere[at]) < fewNamespaces {
					l.elsewhere[at] = append(l.elsewhere[at], scope.Namespace)
				}
			}
		}
	}
	return l.elsewhere[w]
}
