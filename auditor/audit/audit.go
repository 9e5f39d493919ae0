// Package audit finds the workloads whose sidecars would be different if they
// were re-created now.
//
// Data flows one way: inventory (what runs) → injection (what would run) →
// verdict → report. Nothing in the cluster is changed.
package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/apiserver"
	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/pace"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/restless"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// Options say what to audit and how.
type Options struct {
	Selection inventory.Selection
	// Concurrency is how many dry runs are under way at once, at most; less than 1
	// means 1. How many are follows from how the API server answers.
	Concurrency int
	// Gentle keeps other clients' requests from taking longer for the audit's,
	// and has it take its time.
	Gentle bool
	// DryRunAs says as whom dry runs are made; empty is Auto.
	DryRunAs injection.DryRunAs
	// Fenced is asked once before dry runs are made as another user: an error has them
	// made as the identity itself. Nil allows all.
	Fenced func(ctx context.Context, user string) error
	// DeclaredSidecars are containers to count as sidecars though the template
	// declares them.
	DeclaredSidecars []string
	// IgnorePaths leaves fields out of every comparison.
	IgnorePaths []verdict.PathPattern
	// CompareAnnotations are annotations that count besides those that are known to
	// configure.
	CompareAnnotations []string
	// IncludeAutoscaled counts resources that an autoscaler sets as any other
	// field.
	IncludeAutoscaled bool
	// Autoscalers are what else sizes Pods anew all the time than what is known to.
	Autoscalers inventory.AutoscalerRules
	// Preview is added to the Pods that are asked about: what would these labels
	// and annotations change?
	Preview injection.Metadata
	// Candidate is asked what admission would make of each Pod with it; nil: as it is.
	Candidate Candidate
	// Restless is what earlier audits of the same cluster have seen to vary from one
	// injection to the next; this one adds to it. Nil: nothing is known.
	Restless *restless.Ledger
	// Surroundings are shared with other audits of the same cluster and identity, each of one
	// workload ([Workload]). Nil: with none.
	Surroundings *Surroundings
	// Thorough asks about every difference again, whatever other workloads have shown.
	Thorough bool
	// Versions has the report say which specs of sidecars run where.
	Versions bool
	// Labels are keys of labels whose values the report says of each workload.
	Labels []string
	// Compared is given each comparison that was made; never concurrently. Nil
	// is given none.
	Compared func(Comparison)
	// Asked is told the outcome of each dry run, "answered", "refused" (by
	// admission) or "unknown"; it may be called concurrently. Nil is told nothing.
	Asked func(outcome string)
	// Progress is told how many revisions are done of how many; never
	// concurrently. Nil is told nothing.
	Progress func(done, total int)
	Log      logr.Logger
}

// Limiter returns a new one of dry runs, by Concurrency and Gentle.
func (o Options) Limiter() *pace.Limiter {
	if o.Gentle {
		return pace.NewGentle(o.Concurrency)
	}
	return pace.New(o.Concurrency)
}

// Run asks the API server for a fresh injection of every selected revision
// that has live Pods, and compares.
//
// This ends an audit as a whole, and nothing else: ctx is done; the API server
// cannot be reached, or knows or lets the identity not list Pods, or the owners that
// Pods have, or create a Pod in a dry run; a workload that was named does not
// exist. All of that is up to who runs the audit or the cluster. Whatever is wrong
// with an object that anybody may write (a Pod, its owners and what it says of them,
// a ControllerRevision, an autoscaler, a namespace) is what is said of one
// workload: Unknown, or approximate, with the reason.
//
// The API server should be Kubernetes 1.30 or later.
func Run(ctx context.Context, cfg *rest.Config, opts Options) (*report.Report, error) {
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	client, err := apiserver.ConnectPatiently(cfg, opts.Limiter(), giveUp)
	if err != nil {
		return nil, err
	}
	opts.Selection.Annotations = opts.CompareAnnotations
	pods, err := inventory.Take(ctx, client, opts.Selection)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	identities, asked, sizes, err := opts.around(client, cfg)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	a := New(client, opts, identities, injection.NewHealth(client, cfg))
	a.Admission, a.autoscaling = asked, sizes
	a.Expect(pods.Len())
	if err := a.Run(ctx, pods); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	if err := a.Refused(); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	found := opts.Report(a.results.findings, pods.NotJudged+a.results.gone)
	found.Probes = a.Probed()
	found.DryRunAs = string(identities.Asked())
	if len(opts.Selection.Workloads) == 0 {
		SayOutages(found, a.Outages(ctx))
	}
	found.Notes = append(found.Notes, a.Unread(pods.Unread)...)
	if !opts.Preview.Empty() {
		if err := a.markPreview(ctx, found); err != nil {
			return nil, fmt.Errorf("audit: %w", err)
		}
	}
	a.markCandidate(found)
	return found, nil
}

