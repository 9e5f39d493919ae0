package rollout

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/kind"
)

// decision says what is to become of a workload. An empty result means that there
// is nothing to do, and that a plan need not mention it.
type decision struct {
	result report.Result
	reason string
}

var proceed = decision{result: report.Planned}

func skip(format string, args ...any) decision {
	return decision{report.Skipped, fmt.Sprintf(format, args...)}
}

// text is the reason as it is shown: others wrote parts of it.
func (d decision) text() string { return sentence(d.reason, longestReason) }

// choose decides by the audit alone, before anything about the workload itself
// is read: its state, its kind, and what a re-creation would change.
func choose(item report.Item, opts Options) decision {
	sel := opts.Select
	if d := sel.nothingToDo(item); d != proceed {
		return d
	}
	if revision, ok := unjudged(item); ok {
		return skip("%s and never rolled out: %s", revision.State, orElse(revision.Reason, "the audit gives no reason"))
	}
	if i := slices.IndexFunc(item.Revisions, func(r report.Revision) bool { return r.StaleSince != nil }); i >= 0 {
		return skip("revision %s could not be asked about lately: %s", item.Revisions[i].Name, item.Revisions[i].Reason)
	}
	if reason := sel.excludesKind(item.Kind); reason != "" {
		return skip("%s", reason)
	}
	if reason := impossible(refOf(item)); reason != "" {
		return skip("no such workload can exist: %s", reason)
	}
	if i := slices.IndexFunc(item.Revisions, func(r report.Revision) bool { return r.Approximate }); i >= 0 {
		return skip("the fresh Pod of revision %s is only approximate, too little to restart on: %s",
			item.Revisions[i].Name, orElse(item.Revisions[i].Reason, "its owner's way of shaping Pods is not known"))
	}
	if lost := loses(item); len(lost) > 0 && !opts.Guards.AllowOrphaned {
		return skip("would lose the sidecar %s: check that its injector is up and selects the workload; "+
			"where it is meant to go, --allow-orphaned", strings.Join(lost, ", "))
	}
	if i := slices.IndexFunc(item.Revisions, takesAway); i >= 0 && !opts.Guards.AllowOrphaned {
		changes := verdict.Stable(item.Revisions[i].Changes)
		return skip("would only take away what was injected (%s, %d in all), and add nothing: check that its injector is up and selects the workload; "+
			"where that is meant to go, --allow-orphaned", changes[0].Place(), len(changes))
	}
	if !slices.ContainsFunc(states(item), opts.wantsState) && !sel.wantsAll(item) {
		return skip("%s", opts.whyNotState(item.State))
	}
	if varies := onlyVaries(item); varies != "" && item.State.Drift() && !sel.wantsAll(item) {
		return skip("differs only in what varies from one injection to the next (%s)", varies)
	}
	if len(sel.OnlySidecars) > 0 && item.State.Drift() && len(sel.differences(item)) == 0 && !sel.wantsAll(item) {
		return skip("differs only in parts of other sidecars than %s (--sidecar-container-name)",
			strings.Join(sel.OnlySidecars, ", "))
	}
	if sel.onlySpent(item) && !sel.IncludeSpent && !sel.wantsAll(item) {
		return skip("differs only in how init containers ran that have ended (%s), and nothing that runs depends on that: --include-spent re-creates its Pods all the same",
			places(sel.differences(item)))
	}
	if item.Sidecarless() && !sel.IncludeSidecarless {
		return skip("no container is injected into it, only variables, mounts or volumes: such workloads are left out by default: --include-sidecarless")
	}
	if images := item.ImageChanges(); images != "" && !opts.Guards.AllowAppImage {
		return skip("would bring up another image of the app than runs (%s): where that is meant, --allow-app-image", images)
	}
	if reason := sel.exceeds(item); reason != "" {
		return skip("%s", reason)
	}
	return proceed
}

// onlyVaries names a place of a workload that drifts, and of which nothing that differs
// stays the same; empty: something does, or nothing is known of what differs.
func onlyVaries(item report.Item) string {
	place := ""
	for _, r := range item.Revisions {
		if len(verdict.Stable(r.Changes)) > 0 || r.MoreChanges > 0 {
			return ""
		}
		if len(r.Changes) > 0 {
			place = r.Changes[0].Place()
		}
	}
	return place
}

// onlySpent reports whether the workload drifts by nothing but what is spent, of what counts.
func (s Filter) onlySpent(item report.Item) bool {
	changes := s.differences(item)
	return item.State.Drift() && len(changes) > 0 && len(verdict.Unspent(changes)) == 0 &&
		!slices.ContainsFunc(item.Revisions, func(r report.Revision) bool { return r.MoreChanges > 0 })
}

// nothingToDo is why there is nothing to say about the workload in a plan: it is as
// admission would make it, and not everything is meant.
func (s Filter) nothingToDo(item report.Item) decision {
	switch {
	case s.wantsAll(item):
	case item.State == verdict.InSync:
		return decision{reason: "in sync"}
	case item.State == verdict.Mutated:
		return decision{reason: "what differs is no injector's"}
	case item.State == verdict.NotInjected:
		return decision{reason: "has no sidecar"}
	}
	return proceed
}

