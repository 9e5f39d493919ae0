// Package change makes changes of what an audit found: what many workloads differ in alike,
// named once, with what kind of change it is and how risky. It is pure.
//
// A place is one difference of a workload, without what is the workload's own: its name and
// namespace, the names of its app's containers, and secrets. Places that the same workloads
// have are one change. So a new image and a new port are two changes where the image is
// everybody's and the port of three, and each workload has its changes whole.
//
// The ID of a change is the sum of digests of its places. So it depends on what differs and
// on nothing else, and what a workload differs in is the sum of the IDs of its changes,
// whichever other workloads were looked at: see [Named].
package change

import (
	"cmp"
	"slices"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// Workload is what a workload differs in.
type Workload struct {
	Cluster, Namespace, Name string
	Revisions                []Revision
}

// Revision is what the Pods of one of its revisions differ in.
type Revision struct {
	Pods    int
	Changes []verdict.Change // unmasked
	More    int              // how many there are besides
	// Sidecars names the injected containers, and Loses those that would go.
	Sidecars, Loses []string
}

// Change is a set of places that the same workloads have, and whose ID no other has.
type Change struct {
	ID ID
	// Places are without what is a workload's own, and with masks in the place of secrets,
	// the most telling first; where a value means something of several parts, those that
	// differ. A part that is a container of the app is "app", and an image
	// that several containers have is named once.
	Places []verdict.Change
	// Parts are the places' own IDs, sorted, of which ID is the sum.
	Parts      []ID
	Kind       Kind // of the most telling place
	Risk       Risk // the worst of its places
	Reason     string
	Workloads  int
	Pods       int
	Namespaces int
}

// Grouping is all changes of some workloads.
type Grouping struct {
	// Changes, those that most workloads have first.
	Changes []Change
	of      [][][]int
}

// Of is the index of the change that a difference is part of, by the indices of workload,
// revision and difference; less than 0 for one that is unstable, and part of none.
func (g Grouping) Of(workload, revision, difference int) int {
	return g.of[workload][revision][difference]
}

// Group finds the changes of workloads. In which order they come, and in which their
// differences, makes no difference.
func Group(workloads []Workload) Grouping {
	g := grouper{places: newPlaces()}
	for _, w := range workloads {
		g.take(w)
	}
	class, sums := g.oneOfEachID(g.classes())
	changes, rank := g.changes(workloads, class, sums)
	for _, revisions := range g.of {
		for _, places := range revisions {
			for i, p := range places {
				if p >= 0 {
					places[i] = rank[class[p]]
				}
			}
		}
	}
	return Grouping{Changes: changes, of: g.of}
}

// grouper knows places by their numbers.
type grouper struct {
	*places
	of   [][][]int // of each difference, as Grouping has it
	sets [][]int   // of each workload, each once
	part []bool    // of each workload: it has more than these
}

func (g *grouper) take(w Workload) {
	of, set, part := make([][]int, len(w.Revisions)), []int{}, false
	for i, r := range w.Revisions {
		of[i] = g.numbers(w, r)
		set = append(set, of[i]...)
		part = part || r.More > 0
	}
	slices.Sort(set)
	set = slices.DeleteFunc(slices.Compact(set), func(p int) bool { return p < 0 })
	g.of, g.sets, g.part = append(g.of, of), append(g.sets, set), append(g.part, part)
}

// classes refines a partition of the places by each workload: two are in one class in the
// end if the same workloads have them. What is not known whole parts no places that others
// have.
func (g *grouper) classes() []int {
	class, next := make([]int, len(g.all)), 1
	refine := func(set []int) {
		split := map[int]int{}
		for _, p := range set {
			to, ok := split[class[p]]
			if !ok {
				to = next
				next++
				split[class[p]] = to
			}
			class[p] = to
		}
	}
	for w, set := range g.sets {
		if !g.part[w] {
			refine(set)
		}
	}
	settled := slices.Clone(class)
	for w, set := range g.sets {
		if g.part[w] {
			refine(slices.DeleteFunc(slices.Clone(set), func(p int) bool { return settled[p] > 0 }))
		}
	}
	return class
}

// sum is what the places of a class add up to.
type sum struct {
	id    ID
	parts []ID
}

// oneOfEachID makes one class of those that have the same ID by chance, or because somebody
// looked for images of which that is so: who names the ID names all of them.
func (g *grouper) oneOfEachID(class []int) (merged []int, sums map[int]sum) {
	all := map[int]sum{}
	for p, c := range class {
		id := g.all[p].id
		all[c] = sum{all[c].id.plus(id), append(all[c].parts, id)}
	}
	for _, of := range all {
		slices.Sort(of.parts)
	}
	merged, sums = make([]int, len(class)), map[int]sum{}
	first := map[ID]int{}
	for p, c := range class {
		of := all[c]
		into, found := first[of.id]
		if !found {
			into = c
			first[of.id] = c
		}
		if !found || slices.Compare(of.parts, sums[into].parts) < 0 {
			sums[into] = of
		}
		merged[p] = into
	}
	return merged, sums
}

// changes are the classes, and rank the index of each.
func (g *grouper) changes(workloads []Workload, class []int, sums map[int]sum) (changes []Change, rank map[int]int) {
	type found struct {
		Change
		class      int
		kind, risk assessment
		namespaces map[[2]string]bool
	}
	byClass := map[int]*found{}
	for p, c := range class {
		f := byClass[c]
		if f == nil {
			f = &found{class: c, namespaces: map[[2]string]bool{}, Change: Change{ID: sums[c].id, Parts: sums[c].parts}}
			byClass[c] = f
		}
		place := g.all[p]
		f.Places = append(f.Places, place.shown...)
		f.kind, f.risk = moreTelling(f.kind, place.assessed), worse(f.risk, place.assessed)
	}
	for w, workload := range workloads {
		seen := map[int]bool{}
		for r, revision := range workload.Revisions {
			inRevision := map[int]bool{}
			for _, p := range g.of[w][r] {
				if p >= 0 && !inRevision[class[p]] {
					inRevision[class[p]] = true
					byClass[class[p]].Pods += revision.Pods
				}
			}
			for c := range inRevision {
				seen[c] = true
			}
		}
		for c := range seen {
			byClass[c].Workloads++
			byClass[c].namespaces[[2]string{workload.Cluster, workload.Namespace}] = true
		}
	}
	all := make([]*found, 0, len(byClass))
	for _, f := range byClass {
		f.Namespaces = len(f.namespaces)
		slices.SortFunc(f.Places, compare)
		f.Kind, f.Risk, f.Reason = f.kind.kind, f.risk.risk, f.risk.reason
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b *found) int {
		return cmp.Or(cmp.Compare(b.Workloads, a.Workloads), cmp.Compare(b.Pods, a.Pods),
			cmp.Compare(b.Risk.rank(), a.Risk.rank()), cmp.Compare(a.ID, b.ID))
	})
	rank = map[int]int{}
	for i, f := range all {
		rank[f.class] = i
		changes = append(changes, f.Change)
	}
	return changes, rank
}

// compare puts the most telling first.
func compare(a, b verdict.Change) int {
	return cmp.Or(mostTellingFirst(a, b), cmp.Compare(a.Path, b.Path),
		cmp.Compare(string(a.From), string(b.From)), cmp.Compare(string(a.To), string(b.To)))
}
