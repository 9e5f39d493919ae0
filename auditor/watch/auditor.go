// Package watch keeps an audit up to date: it watches Pods, and asks in rounds about few
// workloads that stand for all.
package watch

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/apiserver"
	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/cover"
	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/newborn"
	"github.com/sidecar-drift/sidecar-drift/auditor/pace"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/restless"
)

// Auditor audits again and again at little cost: a watch tells it which Pods there
// are, and each round asks about a few workloads that have every feature between them.
type Auditor struct {
	// SoFar is told what the first round has found so far, every few seconds; never
	// concurrently. Nil is told nothing. It is set before the first round.
	SoFar func(*report.Report)

	cfg   *rest.Config
	opts  audit.Options
	sweep Sweep
	pods  *inventory.Live
	// limiter knows from one round to the next how busy the API server is.
	limiter *pace.Limiter

	mu        sync.Mutex // held in a round
	ledger    *cover.Ledger[inventory.Key, inventory.WorkloadRef]
	findings  map[inventory.Key]known
	shapes    shapes
	rate      rate
	lessons   newborn.Ledger
	admission *audit.Admission
	as        *injection.Identities
	read      time.Time // when these were begun anew
	first     firstRound
	// autoscalers are those that were read last.
	autoscalers *inventory.Autoscalers
}

// Sweep says how soon everything has been asked about anew.
type Sweep struct {
	// Interval is the time between two rounds of the cover.
	Interval time.Duration
	// Full is the time within which every workload is asked about, whatever its
	// features; less than the interval is every time.
	Full time.Duration
}

// Scope says what a round asks about.
type Scope int

const (
	// Changes are revisions of which nothing is known yet, or which have Pods like
	// none before.
	Changes Scope = iota
	// Cover is, besides, revisions that have every feature between them, and the next
	// ones of the sweep; and where answers are others than before, all that share the
	// features that are responsible.
	Cover
	// Everything is every revision.
	Everything
)

// Round is what a round found.
type Round struct {
	// Report is on all selected workloads, whenever they were asked about last.
	Report *report.Report
	// Asked numbers the revisions that were asked about.
	Asked int
	// Learned numbers the features that were learned from what the cover had missed.
	Learned int
	// Features numbers those that the cover asks for.
	Features int
	// Classes numbers the groups of revisions that have all features in common.
	Classes int
	// Detection is the promise that was kept: the longest that a feature had not been
	// asked for when it was.
	Detection time.Duration
	// OldestFeature and OldestAnswer are when a feature, and when a workload, was last
	// asked for that has not been for the longest time.
	OldestFeature, OldestAnswer time.Time
}

// Concern is what a round asks about besides, as it has changed.
type Concern struct {
	// Namespace whose labels or annotations are others; or
	Namespace string
	// Object that webhooks or policies are defined by, as KIND/NAME.
	Object string
}

// New returns an Auditor, which needs to Run. Options' Progress is told of rounds of
// everything; Compared and Preview are for single audits and of no effect.
func New(cfg *rest.Config, opts audit.Options, sweep Sweep) (*Auditor, error) {
	client, err := apiserver.Connect(cfg)
	if err != nil {
		return nil, err
	}
	if opts.Restless == nil {
		opts.Restless = &restless.Ledger{}
	}
	opts.Selection.Annotations = opts.CompareAnnotations
	opts.Compared, opts.Preview.Labels, opts.Preview.Annotations = nil, nil, nil
	return &Auditor{
		cfg: cfg, opts: opts, sweep: sweep, limiter: opts.Limiter(),
		pods:   inventory.NewLive(client, opts.Selection),
		ledger: cover.New[inventory.Key, inventory.WorkloadRef](), findings: map[inventory.Key]known{}, shapes: shapes{},
		admission: &audit.Admission{},
	}, nil
}

// Run watches the Pods until ctx is done.
func (a *Auditor) Run(ctx context.Context) { a.pods.Run(ctx) }

// Changed receives when Pods came, went or changed, so that a round of Changes is
// due.
func (a *Auditor) Changed() <-chan struct{} { return a.pods.Changed() }

// Round audits, and asks about what is of concern besides. Errors are those of Audit,
// and that the Pods cannot be watched: then nothing that was of concern has been seen to.
func (a *Auditor) Round(ctx context.Context, scope Scope, concerns ...Concern) (Round, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.admission
	r, err := a.round(ctx, scope, concerns)
	if err != nil {
		a.admission = before // which the next attempt has to know whom a change concerned
		return Round{}, fmt.Errorf("audit: %w", err)
	}
	return r, nil
}
