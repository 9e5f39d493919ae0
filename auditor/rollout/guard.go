package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// OptOutAnnotation with the value "disabled", on a workload or on its
// namespace, keeps it from being rolled out.
const OptOutAnnotation = "sidecar-drift.io/rollout"

// facts are what the guards judge: a workload as it is now, and what stands
// around it.
type facts struct {
	workload
	kind, name  string
	annotations map[string]string
	deleting    bool
	// unsettled says what a rollout under way waits for, or what is wrong with
	// the workload; empty if all its Pods run the present template and are
	// available.
	unsettled string
	// digest of what fresh injection would now make of it.
	digest    string
	namespace namespace
}

// namespace is what the guards need to know of a namespace.
type namespace struct {
	name        string
	annotations map[string]string
	terminating bool
	budgets     []budget
}

// budget is a PodDisruptionBudget.
type budget struct {
	name     string
	selector labels.Selector
	// exhausted: not one Pod may be disrupted now, or its controller has not
	// yet looked.
	exhausted bool
}

// guard says why a workload must not be restarted now and what to do about it,
// or proceed.
type guard func(facts, Guards) decision

// guards, the most fundamental reason first.
var guards = []guard{
	guardDeletion, guardOptOut, guardMemory, guardOnDelete, guardPaused, guardPartition, guardEmpty,
	guardUnsettled, guardBudgets, guardDowntime,
}

// check applies every guard to a workload that choose has chosen.
func check(f facts, lifted Guards) decision {
	for _, g := range guards {
		if d := g(f, lifted); d != proceed {
			return d
		}
	}
	return proceed
}

func guardDeletion(f facts, _ Guards) decision {
	switch {
	case f.namespace.terminating:
		return skip("namespace %s is terminating: no Pod can be created in it", f.namespace.name)
	case f.deleting:
		return skip("is being deleted")
	}
	return proceed
}

func guardOptOut(f facts, _ Guards) decision {
	switch {
	case f.annotations[OptOutAnnotation] == "disabled":
		return skip("opted out by its annotation %s: disabled", OptOutAnnotation)
	case f.namespace.annotations[OptOutAnnotation] == "disabled":
		return skip("opted out by the annotation %s: disabled of namespace %s", OptOutAnnotation, f.namespace.name)
	}
	return proceed
}

// guardMemory keeps what did not converge from being restarted in vain again
// and again.
func guardMemory(f facts, lifted Guards) decision {
	last, ok := parseLastRollout(f.annotations[LastRolloutAnnotation])
	if !ok || lifted.Retry || last.Result != report.NotConverging || last.Digest != f.digest {
		return proceed
	}
	return decision{report.NotConverging, fmt.Sprintf("restarted at %s and still differed from the same fresh injection: "+
		"find what changes its Pods after injection, or --retry", last.Time.Format(time.RFC3339))}
}

func guardOnDelete(f facts, _ Guards) decision {
	if !f.onDelete {
		return proceed
	}
	return skip("its update strategy is OnDelete: a restart would replace no Pod, so delete its Pods by hand, one at a time")
}

func guardPaused(f facts, _ Guards) decision {
	if !f.paused {
		return proceed
	}
	return skip("is paused: kubectl rollout resume deployment/%s -n %s first", f.name, f.namespace.name)
}

func guardPartition(f facts, _ Guards) decision {
	if f.partition == 0 {
		return proceed
	}
	return skip("its partition holds the Pods below ordinal %d at their revision: "+
		"set spec.updateStrategy.rollingUpdate.partition to 0 first", f.partition)
}

func guardEmpty(f facts, _ Guards) decision {
	if f.replicas > 0 {
		return proceed
	}
	if f.inPlace {
		return skip("no node wants a Pod of it")
	}
	return skip("is scaled to zero: its next Pods get the fresh sidecar anyway")
}

func guardUnsettled(f facts, _ Guards) decision {
	if f.unsettled == "" {
		return proceed
	}
	return skip("is rolling out or unhealthy already: %s; let it settle, or repair it, first", f.unsettled)
}

func guardBudgets(f facts, _ Guards) decision {
	var names []string
	for _, b := range f.namespace.budgets {
		if b.exhausted && b.selector.Matches(f.template) {
			names = append(names, b.name)
		}
	}
	if len(names) == 0 {
		return proceed
	}
	slices.Sort(names)
	return skip("PodDisruptionBudget %s allows no disruption now: wait until it does, or loosen it",
		strings.Join(names, ", "))
}

func guardDowntime(f facts, lifted Guards) decision {
	if lifted.AllowDowntime || f.inPlace || f.available > 0 {
		return proceed
	}
	how := "its update strategy may take all its Pods away at once"
	switch {
	case f.recreate:
		how = "its strategy is Recreate"
	case f.replicas == 1:
		how = "its one replica goes before its replacement is there"
	}
	return skip("would interrupt service, as %s: --allow-downtime", how)
}
