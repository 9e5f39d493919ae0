package auditor

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/newborn"
	"github.com/sidecar-drift/sidecar-drift/auditor/pace"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/restless"
	"github.com/sidecar-drift/sidecar-drift/auditor/sentinel"
)

// Auditor audits again and again at little cost: a watch tells it which Pods there
// are, and each round asks about a few workloads that stand for all.
type Auditor struct {
	cfg   *rest.Config
	opts  Options
	sweep Sweep
	pods  *inventory.Live
	// limiter knows from one round to the next how busy the API server is.
	limiter *pace.Limiter

	mu       sync.Mutex // held in a round
	ledger   *sentinel.Ledger[inventory.Key, inventory.WorkloadRef]
	findings map[inventory.Key]known
	lessons  newborn.Ledger
	askers   *askers
	as       *injection.Identities
	read     time.Time // when these were begun anew
	// autoscalers are those that were read last.
	autoscalers *inventory.Autoscalers
}

// Sweep says how soon everything has been asked about anew.
type Sweep struct {
	// Interval is the time between two rounds of sentinels.
	Interval time.Duration
	// Full is the time within which every workload is asked about, whatever its
	// class says; less than the interval is every time.
	Full time.Duration
}

// Scope says what a round asks about.
type Scope int

const (
	// Changes are revisions of which nothing is known yet, or which have Pods like
	// none before.
	Changes Scope = iota
	// Sentinels are, besides, one of each class and the next ones of the sweep; and
	// all of a class if the answer about one is another than before.
	Sentinels
	// Everything is every revision.
	Everything
)

// Round is what a round found.
type Round struct {
	// Report is on all selected workloads, whenever they were asked about last.
	Report *report.Report
	// Asked numbers the revisions that were asked about.
	Asked int
	// Splits numbers the classes that were none, and were split.
	Splits int
	// Classes are the sizes of the classes, the largest first.
	Classes []int
}

// NewAuditor returns an Auditor, which needs to Run. Options' Progress is told of rounds of
// everything; Compared and Preview are for single audits and of no effect.
func NewAuditor(cfg *rest.Config, opts Options, sweep Sweep) (*Auditor, error) {
	client, err := connect(cfg)
	if err != nil {
		return nil, err
	}
	if opts.Restless == nil {
		opts.Restless = &restless.Ledger{}
	}
	opts.Selection.Annotations = opts.CompareAnnotations
	opts.Compared, opts.Preview.Labels, opts.Preview.Annotations = nil, nil, nil
	return &Auditor{
		cfg: cfg, opts: opts, sweep: sweep, limiter: opts.limiter(),
		pods:   inventory.NewLive(client, opts.Selection),
		ledger: sentinel.New[inventory.Key, inventory.WorkloadRef](), findings: map[inventory.Key]known{},
		askers: &askers{},
	}, nil
}

// Run watches the Pods until ctx is done.
func (a *Auditor) Run(ctx context.Context) { a.pods.Run(ctx) }

// Changed receives when Pods came, went or changed, so that a round of Changes is
// due.
func (a *Auditor) Changed() <-chan struct{} { return a.pods.Changed() }

// Round audits. Errors are those of Audit, and that the Pods cannot be watched.
func (a *Auditor) Round(ctx context.Context, scope Scope) (Round, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r, err := a.round(ctx, scope)
	if err != nil {
		return Round{}, fmt.Errorf("audit: %w", err)
	}
	return r, nil
}