// wantsAll reports whether --all selects the workload: it has the sidecar.
func (s Filter) wantsAll(item report.Item) bool {
	return s.All && slices.ContainsFunc(item.Revisions, func(r report.Revision) bool {
		return slices.ContainsFunc(r.Sidecars, s.named) || r.Injected && s.IncludeSidecarless && len(s.OnlySidecars) == 0
	})
}

// named reports whether a sidecar is one of those that are meant.
func (s Filter) named(sidecar string) bool {
	return len(s.OnlySidecars) == 0 || slices.Contains(s.OnlySidecars, sidecar)
}

// differences are the changes that make the workload eligible: all, or those
// in the own parts of the sidecars that are named.
func (s Filter) differences(item report.Item) []verdict.Change {
	var changes []verdict.Change
	for _, r := range item.Revisions {
		for _, c := range verdict.Stable(r.Changes) {
			if len(s.OnlySidecars) == 0 || slices.Contains(s.OnlySidecars, sidecarOf(c.Part)) {
				changes = append(changes, c)
			}
		}
	}
	return changes
}

// excludesKind says why workloads of the kind are left out, and what would
// include them; empty for those that are rolled out.
func (s Filter) excludesKind(name string) string {
	switch {
	case name == kind.DaemonSet && !s.IncludeDaemonSet:
		return "DaemonSets are left out by default: --include-daemonset"
	case name == kind.StatefulSet && !s.IncludeStatefulSet:
		return "StatefulSets are left out by default: --include-statefulset"
	case (name == kind.Deployment || name == kind.Rollout) && s.ExcludeDeployment:
		return name + "s are left out (--exclude-deployment)"
	case name == kind.Job || name == kind.CronJob:
		return "Jobs are never restarted: the next run gets the fresh sidecar"
	case name == kind.Pod:
		return "a Pod of its own: nothing would create it again, so delete and create it by hand"
	}
	if of, _ := kind.Of(name); of.Recreated {
		return ""
	}
	return fmt.Sprintf("owners of kind %s are not rolled out: restart it in its owner's own way", name)
}

// wantsState reports whether workloads of the state are rolled out.
func (o Options) wantsState(state verdict.State) bool {
	if state == verdict.Orphaned && !o.Guards.AllowOrphaned {
		return false
	}
	if len(o.Select.States) > 0 {
		return slices.Contains(o.Select.States, state)
	}
	return state.Drift()
}

func (o Options) whyNotState(state verdict.State) string {
	switch {
	case state == verdict.Orphaned && !o.Guards.AllowOrphaned:
		return "Orphaned: a re-creation would take the sidecar away; where that is meant, --allow-orphaned"
	case len(o.Select.States) > 0:
		return fmt.Sprintf("%s, which --state does not name", state)
	}
	return fmt.Sprintf("%s workloads are left out by default: --state %s", state, state)
}

// unjudged finds a revision that the audit could not judge or that could not
// be re-created: neither may be restarted, whatever the others are.
func unjudged(item report.Item, but ...verdict.State) (report.Revision, bool) {
	never := func(s verdict.State) bool {
		return (s == verdict.Blocked || s == verdict.Unstable || s == verdict.Unknown) && !slices.Contains(but, s)
	}
	for _, r := range item.Revisions {
		if never(r.State) {
			return r, true
		}
	}
	return report.Revision{State: item.State}, never(item.State)
}

// states of the workload and of its revisions.
func states(item report.Item) []verdict.State {
	all := []verdict.State{item.State}
	for _, r := range item.Revisions {
		all = append(all, r.State)
	}
	return all
}

// loses names the sidecars that a re-creation would take away.
func loses(item report.Item) []string {
	return collect(item, func(r report.Revision) []string { return r.Loses })
}

// takesAway reports whether a re-creation would do nothing but take away.
func takesAway(r report.Revision) bool { return verdict.TakesAway(r.Changes, r.Loses) }

// driftedSidecars names the sidecars that a rollout renews: those with
// differences of their own or, where only their surroundings differ, all.
func (s Filter) driftedSidecars(item report.Item) []string {
	injected := collect(item, func(r report.Revision) []string { return r.Sidecars })
	var drifted []string
	for _, c := range s.differences(item) {
		if name := sidecarOf(c.Part); slices.Contains(injected, name) {
			drifted = append(drifted, name)
		}
	}
	if len(drifted) == 0 {
		return slices.DeleteFunc(injected, func(name string) bool { return !s.named(name) })
	}
	slices.Sort(drifted)
	return slices.Compact(drifted)
}

// collect gathers names from every revision, sorted.
func collect(item report.Item, names func(report.Revision) []string) []string {
	var all []string
	for _, r := range item.Revisions {
		all = append(all, names(r)...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// sidecarOf is the container that a part is about; empty for parts that are
// not one container's.
func sidecarOf(part string) string {
	kind, name, _ := strings.Cut(part, "/")
	if kind == "container" || kind == "initContainer" {
		return name
	}
	return ""
}

func orElse[T ~string](text, fallback T) T {
	if text == "" {
		return fallback
	}
	return text
}