// Report puts findings together; notJudged numbers the Pods that are in none.
func (o Options) Report(findings []Finding, notJudged int) *report.Report {
	found := report.New(report.DriftReport, time.Now(), items(findings), notJudged)
	for _, path := range o.IgnorePaths {
		found.IgnoredPaths = append(found.IgnoredPaths, path.String())
	}
	if note := undecided(found.Items); note != "" {
		found.Notes = append(found.Notes, note)
	}
	return found
}

// Unread are notes on what could not be read, where that may matter.
func (a *Audit) Unread(pods int) []string {
	notes := []string{a.autoscaling.unread(), a.Admission.unread(), a.Admission.unlabelled(), a.lenders.unread()}
	if pods > 0 {
		notes = append(notes, fmt.Sprintf("Pods that could not be read, and are in no number: %d", pods))
	}
	return slices.DeleteFunc(notes, func(note string) bool { return note == "" })
}

// Workload audits one workload, whole, whatever else the options select, and asks about
// each difference again. Where its JSON was just seen, it is not read again; nil where it
// was not. It returns nil if the workload has no Pods to judge.
func Workload(ctx context.Context, cfg *rest.Config, opts Options, workload inventory.WorkloadRef, seen []byte) (*report.Item, error) {
	opts.Selection = inventory.Selection{Namespace: workload.Namespace, Workloads: []inventory.WorkloadRef{workload}}
	if seen != nil {
		opts.Selection.Seen = map[inventory.WorkloadRef][]byte{workload: seen}
	}
	opts.Thorough = true
	found, err := Run(ctx, cfg, opts)
	if err != nil {
		return nil, err
	}
	for i, item := range found.Items {
		if workload == (inventory.WorkloadRef{Kind: item.Kind, Namespace: item.Namespace, Name: item.Name}) {
			return &found.Items[i], nil
		}
	}
	return nil, nil
}

// Audit is one audit under way. Run makes a whole one; who asks less, and more often, as
// the daemon does, makes its own.
type Audit struct {
	opts     Options
	client   rest.Interface
	injector *injection.Injector
	as       *injection.Identities
	health   *injection.Health
	restless *restless.Ledger
	results  results

	autoscaling *autoscaling
	lenders     lenders

	// Admission is what Pods pass, as far as it was read; another one may be put in its
	// place before the audit runs.
	Admission *Admission

	// Observer is told of each finding at once, and none is kept; nil: all revisions are
	// asked about, and what is found is wanted at the end.
	Observer Observer
}

// Observer has an audit ask less, and is given what it finds at once. Several goroutines
// call its methods at a time.
type Observer interface {
	// Wanted reports whether a revision is to be asked about.
	Wanted(context.Context, inventory.Revision) bool
	// Known returns what is known already of a revision, about which what the finding has
	// as submitted is about to be asked.
	Known(inventory.Revision, Finding) (_ Finding, known bool)
	// Found is given what became of a revision.
	Found(context.Context, inventory.Revision, Finding)
}

// New returns an audit that asks through the client, for these identities.
func New(client rest.Interface, opts Options, as *injection.Identities, health *injection.Health) *Audit {
	if opts.Restless == nil {
		opts.Restless = &restless.Ledger{}
	}
	return &Audit{
		opts: opts, client: client, as: as, health: health,
		injector: injection.New(client, opts.Log),
		restless: opts.Restless, Admission: &Admission{}, autoscaling: &autoscaling{},
		results: results{progress: opts.Progress, compared: opts.Compared},
	}
}

