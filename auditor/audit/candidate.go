package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// Candidate is the cluster as it might be, with something else in the place of one of its
// webhooks or policies. Its methods are called concurrently.
type Candidate interface {
	// Future returns what admission would make of a Pod then. The error is a
	// *[injection.Refusal], unless the context is done: Unknown where nothing can be said.
	Future(context.Context, Asked) (Future, error)
	// Describe says in a report's Preview, which is not nil, what it is about, and in its Notes
	// what a reader must know of all.
	Describe(*report.Report)
}

// Asked is a question about a Pod, and what admission makes of it today.
type Asked struct {
	Namespace string
	Submitted []byte
	// Answer is the dry run's; nil where it was refused.
	Answer  []byte
	Refusal *injection.Refusal
	// As is who the dry run was made as, and Controller who creates such Pods; zero where
	// that is whoever audits, or nobody who is known.
	As, Controller injection.Identity
	// Inject makes another dry run as the same, in the same namespace.
	Inject func(ctx context.Context, pod []byte) ([]byte, error)
}

// Future is what admission would make of a Pod.
type Future struct {
	Pod []byte
	// Again asks once more what would be made of the same Pod; not nil.
	Again func(context.Context) ([]byte, error)
	// Note says what a reader must know of it; empty: nothing.
	Note string
}

// foreseen is what was asked of a candidate about a revision.
type foreseen struct {
	submitted []byte
	today     []byte // nil: refused
	again     func(context.Context) ([]byte, error)
}

// inject makes a dry run of a Pod, and asks the candidate, if there is one, what would be
// made of it instead.
func (a *Audit) inject(ctx context.Context, r inventory.Revision, f *Finding, pod []byte) ([]byte, error) {
	if f.foreseen != nil && f.foreseen.again != nil && bytes.Equal(f.foreseen.submitted, pod) {
		return f.foreseen.again(ctx)
	}
	inject := func(ctx context.Context, pod []byte) ([]byte, error) {
		answer, err := a.injector.Inject(ctx, r.Workload.Namespace, pod, f.AskedAs)
		refusal, _ := errors.AsType[*injection.Refusal](err)
		if refusal != nil && refusal.Invalid && f.lost != nil {
			refusal = unlessLost(refusal, f.lost())
			err = refusal
		}
		a.asked(refusal)
		return answer, err
	}
	answer, err := inject(ctx, pod)
	if a.opts.Candidate == nil || ctx.Err() != nil {
		return answer, err
	}
	refusal, _ := errors.AsType[*injection.Refusal](err)
	if refusal != nil && refusal.State != verdict.Blocked {
		return nil, err
	}
	future, err := a.opts.Candidate.Future(ctx, Asked{
		Namespace: r.Workload.Namespace, Submitted: pod, Answer: answer, Refusal: refusal,
		As: f.AskedAs, Controller: a.as.Controller(ctx, r.Owner), Inject: inject,
	})
	if f.foreseen == nil {
		f.foreseen = &foreseen{submitted: pod, today: answer, again: future.Again}
		f.Also(future.Note)
	}
	return future.Pod, err
}

// unlessLost is a refusal that means nothing where the Pod that was asked about lacks what its
// creator submitted.
func unlessLost(refusal *injection.Refusal, field string) *injection.Refusal {
	if field == "" {
		return refusal
	}
	return &injection.Refusal{State: verdict.Unknown, Reason: verdict.Cut(fmt.Sprintf(
		"admission has replaced %s, which its creator submitted, and what that was is not known; without it: %s", field, refusal.Reason), verdict.MaxReason)}
}

// judgeToday compares what admission makes of the revision's Pods today with what it would
// with the candidate, whatever its live Pods are like.
func (a *Audit) judgeToday(ctx context.Context, f *Finding, r inventory.Revision, e *expected) error {
	if f.foreseen == nil {
		return nil
	}
	if f.foreseen.today == nil {
		f.Revision.Candidate = &report.Candidate{State: verdict.InSync, Reason: "today its Pods are refused, and with the candidate they would not be"}
		return nil
	}
	today, err := parse("fresh Pod of today", f.foreseen.today)
	if err != nil {
		return err
	}
	digest, err := verdict.DigestOf(today, a.opts.CompareAnnotations...)
	if err != nil {
		return fmt.Errorf("fresh Pod of today: %w", err)
	}
	var v verdict.Verdict
	if digest == e.digest {
		v, err = verdict.Unchanged(e.fresh, e.template, a.opts.DeclaredSidecars)
	} else {
		v, err = a.judgeBeside(ctx, r, today, e)
	}
	if err != nil {
		return err
	}
	f.Revision.Candidate = &report.Candidate{
		State: v.State, Changes: v.Changes, MoreChanges: v.More, Sidecars: v.Sidecars, Loses: v.Loses,
	}
	return nil
}

func (a *Audit) judgeBeside(ctx context.Context, r inventory.Revision, today jsontree.Node, e *expected) (verdict.Verdict, error) {
	in, err := a.input(ctx, r, today, e.fresh, e.template)
	if err != nil {
		return verdict.Verdict{}, err
	}
	in.Varying = e.varying.known
	return a.judgePlaced(ctx, r.Workload.Namespace, in)
}

// foresee says what a refusal means of the candidate: it is its own where today's Pods are
// not refused.
func (f *Finding) foresee(refusal *injection.Refusal) {
	switch {
	case f.foreseen == nil:
	case refusal.State == verdict.Blocked && f.foreseen.today == nil:
		f.Revision.Candidate = &report.Candidate{State: verdict.InSync, Reason: "its Pods are refused today, too"}
	default:
		f.Revision.Candidate = &report.Candidate{State: refusal.State, Reason: refusal.Reason}
	}
}

// markCandidate says in the report that it is about a candidate.
func (a *Audit) markCandidate(found *report.Report) {
	if a.opts.Candidate == nil {
		return
	}
	if found.Preview == nil {
		found.Preview = &report.Preview{}
	}
	a.opts.Candidate.Describe(found)
	found.Foresee()
}
