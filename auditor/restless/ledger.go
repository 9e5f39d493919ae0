// Package restless remembers where fresh injections of one Pod differ among themselves,
// and which differences were asked about often enough to tell. That something varies is
// knowledge for other workloads, too; that something does not is none. It is pure, and
// talks to no cluster.
package restless

import (
	"crypto/sha256"
	"fmt"
	"slices"
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
	for _, s := range injection.Changing(steps) {
		fmt.Fprintf(h, "%q %q\n", s.Kind, s.Name)
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
	now, old generation
	asked    map[difference]map[string][]string // workloads, by namespace
}

// generation is what was learned since the last Age, or between that and the one before.
type generation struct {
	scopes map[Scope]*verdict.Varying
	chains map[Chain]*verdict.Varying
}

// difference is where workloads came to have one value, but for their names.
type difference [16]byte

// Of returns what workloads of the scope know of what varies, by their namespace; never
// nil. It is not to be changed.
func (l *Ledger) Of(s Scope) *verdict.Varying {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now.scopes[s].With(l.old.scopes[s])
}

// Has reports whether something is known to vary at the change's place, in any
// namespace: then it is asked about, whatever others have shown.
func (l *Ledger) Has(s Scope, c verdict.Change) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.has(s, c)
}

func (l *Ledger) has(s Scope, c verdict.Change) bool {
	return l.now.chains[s.Chain].Has(c) || l.old.chains[s.Chain].Has(c)
}

// Learn takes down what varies in a workload of the scope.
func (l *Ledger) Learn(s Scope, varying *verdict.Varying) {
	if varying.Empty() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.now.scopes == nil || len(l.now.scopes) >= maxScopes || len(l.now.chains) >= maxScopes {
		l.now = generation{map[Scope]*verdict.Varying{}, map[Chain]*verdict.Varying{}}
	}
	l.now.scopes[s] = l.now.scopes[s].With(varying.Elsewhere())
	l.now.chains[s.Chain] = l.now.chains[s.Chain].With(varying.Elsewhere())
}

// Age forgets what was not learned anew since the last time: replicas of an injector that
// is upgraded differ for a while, and what they inject does not vary for ever after.
func (l *Ledger) Age() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.old, l.now, l.asked = l.now, generation{}, nil
}

// Told reports whether the change need not be asked about again: enough other workloads
// were, and nothing has ever varied at its place.
func (l *Ledger) Told(s Scope, workload string, c verdict.Change) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	asked := l.asked[differenceOf(s, workload, c)]
	return (len(asked) >= Enough || len(asked[s.Namespace]) >= Enough) && !l.has(s, c)
}

// Asked takes down that a workload's change was asked about often enough, and stayed.
func (l *Ledger) Asked(s Scope, workload string, c verdict.Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asked == nil || len(l.asked) >= maxAsked {
		l.asked = map[difference]map[string][]string{}
	}
	d := differenceOf(s, workload, c)
	if l.asked[d] == nil {
		l.asked[d] = map[string][]string{}
	}
	asked := l.asked[d]
	if of := asked[s.Namespace]; (len(asked) < Enough || len(of) > 0) && len(of) < Enough && !slices.Contains(of, workload) {
		asked[s.Namespace] = append(of, workload)
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
