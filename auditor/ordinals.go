package auditor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/jsontree"
)

// ordinals are what is known of how a StatefulSet's fresh Pods follow their ordinals.
// A fresh Pod has a free one, which admission sees.
type ordinals struct {
	set string
	// answers of two ordinals; nil where the second could not be asked about, or is
	// no other.
	answers *injection.Ordinals
	// left are places that follow the ordinal in a way that is not known: a hash of
	// it, say.
	left []verdict.PathPattern
}

func hasOrdinals(r inventory.Revision) bool {
	return r.Owner.Kind == "StatefulSet" && r.Template != nil
}

// ordinal is the number at the end of a Pod's name.
func ordinal(pod, set string) (int, bool) {
	number, of := strings.CutPrefix(pod, set+"-")
	n, err := strconv.Atoi(number)
	return n, of && err == nil
}

// askOrdinals asks about a second ordinal.
func (a *audit) askOrdinals(ctx context.Context, f *finding, r inventory.Revision, e *expected) (*ordinals, error) {
	o := &ordinals{set: r.Owner.Name}
	first, known := ordinal(e.fresh.Get("metadata", "name").String(), o.set)
	if !known {
		return o, nil
	}
	second, err := a.again(ctx, f, r, first-r.Ordinals.Free+1)
	if err != nil || !second.Exists() {
		return o, err
	}
	number, known := ordinal(second.Get("metadata", "name").String(), o.set)
	if !known {
		return o, nil
	}
	o.answers = &injection.Ordinals{First: first, Second: number, OfFirst: e.fresh, OfSecond: second}
	expected, err := parse("fresh Pod", o.answers.At(number))
	if err != nil {
		return o, err
	}
	v, err := a.differ(ctx, r, expected, second, e.template)
	if err != nil || len(v.Changes) == 0 {
		return o, err
	}
	o.left, err = a.ordinalsOwn(ctx, f, r, e, v.Changes)
	return o, err
}

// ordinalsOwn returns those of the places that stay as they are while the ordinal
// does: what changes by itself follows no ordinal.
func (a *audit) ordinalsOwn(ctx context.Context, f *finding, r inventory.Revision, e *expected, differing []verdict.Change) ([]verdict.PathPattern, error) {
	var own []verdict.PathPattern
	for _, c := range differing {
		own = append(own, verdict.PathPattern{Part: c.Part, Path: c.Path})
	}
	for probe := 2; probe <= probes && len(own) > 0; probe++ {
		again, err := a.again(ctx, f, r, 0)
		if err != nil || !again.Exists() {
			return own, err
		}
		v, err := a.differ(ctx, r, e.fresh, again, e.template)
		if err != nil {
			return nil, err
		}
		own = slices.DeleteFunc(own, func(p verdict.PathPattern) bool {
			return slices.ContainsFunc(v.Changes, func(c verdict.Change) bool { return c.Part == p.Part && c.Path == p.Path })
		})
	}
	return own, nil
}

// again asks once more, and for nobody but this; an answer that does not come is the
// zero Node.
func (a *audit) again(ctx context.Context, f *finding, r inventory.Revision, further int) (jsontree.Node, error) {
	asked := f.submitted
	defer func() { f.submitted = asked }()
	fresh, err := a.fresh(ctx, r, f, further)
	if _, refused := errors.AsType[*injection.Refusal](err); refused {
		return jsontree.Node{}, nil
	}
	if err != nil {
		return jsontree.Node{}, err
	}
	return parse("fresh Pod", fresh)
}

// at returns what a live Pod is to be compared with.
func (o *ordinals) at(pod string, fresh jsontree.Node) (jsontree.Node, error) {
	n, known := ordinal(pod, o.set)
	if o.answers == nil || !known {
		return fresh, nil
	}
	return parse("fresh Pod", o.answers.At(n))
}

// said is what people are told of places that are not compared; empty if there are
// none.
func (o *ordinals) said() string {
	if o == nil || len(o.left) == 0 {
		return ""
	}
	places := make([]string, len(o.left))
	for i, p := range o.left {
		places[i] = verdict.Change{Part: p.Part, Path: p.Path}.Place()
	}
	return fmt.Sprintf("not compared, as they follow the Pod's ordinal in a way of their own: %s", strings.Join(places, ", "))
}
