package metrics

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// series are the labels of one; which of them it has depends on the metric. Items
// that would have the same are added up.
type series struct {
	namespace, kind, name string
	state                 verdict.State
}

// other is the kind of everything whose kind is not the product's own: whoever may
// create a Pod may write any kind into its owner reference.
const other = "other"

// kindOf is an item's kind as a label. An audit tells a kind of another group that
// has taken one of these names apart by the group: it is Deployment.example.com.
func kindOf(item report.Item) string {
	if item.OfKnownKind() {
		return item.Kind
	}
	return other
}

// shownAsZero are the states of which a namespace that is audited has a series
// even while it has none: an alert on them must see the fall to 0.
var shownAsZero = []verdict.State{
	verdict.Blocked, verdict.Drifted, verdict.Missing, verdict.Orphaned, verdict.Modified, verdict.InSync,
}

// pods numbers them by namespace and state.
func pods(r *report.Report) map[series]int {
	sums := map[series]int{}
	for _, item := range r.Items {
		for _, state := range shownAsZero {
			sums[series{namespace: item.Namespace, state: state}] += 0
		}
		for state, n := range item.Pods {
			sums[series{namespace: item.Namespace, state: state}] += n
		}
	}
	return sums
}

// workloads numbers them by namespace, kind and state.
func workloads(r *report.Report) map[series]int {
	sums := map[series]int{}
	for _, item := range r.Items {
		sums[series{namespace: item.Namespace, kind: kindOf(item), state: item.State}]++
	}
	return sums
}

// workloadPods numbers Pods by workload and state.
func workloadPods(r *report.Report) map[series]int {
	sums := map[series]int{}
	for _, item := range r.Items {
		for state, n := range item.Pods {
			sums[series{item.Namespace, kindOf(item), item.Name, state}] += n
		}
	}
	return sums
}

// mostBlocked bounds the workloads that have series without being asked for.
const mostBlocked = 100

// blockedPods numbers the Blocked Pods of the workloads that are, of mostBlocked at most: the
// first of each namespace, then the second, so that no namespace keeps the others out.
func blockedPods(r *report.Report) map[series]int {
	blocked := map[string][]report.Item{}
	for _, item := range r.Items {
		if item.Pods[verdict.Blocked] > 0 {
			blocked[item.Namespace] = append(blocked[item.Namespace], item)
		}
	}
	namespaces := slices.Sorted(maps.Keys(blocked))
	sums := map[series]int{}
	for rank := 0; len(namespaces) > 0; rank++ {
		namespaces = slices.DeleteFunc(namespaces, func(name string) bool { return rank >= len(blocked[name]) })
		for _, namespace := range namespaces {
			item := blocked[namespace][rank]
			key := series{namespace, kindOf(item), nameOf(item), verdict.Blocked}
			if _, there := sums[key]; !there && len(sums) == mostBlocked {
				return sums
			}
			sums[key] += item.Pods[verdict.Blocked]
		}
	}
	return sums
}

// nameOf is an item's name as a label: what an owner reference makes up, and no object can be
// called, is other, however long it is.
func nameOf(item report.Item) string {
	if len(validation.IsDNS1123Subdomain(item.Name)) > 0 {
		return other
	}
	return item.Name
}
