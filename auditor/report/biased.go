package report

import (
	"slices"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// BiasedSummary says how many workloads have places which a dry run does not tell of,
// and in which namespaces, of which it names a few.
type BiasedSummary struct {
	Workloads  int      `json:"workloads"`
	Namespaces []string `json:"namespaces"`
}

// mostBiased is how many namespaces a BiasedSummary names.
const mostBiased = 10

// Biased counts them.
func (r *Report) Biased() BiasedSummary {
	s := BiasedSummary{Namespaces: []string{}}
	for _, item := range r.Items {
		if !slices.ContainsFunc(item.Revisions, func(revision Revision) bool { return len(revision.Biased) > 0 }) {
			continue
		}
		s.Workloads++
		if len(s.Namespaces) < mostBiased && !slices.Contains(s.Namespaces, item.Namespace) {
			s.Namespaces = append(s.Namespaces, item.Namespace)
		}
	}
	slices.Sort(s.Namespaces)
	return s
}

// KnowBiased takes over from another report which places a dry run does not tell of:
// that of an audit which newborn Pods have taught. Nothing is left to judge of what
// differs only there.
func (r *Report) KnowBiased(from *Report) {
	type revision struct{ namespace, kind, name, revision string }
	biased := map[revision][]string{}
	for _, item := range from.Items {
		for _, of := range item.Revisions {
			if len(of.Biased) > 0 {
				biased[revision{item.Namespace, item.Kind, item.Name, of.Name}] = of.Biased
			}
		}
	}
	for i := range r.Items {
		item := &r.Items[i]
		for n := range item.Revisions {
			of := &item.Revisions[n]
			if places := biased[revision{item.Namespace, item.Kind, item.Name, of.Name}]; len(places) > 0 && len(of.Biased) == 0 {
				of.leaveOut(places)
			}
		}
		if slices.ContainsFunc(item.Revisions, func(of Revision) bool { return of.State == verdict.Unknown && len(of.Biased) > 0 }) {
			item.unknownWhereBiased()
		}
	}
}

// leaveOut does not judge what differs at the places.
func (r *Revision) leaveOut(places []string) {
	var judged []verdict.Change
	for _, c := range r.Changes {
		if slices.Contains(places, c.Place()) {
			r.BiasedChanges = append(r.BiasedChanges, c)
		} else {
			judged = append(judged, c)
		}
	}
	if len(r.BiasedChanges) == 0 {
		return
	}
	r.Changes, r.Biased = judged, places
	if len(verdict.Stable(judged)) == 0 && r.MoreChanges == 0 && r.State.Drift() {
		r.State, r.Loses, r.Reason = verdict.Unknown, nil, "Pods that controllers created differ from a dry run there"
	}
}

// unknownWhereBiased counts the workload anew.
func (item *Item) unknownWhereBiased() {
	item.State = verdict.NotInjected
	item.Pods = map[verdict.State]int{}
	for _, r := range item.Revisions {
		item.State = verdict.Worst(item.State, r.State)
		item.Pods[r.State] += r.Pods
	}
}
