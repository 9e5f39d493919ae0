package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// expected is what a revision's Pods are compared with.
type expected struct {
	fresh, template jsontree.Node // no template: the zero Node
	digest          verdict.Digest
	further         *further // nil: nothing has differed yet
	varying         varying
	compared        []Comparison // only where somebody is given them
}

func expect(r inventory.Revision, fresh []byte, annotations []string) (e expected, err error) {
	if e.fresh, err = parse("fresh Pod", fresh); err != nil {
		return e, err
	}
	if r.Template != nil {
		if e.template, err = parse("Pod template", r.Template); err != nil {
			return e, err
		}
	}
	if e.digest, err = verdict.DigestOf(e.fresh, annotations...); err != nil {
		return e, fmt.Errorf("fresh Pod: %w", err)
	}
	return e, nil
}

// judge compares the Pods with the fresh one: a Pod of each digest, as Pods of
// one digest are alike.
func (a *Audit) judge(ctx context.Context, f *Finding, r inventory.Revision, fresh []byte) error {
	e, err := expect(r, fresh, a.opts.CompareAnnotations)
	if err != nil {
		return err
	}
	if f.Revision.Fresh, err = stampOf(e.fresh, a.opts.DeclaredSidecars); err != nil {
		return fmt.Errorf("fresh Pod: %w", err)
	}
	f.Named = a.hasNamed(e.fresh)
	f.Answer, f.Fresh, f.Answered = e.fresh, e.digest, inventory.CreatedAt(e.fresh)
	var judged []inventory.Pod
	for again := true; again; {
		if judged, err = a.judgeOnce(ctx, f, r, &e); err != nil {
			return err
		}
		if again, err = a.probe(ctx, f, r, &e); err != nil {
			return err
		}
	}
	for _, c := range e.compared {
		a.results.compare(c)
	}
	if err := a.judgeToday(ctx, f, r, &e); err != nil {
		return err
	}
	f.Revision.Stamps = stamps(judged)
	f.running(judged)
	f.Varies = e.varying.scope
	f.doubted = slices.ContainsFunc(f.Revision.Changes, func(c verdict.Change) bool { return c.Unstable && slices.Contains(f.reordered, c.Place()) })
	if !e.varying.own.Empty() {
		f.Restless = true
		f.Revision.Varies = verdict.BoundNames(unionOfNames(f.Revision.Varies, e.varying.own.Places()))
	}
	f.togetherUnstable()
	f.sayVarying()
	f.Also(e.further.said())
	f.Revision.Fresh, err = e.further.stamp(f.Revision.Fresh, a.opts.DeclaredSidecars)
	if err != nil {
		return fmt.Errorf("fresh Pod: %w", err)
	}
	return nil
}

// judgeOnce compares by what is known up to now of what varies, and returns the Pods that
// were compared.
func (a *Audit) judgeOnce(ctx context.Context, f *Finding, r inventory.Revision, e *expected) ([]inventory.Pod, error) {
	f.begin()
	e.compared = nil
	judged := []inventory.Pod{}
	for _, alike := range inventory.Alikes(a.opts.OfSidecars(r.Pods, f.Named)) {
		c, err := a.compare(ctx, f, r, alike, e)
		if errors.Is(err, errGone) {
			f.Gone += len(alike)
			continue
		}
		if err != nil {
			return nil, err
		}
		if a.results.compared != nil {
			e.compared = append(e.compared, c)
		}
		f.add(c.Verdict, alike)
		f.Judged[alike[0].Alike] = c.Verdict.State
		if err := a.takeSpecs(f, c, alike[0].Alike); err != nil {
			return nil, fmt.Errorf("versions: %w", err)
		}
		if c.Verdict.State.Drift() && c.Verdict.More == 0 {
			f.Differs[alike[0].Alike] = verdict.Stable(c.Verdict.Changes)
		}
		judged = append(judged, alike...)
	}
	f.Revision.State = verdict.WorstOf(f.Pods)
	return judged, nil
}

func (a *Audit) compare(ctx context.Context, f *Finding, r inventory.Revision, alike []inventory.Pod, e *expected) (Comparison, error) {
	c := Comparison{
		Workload: r.Workload, Revision: r.Name, Approximate: r.Template == nil, Pods: refs(alike), Fresh: e.fresh, Template: e.template,
	}
	if alike[0].Digest == e.digest {
		var err error
		c.Verdict, err = verdict.Unchanged(e.fresh, e.template, a.opts.DeclaredSidecars)
		if err == nil && a.opts.Compared != nil && alike[0].JSON != nil {
			c.Live, err = parse("Pod "+alike[0].Name, alike[0].JSON)
		}
		if err == nil && c.Live.Exists() {
			c.Verdict.Metadata, c.Verdict.MoreMetadata = verdict.MetadataOf(verdict.Input{
				Live: c.Live, Fresh: c.Fresh, Template: c.Template, Annotations: a.opts.CompareAnnotations,
			})
		}
		return c, err
	}
	var err error
	if c.Live, err = a.live(ctx, r.Workload.Namespace, alike); err != nil {
		return c, err
	}
	a.expectVarying(ctx, f, r, e)
	differ := func(fresh jsontree.Node, left ...verdict.PathPattern) (verdict.Verdict, error) {
		in, err := a.input(ctx, r, c.Live, fresh, e.template, left...)
		if err != nil {
			return verdict.Verdict{}, err
		}
		in.Varying, in.OrdersDoubted = e.varying.known, e.varying.ordersDoubted
		return a.judgePlaced(ctx, r.Workload.Namespace, in)
	}
	c.Verdict, err = differ(e.fresh)
	if err != nil || len(c.Verdict.Changes) == 0 {
		return c, err
	}
	if e.further == nil {
		if e.further, err = a.askFurther(ctx, f, r, e); err != nil {
			return c, err
		}
	}
	if e.further.tellsNothing() {
		return c, nil
	}
	if c.Fresh, err = e.further.at(alike[0].Name, e.fresh); err != nil {
		return c, err
	}
	c.Verdict, err = differ(c.Fresh, e.further.left...)
	if padded := paddedIn(c.Verdict.Changes); err == nil && e.further.ordinals != nil && len(padded) > 0 {
		c.Verdict, err = differ(c.Fresh, slices.Concat(e.further.left, padded)...)
	}
	return c, err
}
