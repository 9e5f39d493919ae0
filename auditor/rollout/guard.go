package rollout

import (
	"fmt"
	"strings"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/internal/kind"
)

// OptOutAnnotation with the value "disabled", on a workload or on its
// namespace, keeps it from being rolled out.
const OptOutAnnotation = "sidecar-drift.io/rollout"

// guard says why a workload must not be rolled out now and what to do about it,
// or proceed.
type guard func(facts, Options) decision

// guards, the most fundamental reason first.
var guards = []guard{
	guardDeletion, guardOptOut, guardMemory, guardStrategy, guardOwner, guardPaused, guardRevision, guardPartition, guardEmpty,
	guardLost, guardUnsettled, guardUnfinished, guardBudgets, guardDowntime, guardBeside, guardPatience,
}

// check applies every guard to a workload that choose has chosen.
func check(f facts, o Options) decision {
	all := guards
	if o.Strategy == Resize {
		all = guardsOfResize
	}
	for _, g := range all {
		if d := g(f, o); d != proceed {
			return d
		}
	}
	return proceed
}

func guardDeletion(f facts, _ Options) decision {
	switch {
	case f.namespace.terminating:
		return skip("namespace %s is terminating: no Pod can be created in it", f.namespace.name)
	case f.deleting:
		return skip("is being deleted")
	}
	return proceed
}

func guardOptOut(f facts, _ Options) decision {
	switch {
	case f.annotations[OptOutAnnotation] == "disabled":
		return skip("opted out by its annotation %s: disabled", OptOutAnnotation)
	case f.namespace.annotations[OptOutAnnotation] == "disabled":
		return skip("opted out by the annotation %s: disabled of namespace %s", OptOutAnnotation, f.namespace.name)
	}
	return proceed
}

// guardMemory keeps what did not converge, or was taken back, from being rolled out in
// vain again and again.
func guardMemory(f facts, o Options) decision {
	last, ok := f.last()
	if !ok || o.Guards.Retry || last.Digest != f.digest {
		return proceed
	}
	if last.Result == report.Reverted && o.Strategy == Restart {
		return decision{report.Reverted, fmt.Sprintf("restarted at %s, and that was taken back: --strategy evict or auto leaves its template alone, "+
			"see docs/rollout.md#taken-back; --retry restarts it again", last.Time.Format(time.RFC3339))}
	}
	if last.Result != report.NotConverging {
		return proceed
	}
	return decision{report.NotConverging, fmt.Sprintf("rolled out at %s and still differed from the same fresh injection: "+
		"docs/rollout.md#not-converging says what may be the cause; --retry tries again", last.Time.Format(time.RFC3339))}
}

func guardStrategy(f facts, o Options) decision {
	switch {
	case o.Strategy != Restart:
	case f.onDelete:
		return skip("its update strategy is OnDelete, so a restart would replace no Pod: --strategy evict")
	case !f.restarts():
		return skip("a %s of its own does not replace its Pods when its template changes: --strategy evict", f.kind)
	}
	return proceed
}

// guardOwner leaves the template of what an operator makes alone: it would be put back,
// with some of the Pods replaced, or with all of them twice.
func guardOwner(f facts, o Options) decision {
	if f.owner == "" || o.Strategy != Restart || f.kind == kind.Rollout || o.Guards.RestartOwned {
		return proceed
	}
	return skip("%s controls it, and may take a change of its template back: --strategy evict or auto leaves that alone; "+
		"--strategy restart, given by name, restarts it all the same", f.owner)
}

func guardPaused(f facts, _ Options) decision {
	switch {
	case !f.paused:
		return proceed
	case f.kind == kind.Rollout:
		return skip("is paused: set spec.paused to false first")
	}
	return skip("is paused: kubectl rollout resume deployment/%s -n %s first", f.name, f.namespace.name)
}

// guardRevision keeps an eviction from deploying what nobody has rolled out yet.
func guardRevision(f facts, _ Options) decision {
	if !f.pending {
		return proceed
	}
	return skip("some of its Pods wait to be deleted for an update of the workload itself: finish that first")
}

func guardPartition(f facts, o Options) decision {
	if o.Strategy == Evict || f.changing == 0 || len(f.below()) < len(f.targets) {
		return proceed
	}
	return skip("its partition holds the Pods below ordinal %d at their revision, and no others are to be re-created: "+
		"set spec.updateStrategy.rollingUpdate.partition to 0 first, or --strategy evict", f.changing)
}

func guardEmpty(f facts, _ Options) decision {
	if f.replicas > 0 {
		return proceed
	}
	if f.inPlace {
		return skip("no node wants a Pod of it")
	}
	return skip("is scaled to zero: its next Pods get the fresh sidecar anyway")
}

