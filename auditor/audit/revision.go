package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/newborn"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// approximation is the reason beside a verdict on a reconstructed Pod.
const approximation = "compared with a Pod reconstructed from the fields that its creator owns, as no template is known"

// revision judges the Pods of one revision, and says its labels. The error is the context's:
// whatever else goes wrong is a state.
func (a *Audit) revision(ctx context.Context, r inventory.Revision) (Finding, error) {
	f, err := a.judged(ctx, r)
	if err == nil {
		f.labels = a.labelsOf(ctx, r, f.Submitted)
	}
	return f, err
}

func (a *Audit) judged(ctx context.Context, r inventory.Revision) (Finding, error) {
	f := Finding{
		Workload: r.Workload, Group: r.Group,
		Revision: report.Revision{Name: r.Name, Approximate: r.Template == nil || r.Doubt != ""},
		Pods:     map[verdict.State]int{},
	}
	if r.Template == nil {
		f.Revision.Reason = approximation
	}
	err := r.Broken
	if err == nil {
		err = a.ask(ctx, &f, r)
	}
	switch refusal, refused := errors.AsType[*injection.Refusal](err); {
	case ctx.Err() != nil:
		return f, context.Cause(ctx)
	case errors.Is(err, errKnown):
		return f, nil
	case refused:
		f.Refusal = refusal
		f.foresee(refusal)
		f.Unasked = refusal.State == verdict.Unknown
		f.Unjudged(a.opts.OfSidecars(r.Pods, false), refusal.State, refusal.Reason)
	case errors.Is(err, errGone):
		f.Gone = len(r.Pods)
	case err != nil:
		f.Unjudged(a.opts.OfSidecars(r.Pods, false), verdict.Unknown, err.Error())
	}
	a.markDown(ctx, &f, r)
	if f.Revision.State.Drift() {
		f.Scope = a.ScopeOf(ctx, r, f.Submitted)
		if f.Scope != (newborn.Scope{}) {
			f.Revision.Scope = fmt.Sprintf("%x %s", f.Scope.Chain, f.Scope.Owner)
		}
	}
	f.Also(r.Doubt)
	a.nameMutators(ctx, &f, r)
	a.markAsker(ctx, &f, r)
	return f, nil
}

// ask asks for a fresh Pod and compares.
func (a *Audit) ask(ctx context.Context, f *Finding, r inventory.Revision) error {
	var err error
	if f.AskedAs, err = a.as.For(ctx, r.Owner); err != nil {
		f.Unasked = true
		return err
	}
	f.Revision.AskedAs = f.AskedAs.User
	fresh, err := a.fresh(ctx, r, f, injection.Ordinal{})
	if err != nil {
		return err
	}
	return a.judge(ctx, f, r, fresh)
}

// ScopeOf returns what the revision's newborn Pods may teach about; the zero Scope where
// nothing is known of webhooks and policies.
func (a *Audit) ScopeOf(ctx context.Context, r inventory.Revision, submitted []byte) newborn.Scope {
	steps, _ := a.Admission.Steps(ctx, a.client, r.Workload.Namespace, submitted)
	if steps == nil || r.Template == nil {
		return newborn.Scope{}
	}
	return newborn.Scope{Namespace: r.Workload.Namespace, Owner: r.Owner.Kind + "." + r.Owner.Group(), Chain: newborn.ChainOf(steps)}
}

// nameAttempts is how many names are tried for one that is free: a StatefulSet
// that is just scaled down has Pods beyond those that it wants.
const nameAttempts = 5

// fresh returns what admission would make of the revision's Pods now, and puts
// what it was asked about into the finding; for a StatefulSet's, at the first
// ordinal from there on that is free.
func (a *Audit) fresh(ctx context.Context, r inventory.Revision, f *Finding, from injection.Ordinal) ([]byte, error) {
	shape := func(attempt int) ([]byte, error) {
		at := from
		at.Further += attempt
		return injection.Shape(r, at)
	}
	if r.Template == nil {
		live, err := a.live(ctx, r.Workload.Namespace, r.Pods)
		if err != nil {
			return nil, err
		}
		shape = func(attempt int) ([]byte, error) { return injection.Reconstruct(live, r.Owner, attempt) }
		f.lost = func() string { return injection.Lost(live) }
	}
	for attempt := 0; ; attempt++ {
		pod, err := shape(attempt)
		if err == nil && !a.opts.Preview.Empty() {
			pod, err = a.opts.Preview.With(pod)
		}
		if err != nil {
			return nil, err
		}
		f.Submitted = pod
		if a.Observer != nil && attempt == 0 {
			if known, is := a.Observer.Known(r, *f); is {
				*f = known
				return nil, errKnown
			}
		}
		fresh, err := a.inject(ctx, r, f, pod)
		refusal, _ := errors.AsType[*injection.Refusal](err)
		if refusal == nil || !refusal.Exists || attempt == nameAttempts-1 {
			return fresh, err
		}
	}
}

// asked counts a dry run.
func (a *Audit) asked(refusal *injection.Refusal) {
	if a.opts.Asked == nil {
		return
	}
	switch {
	case refusal == nil:
		a.opts.Asked("answered")
	case refusal.State == verdict.Blocked:
		a.opts.Asked("refused")
	default:
		a.opts.Asked("unknown")
	}
}

// errKnown is that an observer knows the answer.
var errKnown = errors.New("the answer is known")

// errGone is that all Pods ended while they were audited.
var errGone = errors.New("the Pods have gone")

// live returns one of the Pods, which are alike: as it was listed or, where
// that was not kept, as it is now, if it still is the Pod that was listed.
func (a *Audit) live(ctx context.Context, namespace string, pods []inventory.Pod) (jsontree.Node, error) {
	if at := slices.IndexFunc(pods, func(p inventory.Pod) bool { return p.JSON != nil }); at >= 0 {
		return parse("Pod "+namespace+"/"+pods[at].Name, pods[at].JSON)
	}
	for _, pod := range pods {
		result := a.client.Get().AbsPath("/api/v1").Namespace(namespace).Resource("pods").Name(pod.Name).Do(ctx)
		err := result.Error()
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return jsontree.Node{}, fmt.Errorf("get Pod %s/%s: %w", namespace, pod.Name, err)
		}
		raw, err := result.Raw()
		if err != nil {
			return jsontree.Node{}, err
		}
		root, err := parse("Pod "+namespace+"/"+pod.Name, raw)
		if err != nil {
			return jsontree.Node{}, err
		}
		if root.Get("metadata", "uid").String() == pod.UID {
			return root, nil
		}
	}
	return jsontree.Node{}, errGone
}

func parse(what string, document []byte) (jsontree.Node, error) {
	root, err := jsontree.Parse(document)
	if err != nil {
		return jsontree.Node{}, fmt.Errorf("%s: %w", what, err)
	}
	return root, nil
}

func refs(pods []inventory.Pod) []report.PodRef {
	list := make([]report.PodRef, len(pods))
	for i, pod := range pods {
		list[i] = report.PodRef{Name: pod.Name, UID: pod.UID}
	}
	return list
}
