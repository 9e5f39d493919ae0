package report

import (
	"fmt"
	"slices"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

const (
	// maxName is the length of the longest name of an object, in bytes, and maxKind
	// that of a kind behind which its group is.
	maxName = 253
	maxKind = 63 + 1 + 253
	// maxStamp is the length of a stamp: a version and 64 hex digits.
	maxStamp = 80
	// maxRevisions is how many revisions of one workload that no template is known of
	// are told apart. Pods of an unknown owner are a revision each.
	maxRevisions = 50
	// maxGuessed is the number of bytes of changes in one namespace that were found
	// without a template: whoever creates Pods of their own makes a workload of each.
	maxGuessed = 1 << 20
)

// bounded returns the item with no text that is longer than it can be where Kubernetes
// itself wrote it. Changes are bounded where they are made.
func bounded(item Item) Item {
	item.Namespace, item.Name = verdict.Cut(item.Namespace, maxName), verdict.Cut(item.Name, maxName)
	item.Kind = verdict.Cut(item.Kind, maxKind)
	item.Rollout.Reason = verdict.Cut(item.Rollout.Reason, 2*verdict.MaxReason) // which may quote a revision's
	item.Revisions = folded(item.Revisions)
	for i := range item.Revisions {
		r := &item.Revisions[i]
		r.Name, r.Reason, r.Fresh = verdict.Cut(r.Name, maxName), verdict.Cut(r.Reason, verdict.MaxReason), verdict.Cut(r.Fresh, maxStamp)
		r.Sidecars, r.Loses = boundedNames(r.Sidecars), boundedNames(r.Loses)
	}
	return item
}

func boundedNames(names []string) []string {
	tooLong := func(name string) bool { return len(name) > maxName }
	names = verdict.BoundNames(names)
	if !slices.ContainsFunc(names, tooLong) {
		return names
	}
	names = slices.Clone(names)
	for i := range names {
		names[i] = verdict.Cut(names[i], maxName)
	}
	return names
}

// folded returns the revisions, of which the approximate ones beyond the first
// maxRevisions are one. They are sorted, the worst first, as an audit has them.
func folded(revisions []Revision) []Revision {
	approximate := 0
	for _, r := range revisions {
		if r.Approximate {
			approximate++
		}
	}
	if approximate <= maxRevisions {
		return revisions
	}
	kept, seen := make([]Revision, 0, len(revisions)-approximate+maxRevisions), 0
	rest := Revision{
		Approximate: true, Stamps: []StampCount{}, Changes: []verdict.Change{}, Sidecars: []string{}, Loses: []string{},
		Members: map[verdict.State][]PodRef{},
	}
	folds := approximate - maxRevisions + 1
	for _, r := range revisions {
		if r.Approximate {
			if seen++; seen >= maxRevisions {
				rest.take(r)
				continue
			}
		}
		kept = append(kept, r)
	}
	rest.Reason = fmt.Sprintf("%d more revisions of one workload, of which no template is known", folds)
	return append(kept, rest)
}

// take adds a revision's Pods to those of others.
func (r *Revision) take(other Revision) {
	if r.Pods == 0 || other.State.Severity() < r.State.Severity() {
		r.State = other.State
	}
	r.Pods += other.Pods
	r.MoreChanges += len(other.Changes) + len(other.Autoscaled) + other.MoreChanges
	r.Ignored += other.Ignored
	for state, members := range other.Members {
		r.Members[state] = append(r.Members[state], members...)
	}
}

// boundGuesses leaves the changes out that are beyond maxGuessed of their namespace;
// no other namespace is any the worse for it. The items are the worst first.
func boundGuesses(items []Item) {
	type namespace struct{ cluster, name string }
	spent := map[namespace]int{}
	for i := range items {
		in := namespace{items[i].Cluster, items[i].Namespace}
		for j := range items[i].Revisions {
			r := &items[i].Revisions[j]
			size := verdict.SizeOf(r.Changes) + verdict.SizeOf(r.Autoscaled)
			if !r.Approximate || size == 0 {
				continue
			}
			if spent[in]+size > maxGuessed {
				r.MoreChanges += len(r.Changes) + len(r.Autoscaled)
				r.Changes, r.Autoscaled = []verdict.Change{}, nil
				continue
			}
			spent[in] += size
		}
	}
}