// largeAtOnce is how many bytes of large Pods are compared at once, whoever made
// them. Decoding and comparing takes ten times as many, and more. Other Pods are
// bounded by the number of workers.
const largeAtOnce = 2 << 20

// weight is what a revision takes of that.
func weight(r inventory.Revision) int64 {
	size := r.Size()
	if size <= inventory.Large {
		return 0
	}
	return int64(min(size, largeAtOnce))
}

// Run judges every revision. Templates go from the list that is being read
// straight to a worker, and are forgotten there.
func (a *Audit) Run(ctx context.Context, pods *inventory.Inventory) error {
	if err := a.as.Check(ctx); err != nil {
		return err
	}
	if err := a.judgeAll(ctx, pods); err != nil {
		return err
	}
	return a.judgeDoubted(ctx)
}

func (a *Audit) judgeAll(ctx context.Context, pods *inventory.Inventory) error {
	revisions := make(chan inventory.Revision)
	room := semaphore.NewWeighted(largeAtOnce)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(revisions)
		return pods.Revisions(ctx, func(r inventory.Revision) error {
			// Large ones come last: nothing else waits for them.
			if err := room.Acquire(ctx, weight(r)); err != nil {
				return context.Cause(ctx)
			}
			select {
			case revisions <- r:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	})
	for range max(1, a.opts.Concurrency) {
		group.Go(func() error {
			for r := range revisions {
				if a.Observer != nil && !a.Observer.Wanted(ctx, r) {
					room.Release(weight(r))
					continue
				}
				f, err := a.revision(ctx, r)
				if err != nil {
					return err
				}
				if a.Observer != nil {
					a.Observer.Found(ctx, r, f)
				}
				a.results.add(r, f, a.Observer == nil)
				room.Release(weight(r))
				a.opts.Log.V(1).Info("Judged revision", "namespace", r.Workload.Namespace,
					"workload", r.Workload.Name, "revision", r.Name, "state", f.Revision.State)
			}
			return nil
		})
	}
	return group.Wait()
}

// results collects what the workers find.
type results struct {
	total    int
	progress func(done, total int)
	compared func(Comparison)

	mu        sync.Mutex
	done      int
	findings  []Finding
	gone      int // Pods that ended while they were audited
	probes    int // dry runs that ask about a difference again
	doubted   []doubted
	forbidden *injection.Refusal
	allowed   bool
}

func (r *results) add(of inventory.Revision, f Finding, keep bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done++
	r.gone += f.Gone
	switch {
	case f.Refusal == nil, !f.Refusal.Forbidden:
		r.allowed = true
	default:
		r.forbidden = f.Refusal
	}
	if keep && f.Revision.Pods > 0 {
		r.doubt(of, f)
		f.Submitted, f.Answer, f.Judged, f.Differs, f.foreseen = nil, jsontree.Node{}, nil, nil, nil // for an observer
		r.findings = append(r.findings, f)
	}
	if r.progress != nil {
		r.progress(r.done, r.total)
	}
}

// Judged is how many revisions have been.
func (a *Audit) Judged() int {
	a.results.mu.Lock()
	defer a.results.mu.Unlock()
	return a.results.done
}

// Expect has the progress reckon with so many more.
func (a *Audit) Expect(more int) {
	a.results.mu.Lock()
	defer a.results.mu.Unlock()
	a.results.total = a.results.done + more
}

// Probed is how many dry runs asked about a difference again.
func (a *Audit) Probed() int {
	a.results.mu.Lock()
	defer a.results.mu.Unlock()
	return a.results.probes
}

func (r *results) probe() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.probes++
}

func (r *results) compare(c Comparison) {
	if r.compared == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.compared(c)
}

// Refused is an error if RBAC refused every dry run: then the audit says
// nothing.
func (a *Audit) Refused() error {
	r := &a.results
	if r.forbidden == nil || r.allowed {
		return nil
	}
	return errors.New("create pods (dry run): " + r.forbidden.Reason +
		"; the API server wants the right to create Pods for a dry run, too: " + inventory.AskAsAuditor)
}
