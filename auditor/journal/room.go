package journal

import (
	"slices"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
)

// Limits of what is kept.
const (
	// MostEntries is how many changes have an entry; of those that have ended the oldest are
	// counted only.
	MostEntries = 300
	// mostOpen is how many of those that are open; what fewer workloads have has none.
	mostOpen = 200
	// mostAlone is how many a namespace has alone where there is no room for all: a tenant who
	// makes changes pushes out none of others.
	mostAlone = 30
	// MostAge is for how long one that has ended has an entry.
	MostAge = 90 * 24 * time.Hour
	// mostPlaces, mostParts and mostNames bound what an entry names.
	mostPlaces, mostParts, mostNames = 40, 400, 20
)

// alone is the namespace that alone has had the change; empty: several have.
func (e *Entry) alone() string {
	if e.Reach.Namespaces > 1 || len(e.Names) == 0 {
		return ""
	}
	return e.Names[0].Namespace
}

// only is the namespace that all of the workloads are in; empty: they are in several.
func only(refs []inventory.WorkloadRef) string {
	if len(refs) == 0 || slices.ContainsFunc(refs, func(ref inventory.WorkloadRef) bool { return ref.Namespace != refs[0].Namespace }) {
		return ""
	}
	return refs[0].Namespace
}

// aloneOf are how many of some entries each namespace has alone.
func (j *Journal) aloneOf(some func(*Entry) bool) map[string]int {
	count := map[string]int{}
	for _, e := range j.entries {
		if namespace := e.alone(); namespace != "" && some(e) {
			count[namespace]++
		}
	}
	return count
}

func isOpen(e *Entry) bool { return e.Ended == nil }

// room is that for entries that are open.
type room struct {
	*Journal
	open  int
	alone map[string]int
	full  bool // nobody has too many
}

func (j *Journal) room() *room {
	r := &room{Journal: j, alone: j.aloneOf(isOpen)}
	for _, e := range j.entries {
		if isOpen(e) {
			r.open++
		}
	}
	return r
}

// take reports whether a change may have an entry.
func (r *room) take(c Change) bool {
	namespace := only(c.Workloads)
	if r.open >= mostOpen && (r.full || namespace != "" && r.alone[namespace] >= mostAlone || !r.make()) {
		return false
	}
	r.open++
	r.alone[namespace]++
	return true
}

// make drops the last entry of a namespace that has too many alone.
func (r *room) make() bool {
	for i, e := range slices.Backward(r.entries) {
		if namespace := e.alone(); isOpen(e) && namespace != "" && r.alone[namespace] > mostAlone {
			r.earlier.add(e)
			r.entries = slices.Delete(r.entries, i, i+1)
			r.open--
			r.alone[namespace]--
			return true
		}
	}
	r.full = true
	return false
}

// forget counts those that ended long ago, and the oldest that have ended where there is no
// room for all: first those of namespaces that have too many alone.
func (j *Journal) forget(now time.Time) {
	j.entries = slices.DeleteFunc(j.entries, func(e *Entry) bool { return e.moved })
	over := len(j.entries) - MostEntries
	drop := func(which func(*Entry) bool) {
		j.entries = slices.DeleteFunc(j.entries, func(e *Entry) bool {
			if isOpen(e) || !which(e) {
				return false
			}
			over--
			j.earlier.add(e)
			return true
		})
	}
	drop(func(e *Entry) bool { return now.Sub(e.Ended.At) >= MostAge })
	alone := j.aloneOf(func(*Entry) bool { return true })
	drop(func(e *Entry) bool {
		namespace := e.alone()
		if over <= 0 || alone[namespace] <= mostAlone { // of none there are none
			return false
		}
		alone[namespace]--
		return true
	})
	drop(func(*Entry) bool { return over > 0 })
}
