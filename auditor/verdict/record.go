package verdict

import (
	"slices"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// record takes a difference down, unless it is to be left out, and returns how many
// changes that are not unstable are in it.
func (c *comparison) record(part, path string, a, b jsontree.Node) (stable int) {
	whole := Change{Part: part, Path: path}
	if slices.ContainsFunc(c.ignore, func(p PathPattern) bool { return p.matches(whole) }) {
		c.ignored++
		return 0
	}
	if c.isAutoscaled(whole) {
		c.autoscaled = append(c.autoscaled, changeOf(part, path, a, b))
		return 0
	}
	if c.learned != nil {
		c.learned.take(part, path, a, b)
		return 0
	}
	inner, unstable, unknown := c.varying.split(part, path, a, b)
	change := changeOf(part, path, a, b)
	change.OneShot, change.Spent = c.oneShot, c.isSpent(path)
	if unknown {
		if c.varying != nil {
			c.suspect(&change, a, b)
		}
		c.changes = append(c.changes, change)
		if change.Unstable {
			return 0
		}
		return 1
	}
	c.varied = append(c.varied, change.Place())
	if unstable {
		change.Unstable = true
		c.changes = append(c.changes, change)
	}
	for _, d := range inner {
		change := Change{Part: Cut(part, maxPath), Path: Cut(path+Inside+d.Path, maxPath), From: storedRaw(d.From), To: storedRaw(d.To), OneShot: c.oneShot}
		if slices.ContainsFunc(c.ignore, func(p PathPattern) bool { return p.matches(change) }) {
			c.ignored++
			continue
		}
		c.changes = append(c.changes, change)
		stable++
	}
	return stable
}

// suspect looks at a difference of which nothing is known for what it may come of.
func (c *comparison) suspect(change *Change, a, b jsontree.Node) {
	if reordered(a, b) {
		c.reordered = append(c.reordered, change.Place())
		change.Unstable = c.ordersDoubted && a.Kind() == jsontree.String
	}
	if form := formOf(change.Part, change.Path, a); form != "" && !b.Exists() && c.varying.items[form] > 0 {
		c.madeUp[form] = append(c.madeUp[form], len(c.changes))
	}
}

func changeOf(part, path string, a, b jsontree.Node) Change {
	return Change{Part: Cut(part, maxPath), Path: Cut(path, maxPath), From: stored(a), To: stored(b)}
}

// settle calls items unstable that have gone, where items of their form have made-up
// keys, and no more of them have gone than come each time.
func (c *comparison) settle() {
	for form, gone := range c.madeUp {
		if len(gone) > c.varying.items[form] {
			continue
		}
		for _, at := range gone {
			c.changes[at].Unstable = true
			c.varied = append(c.varied, c.changes[at].Place())
		}
	}
}

// stableFirst is CompareChanges, but that of two at one place a stable one comes first.
func stableFirst(a, b Change) int {
	c := CompareChanges(a, b)
	switch {
	case c != 0 || a.Unstable == b.Unstable:
		return c
	case a.Unstable:
		return 1
	}
	return -1
}

// eachOnce lists a place once: of variables that are there twice, each differs there.
func eachOnce(sorted []Change) []Change {
	return slices.CompactFunc(slices.Clone(sorted), func(a, b Change) bool { return CompareChanges(a, b) == 0 })
}

func countUnstable(changes []Change) int {
	return len(changes) - len(Stable(changes))
}

// Stable returns the changes that are not unstable.
func Stable(changes []Change) []Change {
	if !slices.ContainsFunc(changes, func(c Change) bool { return c.Unstable }) {
		return changes
	}
	return slices.DeleteFunc(slices.Clone(changes), func(c Change) bool { return c.Unstable })
}

// CompareChanges orders changes by part, then path.
func CompareChanges(a, b Change) int {
	if c := strings.Compare(a.Part, b.Part); c != 0 {
		return c
	}
	return strings.Compare(a.Path, b.Path)
}
