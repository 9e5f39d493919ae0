package newborn

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

func changes(places ...string) []verdict.Change {
	var all []verdict.Change
	for _, place := range places {
		part, path, _ := strings.Cut(place, ":")
		all = append(all, verdict.Change{Part: part, Path: path})
	}
	return all
}

func placesOf(changes []verdict.Change) []string {
	var all []string
	for _, c := range changes {
		all = append(all, c.Place())
	}
	return all
}

var (
	shop  = Scope{Namespace: "shop", Owner: "ReplicaSet.apps", Chain: Chain{1}}
	birth = time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
)

func TestLessons(t *testing.T) {
	var l Ledger
	l.Learn(shop, Lesson{Pod: "web-1", Born: birth, Places: []string{"container/proxy:env[B]"}})
	l.Learn(shop, Lesson{Pod: "web-2", Born: birth, Places: []string{"container/proxy:env[A]"}})
	for _, test := range []struct {
		name                       string
		scope                      Scope
		differs, judged, notJudged []string
	}{
		{"just there", shop, []string{"container/proxy:env[A]"}, nil, []string{"container/proxy:env[A]"}},
		{"there and elsewhere", shop, []string{"container/proxy:env[A]", "container/proxy:image"},
			[]string{"container/proxy:image"}, []string{"container/proxy:env[A]"}},
		{"elsewhere", shop, []string{"container/proxy:image"}, []string{"container/proxy:image"}, nil},
		{"below", shop, []string{"container/proxy:env[A].value"}, []string{"container/proxy:env[A].value"}, nil},
		{"another namespace", Scope{"pay", shop.Owner, shop.Chain}, []string{"container/proxy:env[A]"}, []string{"container/proxy:env[A]"}, nil},
		{"another owner", Scope{"shop", "Job.batch", shop.Chain}, []string{"container/proxy:env[A]"}, []string{"container/proxy:env[A]"}, nil},
		{"another chain", Scope{"shop", shop.Owner, Chain{2}}, []string{"container/proxy:env[A]"}, []string{"container/proxy:env[A]"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			judged, biased, lesson := l.Split(test.scope, changes(test.differs...))
			if diff := cmp.Diff(test.judged, placesOf(judged)); diff != "" {
				t.Errorf("judged (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.notJudged, placesOf(biased)); diff != "" {
				t.Errorf("not judged (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.notJudged, lesson.Places); diff != "" {
				t.Errorf("said (-want +got):\n%s", diff)
			}
		})
	}

	pay := Scope{"pay", shop.Owner, shop.Chain}
	if got := l.Elsewhere(pay, changes("container/proxy:env[A]")); got != "shop" {
		t.Errorf("elsewhere: %q", got)
	}
	for _, places := range [][]string{nil, {"container/proxy:image"}, {"container/proxy:env[A]", "container/proxy:image"}} {
		if got := l.Elsewhere(pay, changes(places...)); got != "" {
			t.Errorf("%q elsewhere: %q", places, got)
		}
	}
	if got := l.Elsewhere(shop, changes("container/proxy:env[A]")); got != "" {
		t.Errorf("its own namespace is elsewhere: %q", got)
	}
	l.ForgetWhere(shop, func(place string) bool { return place == "container/proxy:env[B]" })
	if _, biased, _ := l.Split(shop, changes("container/proxy:env[A]", "container/proxy:env[B]")); len(biased) != 1 {
		t.Errorf("%d places are left of two, of which one changed", len(biased))
	}
	l.Keep(func(s Scope) bool { return s == shop })
	if _, biased, _ := l.Split(shop, changes("container/proxy:env[A]")); biased == nil {
		t.Error("forgotten though it is kept")
	}
	l.Forget(shop)
	if _, biased, _ := l.Split(shop, changes("container/proxy:env[A]")); biased != nil {
		t.Error("not forgotten")
	}
	if !l.Empty() || l.Elsewhere(pay, changes("container/proxy:env[A]")) != "" {
		t.Error("something is left")
	}
	for n := range 2 * maxPlaces {
		l.Learn(shop, Lesson{Pod: "p", Places: []string{fmt.Sprint("container/p", n)}})
	}
	if n := len(l.lessons[shop].Places); n != maxPlaces {
		t.Errorf("%d places are kept", n)
	}
	if _, biased, _ := l.Split(shop, changes(fmt.Sprint("container/p", 2*maxPlaces-1))); biased == nil {
		t.Error("the newest is not kept")
	}
}

// How a newborn that is like no older Pod differs may be an injector's that did not
// answer for a moment.
func TestNewbornsThatAreAlone(t *testing.T) {
	const place = "container/proxy"
	at := func(after time.Duration) Lesson {
		return Lesson{Born: birth.Add(after), Places: []string{place}, Alone: true}
	}
	for _, test := range []struct {
		name   string
		taught func(*Ledger)
		want   bool
	}{
		{"once", func(l *Ledger) { l.Learn(shop, at(0)) }, false},
		{"twice, soon", func(l *Ledger) { l.Learn(shop, at(0)); l.Learn(shop, at(Apart-time.Second)) }, false},
		{"twice, apart", func(l *Ledger) { l.Learn(shop, at(0)); l.Learn(shop, at(Apart)) }, true},
		{"an outage between", func(l *Ledger) { l.Learn(shop, at(0)); l.Outage(); l.Learn(shop, at(Apart)) }, false},
		{"another answer between", func(l *Ledger) { l.Learn(shop, at(0)); l.Forget(shop); l.Learn(shop, at(Apart)) }, false},
		{"another answer elsewhere between", func(l *Ledger) {
			l.Learn(shop, at(0))
			l.ForgetWhere(shop, func(p string) bool { return p != place })
			l.Learn(shop, at(Apart))
		}, true},
		{"in another namespace", func(l *Ledger) { l.Learn(Scope{Namespace: "pay"}, at(0)); l.Learn(shop, at(Apart)) }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var l Ledger
			test.taught(&l)
			if _, biased, _ := l.Split(shop, changes(place)); (biased != nil) != test.want {
				t.Errorf("believed: %v, want %v", biased != nil, test.want)
			}
		})
	}
}

func TestChain(t *testing.T) {
	step := injection.Step{Kind: injection.MutatingWebhook, Name: "a/b", Match: injection.Matches, Version: "u/1"}
	of := func(change func(*injection.Step)) Chain {
		s := step
		change(&s)
		return ChainOf([]injection.Step{s})
	}
	same := of(func(*injection.Step) {})
	for name, change := range map[string]func(*injection.Step){
		"another version": func(s *injection.Step) { s.Version = "u/2" },
		"another webhook": func(s *injection.Step) { s.Name = "a/c" },
		"not asked":       func(s *injection.Step) { s.Match = injection.MatchesNot },
		"changes nothing": func(s *injection.Step) { s.Kind = injection.ValidatingWebhook },
	} {
		if of(change) == same {
			t.Errorf("%s: the same chain", name)
		}
	}
	if of(func(s *injection.Step) { s.Match, s.Why = injection.MayMatch, "CEL" }) != same {
		t.Error("another chain, as CEL decides")
	}
}
