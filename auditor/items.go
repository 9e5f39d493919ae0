package auditor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// strategy is how an eligible workload would be rolled out by default.
const strategy = "restart"

// items puts the revisions of each workload together.
func items(findings []finding) []report.Item {
	type workload struct {
		inventory.WorkloadRef
		group string
	}
	byWorkload := map[workload]*report.Item{}
	for _, f := range findings {
		key := workload{f.workload, f.group}
		item := byWorkload[key]
		if item == nil {
			item = &report.Item{
				Namespace: f.workload.Namespace, Kind: f.workload.Kind, Name: f.workload.Name,
				Pods: map[verdict.State]int{},
			}
			byWorkload[key] = item
		}
		item.Revisions = append(item.Revisions, f.revision)
		if !f.oldest.IsZero() && (item.OldestPod == nil || f.oldest.Before(*item.OldestPod)) {
			item.OldestPod = &f.oldest
		}
		for state, n := range f.pods {
			item.Pods[state] += n
		}
	}
	list := make([]report.Item, 0, len(byWorkload))
	for _, item := range byWorkload {
		item.State = worst(item.Pods)
		slices.SortFunc(item.Revisions, func(a, b report.Revision) int {
			return cmp.Or(cmp.Compare(a.State.Severity(), b.State.Severity()), cmp.Compare(a.Name, b.Name))
		})
		item.Rollout = eligibility(*item)
		list = append(list, *item)
	}
	return list
}

// eligibility says whether a rollout would consider the workload, by what the
// audit knows. The plan of a rollout looks at the workload itself, too.
func eligibility(item report.Item) report.Rollout {
	no := func(reason string, args ...any) report.Rollout {
		return report.Rollout{Reason: fmt.Sprintf(reason, args...)}
	}
	switch item.Kind {
	case "Deployment", "StatefulSet", "DaemonSet", "Rollout":
	case "Job", "CronJob":
		return no("Jobs are never restarted: the next run gets a fresh injection")
	case "Pod":
		return no("a Pod without a controller: nothing would create it again")
	case "ReplicaSet":
		return no("a ReplicaSet without a Deployment: only eviction re-creates its Pods (--strategy evict)")
	default:
		return no("workloads of kind %s are never rolled out", item.Kind)
	}
	if item.State != verdict.Drifted && item.State != verdict.Missing {
		return no("%s", whyNot(item.State))
	}
	for _, r := range item.Revisions {
		switch {
		case r.StaleSince != nil:
			return no("revision %s: %s", r.Name, r.Reason)
		case r.Approximate:
			return no("revision %s: %s", r.Name, r.Reason)
		case r.State == verdict.Unknown:
			return no("revision %s is Unknown: %s", r.Name, r.Reason)
		case len(r.Loses) > 0:
			return no("a rollout would take %s away (--allow-orphaned)", strings.Join(r.Loses, ", "))
		case verdict.TakesAway(r.Changes, r.Loses):
			return no("a rollout would only take away what was injected, and add nothing (--allow-orphaned)")
		}
	}
	if images := item.ImageChanges(); images != "" {
		return no("a rollout would bring up another image of the app than runs, %s (--allow-app-image)", images)
	}
	if item.Spent() {
		return no("differs only in how init containers ran that have ended (--include-spent)")
	}
	if item.Sidecarless() {
		return no("no container is injected into it, only variables, mounts or volumes (--include-sidecarless)")
	}
	return report.Rollout{Eligible: true, Strategy: strategy}
}

func whyNot(state verdict.State) string {
	switch state {
	case verdict.Blocked:
		return "Blocked: admission would refuse its new Pods"
	case verdict.Orphaned:
		return "Orphaned: a rollout would take its sidecar away (--allow-orphaned)"
	case verdict.Modified:
		return "Modified in place: a rollout would take the change back (--state Modified)"
	case verdict.Unknown:
		return "Unknown: cannot be judged"
	case verdict.InSync:
		return "in sync"
	case verdict.Mutated:
		return "what differs is no injector's"
	case verdict.NotInjected:
		return "has no sidecar"
	}
	return fmt.Sprintf("%s workloads are not rolled out", state)
}
