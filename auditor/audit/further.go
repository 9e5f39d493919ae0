package audit

import (
	"context"
	"errors"
	"fmt"

	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/newborn"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/fingerprint"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// further is what another answer tells of places where a Pod differs from the first one
// and need not: it is asked for once a revision, where something differs.
type further struct {
	set string // a StatefulSet's name
	// ordinals are the answers about two; nil where there are none.
	ordinals *injection.Ordinals
	// left are places that are not compared, and why.
	left []verdict.PathPattern
	why  string
}

// askFurther asks what the revision's kind calls for.
func (a *Audit) askFurther(ctx context.Context, f *Finding, r inventory.Revision, e *expected) (*further, error) {
	switch {
	case r.Template == nil:
		return a.askTwice(ctx, r, f, e)
	case hasOrdinals(r):
		return a.askOrdinals(ctx, f, r, e)
	}
	return &further{}, nil
}

func (o *further) tellsNothing() bool { return o.ordinals == nil && len(o.left) == 0 }

// at returns what a live Pod is to be compared with.
func (o *further) at(pod string, fresh jsontree.Node) (jsontree.Node, error) {
	n, known := ordinal(pod, o.set)
	if o.ordinals == nil || !known {
		return fresh, nil
	}
	return parse("fresh Pod", o.ordinals.At(n))
}

// stamp is the fresh stamp, of a StatefulSet that of ordinal 0: that of a free ordinal,
// where it follows from that, would be another one after each scaling.
func (o *further) stamp(fresh string, names []string) (string, error) {
	if o == nil || o.ordinals == nil {
		return fresh, nil
	}
	pod, err := parse("fresh Pod", o.ordinals.At(0))
	if err != nil {
		return "", err
	}
	injected, err := fingerprint.Of(pod, names...)
	return injected.Stamp, err
}

// paddedIn are the places that differ in nothing but leading zeros of numbers: ordinals
// of a fixed width, which two answers of that width do not show.
func paddedIn(changes []verdict.Change) []verdict.PathPattern {
	var padded []verdict.PathPattern
	for _, c := range changes {
		if c.From != nil && c.To != nil && injection.EqualButZeros(c.From, c.To) {
			padded = append(padded, verdict.PathPattern{Part: c.Part, Path: c.Path})
		}
	}
	return padded
}

// said is what people are told of places that are not compared; empty if there are
// none.
func (o *further) said() string {
	if o == nil || len(o.left) == 0 {
		return ""
	}
	places := make([]string, len(o.left))
	for i, p := range o.left {
		places[i] = verdict.Change{Part: p.Part, Path: p.Path}.Place()
	}
	return verdict.Cut(fmt.Sprintf("not compared, as %s: %s", o.why, newborn.Enumerated(places)), verdict.MaxReason/2)
}

func placesToLeave(changes []verdict.Change) []verdict.PathPattern {
	places := make([]verdict.PathPattern, len(changes))
	for i, c := range changes {
		places[i] = verdict.PathPattern{Part: c.Part, Path: c.Path}
	}
	return places
}

// again asks once more, and for nobody but this; an answer that does not come is the
// zero Node.
func (a *Audit) again(ctx context.Context, f *Finding, r inventory.Revision, at injection.Ordinal) (jsontree.Node, error) {
	asked := f.Submitted
	defer func() { f.Submitted = asked }()
	fresh, err := a.fresh(ctx, r, f, at)
	return answered(fresh, err)
}

func answered(fresh []byte, err error) (jsontree.Node, error) {
	if _, refused := errors.AsType[*injection.Refusal](err); refused {
		return jsontree.Node{}, nil
	}
	if err != nil {
		return jsontree.Node{}, err
	}
	return parse("fresh Pod", fresh)
}

// askTwice submits the answer about a Pod without a template once more: its creator's
// fields were submitted as mutators left them, and some of these add to what there is
// (JAVA_TOOL_OPTIONS), each time again. What changes then is no difference.
func (a *Audit) askTwice(ctx context.Context, r inventory.Revision, f *Finding, e *expected) (*further, error) {
	o := &further{why: "admission changes them again each time, and what they were before is not known"}
	pod, err := injection.Reconstruct(e.fresh, r.Owner, 0)
	if err != nil {
		return o, nil //nolint:nilerr // nothing is known of what was submitted
	}
	fresh, err := a.inject(ctx, r, f, pod)
	second, err := answered(fresh, err)
	if err != nil || !second.Exists() {
		return o, err
	}
	v, err := a.differ(ctx, r, e.fresh, second, e.template)
	o.left = placesToLeave(v.Changes)
	return o, err
}
