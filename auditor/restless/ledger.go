// Package restless remembers where fresh injections of one Pod differ among themselves,
// and which differences were asked about often enough to tell. That something varies is
// knowledge for other workloads, too; that something does not is none. It is pure, and
// talks to no cluster.
package restless

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"

	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// Chain identifies the mutating webhooks and policies that a Pod passes, by name: another
// version of one varies where the last did, until the contrary is seen.
type Chain [16]byte

// ChainOf returns the chain of the steps that are, or may be, asked.
func ChainOf(steps []injection.Step) Chain {
	h := sha256.New()
	for _, s := range steps {
		mutating := s.Kind == injection.MutatingWebhook || s.Kind == injection.MutatingPolicy
		if mutating && s.Match != injection.MatchesNot {
			fmt.Fprintf(h, "%q %q\n", s.Kind, s.Name)
		}
	}
	return Chain(h.Sum(nil)[:16])
}

// Scope is what workloads share that know of each other what varies.
type Scope struct {
	Namespace string
	Chain     Chain
}

// Enough workloads that came to have the same value at a place, and were asked about
// often enough, are asked for all that do: a changed template makes thousands of them.
// They are of one namespace, and are asked for that, or each of another, and are asked
// for all: who writes in one namespace says nothing about others. None of this holds for
// a place that was seen to vary anywhere.
const Enough = 3

// maxScopes and maxAsked bound what is remembered. What is forgotten is asked again.
const (
	maxScopes = 1024
	maxAsked  = 1 << 14
)

// Ledger keeps what was learned. The zero Ledger is ready to use; it is safe for
// concurrent use.
type Ledger struct {
	mu       sync.Mutex
	scopes   map[Scope]*verdict.Varying
	chains   map[Chain]*verdict.Varying
	combined map[Scope]*verdict.Varying // what Of returned
	asked    map[difference]map[string]int
}

// difference is where workloads came to have one value, but for their names.
type difference [16]byte

// Of returns what is known to vary in workloads of the scope; never nil.
func (l *Ledger) Of(s Scope) *verdict.Varying {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.of(s)
}

func (l *Ledger) of(s Scope) *verdict.Varying {
	if known := l.combined[s]; known != nil {
		return known
	}
	if l.scopes[s] == nil && l.chains[s.Chain] == nil {
		return &verdict.Varying{}
	}
	if l.combined == nil || len(l.combined) >= maxScopes {
		l.combined = map[Scope]*verdict.Varying{}
	}
	l.combined[s] = l.chains[s.Chain].With(l.scopes[s])
	return l.combined[s]
}

// Learn takes down what varies in a workload of the scope.
func (l *Ledger) Learn(s Scope, varying *verdict.Varying) {
	if varying.Empty() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.scopes == nil || len(l.scopes) >= maxScopes || len(l.chains) >= maxScopes {
		l.scopes, l.chains = map[Scope]*verdict.Varying{}, map[Chain]*verdict.Varying{}
	}
	l.scopes[s] = l.scopes[s].With(varying.Elsewhere())
	l.chains[s.Chain] = l.chains[s.Chain].With(varying.Everywhere())
	l.combined = nil
}

// Told reports whether the change need not be asked about again: enough other workloads
// were, and nothing has ever varied at its place.
func (l *Ledger) Told(s Scope, workload string, c verdict.Change) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	asked := l.asked[differenceOf(s, workload, c)]
	return (len(asked) >= Enough || asked[s.Namespace] >= Enough) && !l.of(s).Has(c)
}

// Asked takes down that a workload's change was asked about often enough, and stayed.
func (l *Ledger) Asked(s Scope, workload string, c verdict.Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asked == nil || len(l.asked) >= maxAsked {
		l.asked = map[difference]map[string]int{}
	}
	d := differenceOf(s, workload, c)
	if l.asked[d] == nil {
		l.asked[d] = map[string]int{}
	}
	if asked := l.asked[d]; len(asked) < Enough || asked[s.Namespace] > 0 {
		asked[s.Namespace]++
	}
}

// shortestName is the length from which on a name is one, and not part of any word.
const shortestName = 4

func differenceOf(s Scope, workload string, c verdict.Change) difference {
	to := string(c.To)
	for _, name := range []string{workload, s.Namespace} {
		if len(name) >= shortestName {
			to = strings.ReplaceAll(to, name, "\x00")
		}
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%x %q %q %t %q", s.Chain, c.Part, c.Path, c.To == nil, to))
	return difference(sum[:16])
}
