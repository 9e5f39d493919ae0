package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/restless"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

const (
	// probes is how often a fresh injection is asked for in all before a
	// difference is believed: an injector that flips a coin agrees with itself
	// twice in half of the cases, and five times in one of sixteen.
	probes = 5
	// probesOfOrder is the same at a place that varies in other workloads, and where a list
	// has but come in another order, as it does where an injector writes a map: two items
	// come in one order five times too often, in a Go map seven times in eight.
	probesOfOrder = 12
)

// varying is what is known, while a revision is judged, of what varies in it.
type varying struct {
	scope restless.Scope
	known *verdict.Varying // own and others'; nil: nothing has differed yet
	own   *verdict.Varying // what its own fresh injections have shown
	// ordersDoubted: they agree, but an order that comes of a map may do so for long.
	ordersDoubted bool
	asked         int // how many of those there were
}

// expectVarying finds out what is known of the revision, where a Pod differs.
func (a *Audit) expectVarying(ctx context.Context, f *Finding, r inventory.Revision, e *expected) {
	if e.varying.known != nil {
		return
	}
	steps, _ := a.Admission.Steps(ctx, a.client, r.Workload.Namespace, f.Submitted)
	e.varying = varying{
		scope: restless.Scope{Namespace: r.Workload.Namespace, Chain: restless.ChainOf(steps)},
		own:   &verdict.Varying{}, asked: 1,
	}
	e.varying.known = a.restless.Of(e.varying.scope)
}

// probe asks again about a revision into which something is injected and whose Pods differ from the fresh one,
// until fresh ones differ among themselves, or have agreed often enough. It reports
// whether they differ: then the Pods are to be judged anew, by what was learned.
func (a *Audit) probe(ctx context.Context, f *Finding, r inventory.Revision, e *expected) (learned bool, err error) {
	if !a.doubtful(f, r, e) {
		return false, nil
	}
	most := probes
	if len(f.reordered) > 0 || slices.ContainsFunc(verdict.Stable(f.Revision.Changes), func(c verdict.Change) bool { return a.restless.Has(e.varying.scope, c) }) {
		most = probesOfOrder
	}
	for e.varying.asked < most {
		e.varying.asked++
		a.results.probe()
		again, err := a.again(ctx, f, r, injection.Ordinal{})
		if err != nil || !again.Exists() {
			e.varying.asked = probesOfOrder // the first answer is the one there is
			return false, err
		}
		in, err := a.input(ctx, r, e.fresh, again, e.template)
		if err != nil {
			return false, err
		}
		differ, err := e.varying.own.Learn(in)
		if err != nil {
			return false, err
		}
		if differ {
			a.restless.Learn(e.varying.scope, e.varying.own)
			e.varying.known = a.restless.Of(e.varying.scope).With(e.varying.own)
			return true, nil
		}
	}
	if len(f.reordered) > 0 && !e.varying.ordersDoubted {
		e.varying.ordersDoubted = true
		return true, nil
	}
	for _, c := range verdict.Stable(f.Revision.Changes) {
		a.restless.Asked(e.varying.scope, r.Workload.Name, c)
	}
	return false, nil
}

// doubtful reports whether a difference of the revision is to be asked about again. What
// only takes away always is: so it looks, too, where an injector fails open now and then.
func (a *Audit) doubtful(f *Finding, r inventory.Revision, e *expected) bool {
	changes := verdict.Stable(f.Revision.Changes)
	switch {
	case len(changes) == 0 || len(f.Revision.Sidecars) == 0 && !f.Revision.Injected:
		return false
	case a.opts.Thorough, f.Revision.MoreChanges > 0, len(f.Revision.Loses) > 0, verdict.TakesAway(changes, f.Revision.Loses):
		return true
	}
	f.Revision.Told = !slices.ContainsFunc(changes, func(c verdict.Change) bool { return !a.restless.Told(e.varying.scope, r.Workload.Name, c) })
	return !f.Revision.Told
}

