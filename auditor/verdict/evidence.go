package verdict

import (
	"time"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// Evidence is what the cluster says, now, of those that set a Pod's placement besides
// admission webhooks. Nil is what could not be read.
type Evidence struct {
	// PullSecrets are those of the fresh Pod's ServiceAccount.
	PullSecrets *Lender
	// NodeSelector and Tolerations are those of its namespace.
	NodeSelector, Tolerations *Lender
}

// Lender is an object of the cluster from which an in-tree plugin copies into each Pod that
// is created.
type Lender struct {
	// Items are what it lends: names of Secrets, "key=value" of a node selector, or
	// tolerations as JSON.
	Items []string
	// Since is when they were set last, in seconds of the Unix epoch. 0: they are not set,
	// or nothing says when. Nothing tells of a field when it was taken away.
	Since int64
}

// lender is a Lender in one comparison.
type lender struct {
	// known: what it lends now is known. What else came is of admission's own making, then.
	known bool
	has   map[string]bool
	// settled: it has lent the same since before the live Pod was created. What went is of
	// admission's own making, then, too.
	settled bool
}

// lender returns the one of a comparison; item writes each item as those of Pods are.
// Without any evidence nothing is taken to be lent now, and anything to have been.
func (e *Evidence) lender(of func(*Evidence) *Lender, live jsontree.Node, item func(string) string) lender {
	if e == nil {
		return lender{known: true}
	}
	l := of(e)
	if l == nil {
		return lender{}
	}
	found := lender{known: true, has: map[string]bool{}}
	for _, text := range l.Items {
		found.has[item(text)] = true
	}
	created, err := time.Parse(time.RFC3339, live.Get("metadata", "creationTimestamp").String())
	// Both times are whole seconds: within one, nobody knows which came first.
	found.settled = err == nil && l.Since > 0 && l.Since < created.Unix()
	return found
}
