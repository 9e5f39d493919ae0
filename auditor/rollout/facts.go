package rollout

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// facts are what the guards judge: a workload as it is now, and what stands
// around it.
type facts struct {
	workload
	kind, name  string
	annotations map[string]string
	deleting    bool
	// owner is the object that controls the workload; empty without one.
	owner string
	// pods is how many were audited.
	pods int
	// unsettled says what a rollout under way waits for, or what is wrong with
	// the workload; empty if all its Pods run the present template and are
	// available.
	unsettled string
	// unhealthy: nothing of that is a rollout. All its Pods run the present template, and
	// running of them are available.
	unhealthy bool
	running   int
	// digest of what fresh injection would now make of it.
	digest string
	// oldest is when the oldest of the audited Pods was started; nil if none was.
	oldest *time.Time
	// targets are the Pods that are meant to be re-created.
	targets   []report.PodRef
	namespace namespace
	// resize is whether that can be done in place; only where it matters.
	resize inPlace
	// beside is whether a new Pod can start beside the old ones; only where it matters.
	beside beside
	// differing is where fresh Pods may take less of a node than the old ones.
	differing differing
	// lost are its Pods on nodes that are not ready.
	lost lostPods
	// budgets are those of the namespace that its Pods are behind.
	budgets []budget
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
	// allows is how many Pods may be disrupted now; none where its controller has not
	// looked yet.
	allows int
	// never: by its spec it can never allow a disruption.
	never bool
	// full: it wants as many Pods healthy as there are now. While one of them
	// is being replaced that may be so for a moment.
	full  bool
	wants int // Pods that must stay healthy
	// broken says why nobody can tell which Pods it is for; empty if one can.
	broken string
}

// deadlock says why an eviction would be waited for in vain.
func (b budget) deadlock() string {
	return fmt.Sprintf("PodDisruptionBudget %s can never allow an eviction: it wants %d Pods healthy, as many as there are; loosen it, or scale up",
		b.name, b.wants)
}

// factsOf reads a workload's object for the guards.
func factsOf(object *unstructured.Unstructured, ns namespace, item report.Item, o Options) (facts, error) {
	w, err := workloadKinds[object.GetKind()].read(object.Object)
	if err != nil {
		return facts{}, err
	}
	digest, err := digestOf(item)
	if err != nil {
		return facts{}, err
	}
	f := facts{
		workload:    w,
		kind:        object.GetKind(),
		name:        object.GetName(),
		annotations: object.GetAnnotations(),
		deleting:    object.GetDeletionTimestamp() != nil,
		owner:       controllerOf(object),
		pods:        total(item),
		digest:      digest,
		oldest:      item.OldestPod,
		targets:     o.targets(item),
		namespace:   ns,
		differing:   differingOf(item),
	}
	for _, b := range ns.budgets {
		if b.selector.Matches(f.template) {
			f.budgets = append(f.budgets, b)
		}
	}
	f.unhealthy, f.running = healthOf(object)
	message, done, err := status(object)
	switch {
	case err != nil:
		f.unsettled = err.Error()
	case !done:
		f.unsettled = message
	}
	return f, nil
}

// targets are the Pods of the item that are meant to be re-created, by name.
func (o Options) targets(item report.Item) []report.PodRef {
	var pods []report.PodRef
	for _, r := range item.Revisions {
		for state, members := range r.Members {
			if o.Select.wantsAll(item) || o.wantsState(state) {
				pods = append(pods, members...)
			}
		}
	}
	slices.SortFunc(pods, func(a, b report.PodRef) int { return strings.Compare(a.Name, b.Name) })
	return pods
}

// down is how many of its Pods are not available, though none is being replaced.
func (f facts) down() int {
	if !f.unhealthy {
		return 0
	}
	return max(f.replicas-f.running, 0)
}

// below returns the Pods of a StatefulSet that an update of it would not
// replace.
func (f facts) below() []report.PodRef {
	if f.changing == 0 {
		return nil
	}
	var held []report.PodRef
	for _, pod := range f.targets {
		if n, err := strconv.Atoi(pod.Name[strings.LastIndexByte(pod.Name, '-')+1:]); err == nil && n < f.changing {
			held = append(held, pod)
		}
	}
	return held
}

// budgetNames names the budgets that the workload's Pods are behind.
func (f facts) budgetNames() []string {
	names := make([]string, len(f.budgets))
	for i, b := range f.budgets {
		names[i] = b.name
	}
	slices.Sort(names)
	return names
}
