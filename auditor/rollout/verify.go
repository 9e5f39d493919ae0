package rollout

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/kind"
)

// namedDifferences is how many differing fields a reason names.
const namedDifferences = 5

// outcome is what an audit says of a workload that has just been rolled out.
type outcome struct {
	decision
	// biased is where new Pods differ as the old ones did: a dry run does not tell of
	// them.
	biased []verdict.Change
	// leftOut: what is left was no part of what was planned.
	leftOut bool
	// late are new Pods that differ from others of their revision, which do not
	// differ from a dry run: what an injector looked at was not there when they came.
	late []report.PodRef
}

// verifyAttempts and verifyPause: a controller may report itself done an
// instant before its last old Pod is gone, so a difference counts only when it
// stays.
const (
	verifyAttempts = 5
	verifyPause    = time.Second
)

// verify audits the workload again: what differs now did not converge.
func (t *task) verify(ctx context.Context, b begun, digest string) (outcome, string) {
	var o outcome
	end := func(d decision) outcome { return outcome{decision: d} }
	seen := t.versions.json()
	for attempt := range verifyAttempts {
		if attempt > 0 && !pause(ctx, verifyPause) {
			return end(left("before it could be audited again")), digest
		}
		item, err := t.audit(ctx, refOf(t.item), seen)
		seen = nil
		if err != nil && ctx.Err() != nil {
			return end(left("before it could be audited again")), digest
		}
		if err != nil {
			return end(failed("rolled out, but could not be audited afterwards: %v", err)), digest
		}
		if item == nil { // the last old one has just gone
			o = end(failed("rolled out, but the audit afterwards found no Pod of it"))
			continue
		}
		t.now = item
		if digest, err = digestOf(*item); err != nil {
			return end(failed("%v", err)), ""
		}
		if _, inPlace := b.recreation.(*resizing); inPlace {
			o = convergedInPlace(*item, t.opts, b.untouched())
		} else {
			o = converged(t.item, *item, t.opts, b.untouched())
		}
		if o.result.Success() {
			break
		}
	}
	return o, digest
}

// converged judges the audit of a workload that has just been rolled out, given the one
// that was planned. What varies from one injection to the next was never promised. Pods that were left as they were, by their UIDs, do not count.
func converged(planned, item report.Item, opts Options, untouched map[string]bool) outcome {
	if revision, ok := unjudged(item, verdict.Unstable); ok {
		return outcome{decision: failed("rolled out, but cannot be verified, as it is now %s: %s",
			revision.State, orElse(revision.Reason, "the audit gives no reason"))}
	}
	changes, biased := without(opts.Select.differences(item), planned, func(r report.Revision) []string { return r.Biased })
	changes, varied := without(changes, planned, func(r report.Revision) []string { return r.Varies })
	switch {
	case item.State.Drift() && len(changes) == 0 && biased == 0 && varied > 0:
		return outcome{decision: decision{result: report.RolledOut}}
	case item.State.Drift() && len(changes) == 0 && biased > 0:
		return outcome{leftOut: true, decision: decision{report.RolledOut, "what a dry run does not tell of was left out"}}
	case !item.State.Drift() || len(opts.Select.OnlySidecars) > 0 && len(changes) == 0:
		return outcome{decision: decision{result: report.RolledOut}}
	}
	left, insync := newPods(item, untouched)
	if len(untouched) > 0 && len(left) == 0 {
		return outcome{decision: decision{report.RolledOut, "Pods that were not to be re-created still drift: left as they are"}}
	}
	const again = ": left alone until injection changes; --retry tries again"
	switch {
	case len(left) > 0 && insync > 0 && item.Kind != kind.StatefulSet: // whose Pods are not alike
		return outcome{late: left, decision: decision{report.NotConverging, fmt.Sprintf(
			"rolled out, yet %d of its new Pods differ at %s, and %d of the same revision do not: they came before something that an injector looks at was "+
				"there, and evicting them once more heals that (--strategy evict --retry)", len(left), places(changes), insync)}}
	case within(changes, opts.Select.differences(planned)):
		return outcome{biased: changes, decision: decision{report.NotConverging, fmt.Sprintf(
			"rolled out, yet its new Pods differ from a dry run where the old ones did, at %s: %s"+again, places(changes), whoIsTold(item))}}
	}
	return outcome{decision: decision{report.NotConverging, fmt.Sprintf("rolled out, yet still %s at %s"+again, item.State, places(changes))}}
}

// whoIsTold says what makes a dry run another question than a creation.
func whoIsTold(item report.Item) string {
	for _, r := range item.Revisions {
		if r.AskedAs == "" {
			return "a webhook answers its controller otherwise (--dry-run-as controller asks as that), or tells dry runs apart"
		}
	}
	return "a webhook tells dry runs apart"
}

// without leaves out changes at places that the plan did not judge.
func without(changes []verdict.Change, planned report.Item, places func(report.Revision) []string) (judged []verdict.Change, left int) {
	var known []string
	for _, r := range planned.Revisions {
		known = append(known, places(r)...)
	}
	for _, c := range changes {
		if slices.Contains(known, c.Place()) {
			left++
		} else {
			judged = append(judged, c)
		}
	}
	return judged, left
}

// within reports whether the changes are at places of the others.
func within(changes, others []verdict.Change) bool {
	at := make(map[string]bool, len(others))
	for _, c := range others {
		at[c.Place()] = true
	}
	return len(changes) > 0 && !slices.ContainsFunc(changes, func(c verdict.Change) bool { return !at[c.Place()] })
}

// newPods returns the Pods that drift and were meant to be re-created, and how many of
// the same revisions are in sync.
func newPods(item report.Item, untouched map[string]bool) (drifting []report.PodRef, insync int) {
	for _, r := range item.Revisions {
		before := len(drifting)
		for state, pods := range r.Members {
			for _, pod := range pods {
				if state.Drift() && !untouched[pod.UID] {
					drifting = append(drifting, pod)
				}
			}
		}
		if len(drifting) > before {
			insync += len(r.Members[verdict.InSync])
		}
	}
	return drifting, insync
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