// togetherUnstable calls the revision's Pods unstable that are as the fresh one by chance,
// where others are not: another dry run would tell others apart.
func (f *Finding) togetherUnstable() {
	if f.Pods[verdict.Unstable] == 0 {
		return
	}
	together := func(state verdict.State) verdict.State {
		if state == verdict.InSync {
			return verdict.Unstable
		}
		return state
	}
	for alike, state := range f.Judged {
		f.Judged[alike] = together(state)
	}
	f.Restate(together)
}

// sayVarying says of a revision of which nothing else differs than what varies that it
// does.
func (f *Finding) sayVarying() {
	if f.Revision.State != verdict.Unstable {
		return
	}
	reason := fmt.Sprintf("fresh injections of the same Pod differ among themselves at %s; --ignore-path leaves fields out", strings.Join(f.Revision.Varies, ", "))
	if !f.Restless {
		reason = fmt.Sprintf("differs in nothing but the order of a list, at %s: what an injector writes from a map comes in another one now and then", strings.Join(f.reordered, ", "))
	}
	f.Also(verdict.Cut(reason, verdict.MaxReason))
}

// late reports whether differences were believed, as others were asked about them, at a
// place that was seen to vary since. Once is often enough to ask again for that.
func (f Finding) late(ledger *restless.Ledger) bool {
	return f.Revision.Told && !f.Again && f.Revision.State.Drift() &&
		slices.ContainsFunc(verdict.Stable(f.Revision.Changes), func(c verdict.Change) bool { return ledger.Has(f.Varies, c) })
}

// Behind reports whether more is known by now than when the revision was judged.
func (f Finding) Behind(ledger *restless.Ledger) bool { return f.late(ledger) || f.knownSince(ledger) }

// knownSince reports whether an order that was in doubt was seen to vary since.
func (f Finding) knownSince(ledger *restless.Ledger) bool {
	if !f.doubted || f.Again {
		return false
	}
	known := ledger.Of(f.Varies)
	return slices.ContainsFunc(f.Revision.Changes, func(c verdict.Change) bool {
		return c.Unstable && slices.Contains(f.reordered, c.Place()) && known.Has(c)
	})
}

// doubted is a revision of which an order was in doubt, or that was believed as others
// were, and where its finding is.
type doubted struct {
	revision inventory.Revision
	at       int
}

// maxDoubted bounds the templates that are kept until the end of an audit.
const maxDoubted = 200

// doubt keeps a revision, whose finding comes next, to be judged again. Hold mu.
func (r *results) doubt(of inventory.Revision, f Finding) {
	if (f.doubted || f.Revision.Told) && len(r.doubted) < maxDoubted && r.compared == nil && weight(of) == 0 {
		of.Pods = slices.Clone(of.Pods)
		for i := range of.Pods {
			of.Pods[i].JSON = nil // it is read again, should it be needed
		}
		r.doubted = append(r.doubted, doubted{of, len(r.findings)})
	}
}

// judgeDoubted judges those revisions again of which more is known by now.
func (a *Audit) judgeDoubted(ctx context.Context) error {
	for _, d := range a.results.doubted {
		if !a.results.findings[d.at].Behind(a.restless) {
			continue
		}
		f, err := a.revision(ctx, d.revision)
		if err != nil {
			return err
		}
		if f.Revision.Pods > 0 {
			a.results.findings[d.at] = f
		}
	}
	return nil
}

// Restate gives Pods other states, in a copy.
func (f *Finding) Restate(now func(verdict.State) verdict.State) {
	states, members := map[verdict.State]int{}, map[verdict.State][]report.PodRef{}
	for state, n := range f.Pods {
		states[now(state)] += n
		members[now(state)] = append(members[now(state)], f.Revision.Members[state]...)
	}
	f.Pods, f.Revision.Members = states, members
	f.Revision.State = verdict.WorstOf(states)
}

// PlacesOf names the places of changes, each once.
func PlacesOf(changes []verdict.Change) []string {
	var places []string
	for _, c := range changes {
		places = append(places, c.Place())
	}
	return slices.Compact(places)
}
