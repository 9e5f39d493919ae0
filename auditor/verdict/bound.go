package verdict

import (
	"cmp"
	"slices"
	"strings"
)

const (
	// maxChanges is how many changes a verdict has, and maxChangesSize how many
	// bytes of JSON their values take.
	maxChanges     = 200
	maxChangesSize = 32 << 10
	// maxNames is how many containers a verdict names in a list.
	maxNames = 200
)

// Bound returns as many of the changes as may be kept of one revision, and how many
// it leaves out. Each part keeps its most telling ones: the first of each part come
// before the second of any, and sidecars before the rest of the Pod. The order stays.
func Bound(changes []Change) (kept []Change, left int) {
	if len(changes) <= maxChanges && SizeOf(changes) <= maxChangesSize {
		return changes, 0
	}
	type ranked struct{ at, round, part int }
	ranks := make([]ranked, len(changes))
	for i := range changes {
		ranks[i].at = i
	}
	slices.SortStableFunc(ranks, func(a, b ranked) int {
		x, y := changes[a.at], changes[b.at]
		return cmp.Or(strings.Compare(x.Part, y.Part), cmp.Compare(telling(x), telling(y)))
	})
	for i := range ranks {
		ranks[i].part = sidecarsFirst(changes[ranks[i].at].Part)
		if i > 0 && changes[ranks[i].at].Part == changes[ranks[i-1].at].Part {
			ranks[i].round = ranks[i-1].round + 1
		}
	}
	slices.SortStableFunc(ranks, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.round, b.round), cmp.Compare(a.part, b.part))
	})
	keep, n, size := make([]bool, len(changes)), 0, 0
	for _, r := range ranks {
		if takes := SizeOf(changes[r.at : r.at+1]); n < maxChanges && size+takes <= maxChangesSize {
			keep[r.at] = true
			n++
			size += takes
		}
	}
	kept = make([]Change, 0, n)
	for i, c := range changes {
		if keep[i] {
			kept = append(kept, c)
		}
	}
	return kept, len(changes) - n
}

// SizeOf is the number of bytes that changes take, their places included.
func SizeOf(changes []Change) int {
	size := 0
	for _, c := range changes {
		size += len(c.Part) + len(c.Path) + len(c.From) + len(c.To)
	}
	return size
}

// telling ranks the changes of one part.
func telling(c Change) int {
	switch {
	case c.Path == "", c.Path == "image":
		return 0
	case strings.HasPrefix(c.Path, "resources."):
		return 1
	}
	return 2
}

func sidecarsFirst(part string) int {
	if kind, _, _ := strings.Cut(part, "/"); kind == "container" || kind == "initContainer" {
		return 0
	}
	return 1
}

// BoundNames returns as many of the names as a verdict has.
func BoundNames(names []string) []string { return names[:min(len(names), maxNames)] }
