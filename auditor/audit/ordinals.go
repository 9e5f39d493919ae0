package audit

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/kind"
)

func hasOrdinals(r inventory.Revision) bool {
	return r.Owner.Kind == kind.StatefulSet && r.Template != nil
}

// ordinal is the number at the end of a Pod's name.
func ordinal(pod, set string) (int, bool) {
	number, of := strings.CutPrefix(pod, set+"-")
	n, err := strconv.Atoi(number)
	return n, of && err == nil
}

// askOrdinals asks about a second ordinal of a StatefulSet. A fresh Pod has a free one,
// which admission sees.
func (a *Audit) askOrdinals(ctx context.Context, f *Finding, r inventory.Revision, e *expected) (*further, error) {
	o := &further{set: r.Owner.Name, why: "they follow the Pod's ordinal, or its claims, in a way of their own"}
	first, known := ordinal(e.fresh.Get("metadata", "name").String(), o.set)
	if !known {
		return o, nil
	}
	second, err := a.again(ctx, f, r, injection.Ordinal{Further: first - r.Ordinals.Free + 1, Claimant: 1})
	if err != nil || !second.Exists() {
		return o, err
	}
	number, known := ordinal(second.Get("metadata", "name").String(), o.set)
	if !known {
		return o, nil
	}
	o.ordinals = &injection.Ordinals{First: first, Second: number, OfFirst: e.fresh, OfSecond: second}
	expected, err := parse("fresh Pod", o.ordinals.At(number))
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
func (a *Audit) ordinalsOwn(ctx context.Context, f *Finding, r inventory.Revision, e *expected, differing []verdict.Change) ([]verdict.PathPattern, error) {
	own := placesToLeave(differing)
	for probe := 2; probe <= probes && len(own) > 0; probe++ {
		again, err := a.again(ctx, f, r, injection.Ordinal{})
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
