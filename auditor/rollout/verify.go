package rollout

import (
	"fmt"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// namedDifferences is how many differing fields a reason names.
const namedDifferences = 5

// converged judges the audit of a workload that has just been rolled out. Pods
// that were left as they were, by their UIDs, do not count.
func converged(item report.Item, opts Options, untouched map[string]bool) decision {
	if revision, ok := unjudged(item); ok {
		return failed("rolled out, but cannot be verified, as it is now %s: %s",
			revision.State, orElse(revision.Reason, "the audit gives no reason"))
	}
	changes := opts.Select.differences(item)
	if !item.State.Drift() || len(opts.Select.SidecarNames) > 0 && len(changes) == 0 {
		return decision{result: report.RolledOut}
	}
	if left := drifting(item, untouched); len(untouched) > 0 && left == 0 {
		return decision{report.RolledOut, "Pods that were not to be re-created still drift: left as they are"}
	}
	return decision{report.NotConverging, fmt.Sprintf(
		"rolled out, yet still %s at %s: left alone until injection changes; --retry tries again", item.State, places(changes))}
}

// drifting counts the Pods that drift and were meant to be re-created.
func drifting(item report.Item, untouched map[string]bool) int {
	n := 0
	for _, r := range item.Revisions {
		for state, pods := range r.Members {
			for _, pod := range pods {
				if state.Drift() && !untouched[pod.UID] {
					n++
				}
			}
		}
	}
	return n
}

// places names the first differing fields.
func places(changes []verdict.Change) string {
	var names []string
	for i, c := range changes {
		if i == namedDifferences {
			names = append(names, fmt.Sprintf("and %d more", len(changes)-i))
			break
		}
		names = append(names, strings.TrimSpace(c.Part+" "+c.Path))
	}
	return orElse(strings.Join(names, ", "), "fields that the audit does not name")
}
