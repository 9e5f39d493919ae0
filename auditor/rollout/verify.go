package rollout

import (
	"fmt"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// namedDifferences is how many differing fields a reason names.
const namedDifferences = 5

// converged judges the audit of a workload that has just been rolled out.
func converged(item report.Item, opts Options) decision {
	if revision, ok := unjudged(item); ok {
		return failed("rolled out, but cannot be verified, as it is now %s: %s",
			revision.State, orElse(revision.Reason, "the audit gives no reason"))
	}
	changes := opts.Select.differences(item)
	if !item.State.Drift() || len(opts.Select.SidecarNames) > 0 && len(changes) == 0 {
		return decision{result: report.RolledOut}
	}
	return decision{report.NotConverging, fmt.Sprintf(
		"rolled out, yet still %s at %s: left alone until injection changes; --retry tries again", item.State, places(changes))}
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