func guardUnsettled(f facts, o Options) decision {
	// Another Pod comes for a lost one of a Deployment by a rolling update, not by the
	// eviction of others; and one that is re-created waits for it to have ended.
	passes := f.inPlace || o.Strategy == Restart && !f.recreate && f.kind != kind.StatefulSet
	switch {
	case f.unsettled == "", f.unhealthy && o.Guards.AllowUnhealthy, f.lost.only && passes:
		return proceed
	case !f.lost.none():
		return skip("is rolling out or unhealthy already: %s, and it has Pods on %s: repair the node, or delete it, first", f.unsettled, f.lost.where())
	case f.unhealthy:
		return skip("is unhealthy already: %s; repair it first, or, where what is injected into it is the cause, --allow-unhealthy", f.unsettled)
	}
	return skip("is rolling out or unhealthy already: %s; let it settle, or repair it, first", f.unsettled)
}

// guardUnfinished is guardMemory where the run that would have remembered was
// killed: the audit saw none but Pods of its restart, and they differ as before.
func guardUnfinished(f facts, o Options) decision {
	last, ok := f.last()
	if !ok || o.Guards.Retry || last.Result != report.Interrupted || last.Digest != f.digest || f.oldest == nil || f.oldest.Before(last.Time) {
		return proceed
	}
	return decision{report.NotConverging, fmt.Sprintf("restarted at %s by a run that did not see the end of it, and its new Pods differ from the same fresh injection: "+
		"docs/rollout.md#not-converging says what may be the cause; --retry tries again", last.Time.Format(time.RFC3339))}
}

func guardBudgets(f facts, o Options) decision {
	names := strings.Join(f.budgetNames(), ", ")
	for _, b := range f.budgets {
		if b.broken != "" {
			return skip("PodDisruptionBudget %s may be for its Pods, but its selector cannot be read: repair it: %s", b.name, b.broken)
		}
	}
	if evicts(o.Strategy, f.kind) {
		if len(f.budgets) > 1 {
			return skip("its Pods are behind more than one PodDisruptionBudget (%s), which eviction does not support", names)
		}
		for _, b := range f.budgets {
			if b.never || b.full {
				return skip("%s", b.deadlock())
			}
		}
		if o.Strategy == Evict {
			return proceed // what is exhausted now decides the pace
		}
	}
	needs := 1 // as Argo's evictions do, and whoever accepts downtime
	if f.kind != kind.Rollout && !o.Guards.AllowDowntime {
		needs = max(0, f.disrupts(o)-f.down()) // what is down already is what goes first
	}
	for _, b := range f.budgets {
		if b.allows < needs {
			return skip("a restart may make %d of its Pods unavailable at once, and PodDisruptionBudget %s allows %d now: "+
				"wait until it allows more, loosen it, or --strategy evict, which keeps to it", f.disrupts(o), b.name, b.allows)
		}
	}
	return proceed
}

func guardDowntime(f facts, o Options) decision {
	if o.Guards.AllowDowntime || f.inPlace || f.disrupts(o) < f.replicas || f.unhealthy && f.running == 0 {
		return proceed
	}
	how := "its update strategy may take all its Pods away at once"
	switch {
	case o.Strategy == Restart && f.recreate:
		how = "its strategy is Recreate"
	case f.replicas == 1:
		how = "its one replica goes before its replacement is there"
	case o.Strategy == Evict:
		how = fmt.Sprintf("--max-unavailable %d may take all its Pods away at once", o.Pace.MaxUnavailable)
	}
	return skip("would interrupt service, as %s: --allow-downtime", how)
}

// guardBeside keeps a rolling update from beginning that could not go on: it waits for a new
// Pod, for which an old one would have to go first.
func guardBeside(f facts, o Options) decision {
	if f.beside.deadlock == "" || o.Strategy != Restart || o.Guards.AllowDowntime {
		return proceed
	}
	return skip("a restart would hang, as none of its Pods goes before a new one runs beside it, and none can: %s: "+
		"%s, or --strategy evict, by which one goes first; --allow-downtime restarts it all the same", f.beside.deadlock, f.letOneGo())
}

// letOneGo is what of the workload's own would have to be otherwise.
func (f facts) letOneGo() string {
	switch {
	case f.inPlace:
		return "give its update strategy maxUnavailable in place of maxSurge"
	case f.replicas == 1:
		return "give it the strategy Recreate"
	}
	return "give its rolling update maxUnavailable: 1"
}

// guardPatience leaves alone what could not end in time: it would hold a seat, and
// be called a failure, however healthy it is.
func guardPatience(f facts, o Options) decision {
	switch {
	case f.least(o) > o.Pace.whole():
		return skip("its minReadySeconds of %d make its rollout take longer than --max-duration %s: lower them, or give a longer one",
			f.minReadySeconds, o.Pace.MaxDuration)
	case seconds(f.minReadySeconds)/longestReady > o.Pace.Timeout:
		return skip("its minReadySeconds of %d are more than %d times --timeout %s, and nothing is seen of a Pod meanwhile: lower them, or give a longer --timeout",
			f.minReadySeconds, longestReady, o.Pace.Timeout)
	}
	return proceed
}
