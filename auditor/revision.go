package auditor

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

// revision judges the Pods of one revision. The error is the context's: whatever
// else goes wrong is a state.
func (a *audit) revision(ctx context.Context, r inventory.Revision) (finding, error) {
	f := finding{
		workload: r.Workload, group: r.Group,
		revision: report.Revision{Name: r.Name, Approximate: r.Template == nil || r.Doubt != ""},
		pods:     map[verdict.State]int{},
	}
	if r.Template == nil {
		f.revision.Reason = approximation
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
		f.refusal = refusal
		f.unasked = refusal.State == verdict.Unknown
		f.unjudged(a.opts.ofSidecars(r.Pods, false), refusal.State, refusal.Reason)
	case errors.Is(err, errGone):
		f.gone = len(r.Pods)
	case err != nil:
		f.unjudged(a.opts.ofSidecars(r.Pods, false), verdict.Unknown, err.Error())
	}
	a.markDown(ctx, &f, r)
	if f.revision.State.Drift() {
		f.scope = a.scopeOf(ctx, r, f.submitted)
		if f.scope != (newborn.Scope{}) {
			f.revision.Scope = fmt.Sprintf("%x %s", f.scope.Chain, f.scope.Owner)
		}
	}
	f.also(r.Doubt)
	a.markAsker(ctx, &f, r)
	return f, nil
}

// ask asks for a fresh Pod and compares.
func (a *audit) ask(ctx context.Context, f *finding, r inventory.Revision) error {
	var err error
	if f.as, err = a.as.For(ctx, r.Owner); err != nil {
		f.unasked = true
		return err
	}
	f.revision.AskedAs = f.as.User
	fresh, err := a.fresh(ctx, r, f, injection.Ordinal{})
	if err != nil {
		return err
	}
	return a.judge(ctx, f, r, fresh)
}

// scopeOf returns what the revision's newborn Pods may teach about; the zero Scope where
// nothing is known of webhooks and policies.
func (a *audit) scopeOf(ctx context.Context, r inventory.Revision, submitted []byte) newborn.Scope {
	steps, _ := a.askers.steps(ctx, a.client, r.Workload.Namespace, submitted)
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
func (a *audit) fresh(ctx context.Context, r inventory.Revision, f *finding, from injection.Ordinal) ([]byte, error) {
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
	}
	for attempt := 0; ; attempt++ {
		pod, err := shape(attempt)
		if err == nil && !a.opts.Preview.Empty() {
			pod, err = a.opts.Preview.With(pod)
		}
		if err != nil {
			return nil, err
		}
		f.submitted = pod
		if a.observer != nil && attempt == 0 {
			if known, is := a.observer.Known(r, *f); is {
				*f = known
				return nil, errKnown
			}
		}
		fresh, err := a.injector.Inject(ctx, r.Workload.Namespace, pod, f.as)
		refusal, _ := errors.AsType[*injection.Refusal](err)
		a.asked(refusal)
		if refusal == nil || !refusal.Exists || attempt == nameAttempts-1 {
			return fresh, err
		}
	}
}

// asked counts a dry run.
func (a *audit) asked(refusal *injection.Refusal) {
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
func (a *audit) live(ctx context.Context, namespace string, pods []inventory.Pod) (jsontree.Node, error) {
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
