package cause

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

const (
	// skew is how far the clocks of the API servers and of who audits may be apart.
	skew = 2 * time.Second
	// settled is for how long before a change everything must have been looked at, for
	// nothing to be missed.
	settled = 30 * time.Second
	// mostWrites and mostNamed bound what a verdict names.
	mostWrites, mostNamed = 5, 5
)

// timing is how a write's time fits a change's interval.
type timing int

const (
	never   timing = iota
	later          // after the change: it may hide an earlier write of the same manager
	before         // so shortly before that injection may not have gone by it yet
	skewed         // right after, as clocks differ
	roughly        // in an interval that overlaps
	inside
)

// fit is a write that may have made a change.
type fit struct {
	*event
	others  int // further objects, written alike
	timing  timing
	hint    int
	exact   bool // it is about the namespaces that the change is of, and others are spared
	narrow  bool // it is about all namespaces, while the change is of some
	partial bool // it explains the change in some of its namespaces
	beside  bool // it is of somebody who may rewrite what another one injects
}

// Judge says whose a change is. It is to be asked soon after a look that came after the
// change.
func (l *Ledger) Judge(c Change) Verdict {
	if c.After.IsZero() {
		return Verdict{By: "not known: it was there at the first audit, and nothing tells since when"}
	}
	fits := l.fits(c)
	var good, poor []fit
	for _, f := range fits {
		if f.timing == later || f.partial {
			poor = append(poor, f)
		} else {
			good = append(good, f)
		}
	}
	switch {
	case len(good) == 0 && len(poor) == 0:
		return Verdict{By: "not known: " + l.nothing(c)}
	case len(good) == 0:
		return l.verdict(c, poor, Possible, "")
	case len(good) == 1 || good[0].outshines(good[1:]):
		doubt := l.doubt(c, good[0])
		if doubt == "" && len(good) > 1 {
			doubt = "other writes fit, too, though less"
		}
		if doubt == "" && slices.ContainsFunc(poor, func(f fit) bool { return f.timing == later }) {
			doubt = "what was written since may hide an earlier write"
		}
		if doubt == "" {
			good[0].made = c.By
			return l.verdict(c, good, Sure, "")
		}
		return l.verdict(c, append(good, poor...), Likely, doubt)
	}
	return l.verdict(c, closest(good), Possible, "")
}

// closest are the first ones that fit about as well as the best.
func closest(fits []fit) []fit {
	const near = 5
	n := slices.IndexFunc(fits, func(f fit) bool { return fits[0].score()-f.score() > near })
	if n < 0 {
		n = len(fits)
	}
	return fits[:max(n, min(len(fits), 2))]
}

// fits are the writes that may have made a change, the likeliest first.
func (l *Ledger) fits(c Change) []fit {
	var fits []fit
	grouped := map[[3]string]int{}
	for _, e := range l.events {
		f := fit{event: e, timing: e.when(c), hint: e.object.hint(c.Kind, e.fields), beside: c.beside(e.object)}
		switch {
		case f.timing == never || !e.object.about(c):
			continue
		case e.object.Reach == "" || len(c.Namespaces) == 0:
			f.narrow = c.Spared
		case !contains(c.Namespaces, e.object.Reach):
			continue
		default: // one command may be of many namespaces
			key := [3]string{e.object.Kind, e.manager, string(e.what)}
			if at, ok := grouped[key]; ok {
				fits[at] = fits[at].with(f)
				continue
			}
			grouped[key] = len(fits)
			f.exact = true
		}
		fits = append(fits, f)
	}
	for i := range fits {
		if fits[i].exact {
			fits[i].partial = !covers(fits[i], l.events, c)
			fits[i].exact = c.Spared && !fits[i].partial
		}
	}
	// The last one first: of the same second, whoever created an object was before who updated it.
	slices.SortStableFunc(fits, func(a, b fit) int {
		return cmp.Or(cmp.Compare(b.score(), a.score()), b.by.Compare(a.by),
			cmp.Compare(rank(a.what == Created), rank(b.what == Created)), cmp.Compare(a.object.Kind, b.object.Kind),
			cmp.Compare(a.object.Namespace, b.object.Namespace), cmp.Compare(a.object.Name, b.object.Name), cmp.Compare(a.manager, b.manager))
	})
	return fits
}

// with takes another write of the same group in.
func (f fit) with(other fit) fit {
	others := f.others
	if other.object.id() != f.object.id() {
		others++
	}
	if other.timing > f.timing || other.timing == f.timing && other.by.After(f.by) {
		f = other
	}
	f.others, f.exact = others, true
	f.hint = max(f.hint, other.hint)
	return f
}

// covers reports whether the writes of a group are about all namespaces of a change.
func covers(f fit, events []*event, c Change) bool {
	left := slices.Clone(c.Namespaces)
	for _, e := range events {
		if e.object.Kind == f.object.Kind && e.manager == f.manager && e.what == f.what && e.when(c) != never {
			left = slices.DeleteFunc(left, func(n string) bool { return n == e.object.Reach })
		}
	}
	return len(left) == 0
}

// when says how the write's time fits.
func (e *event) when(c Change) timing {
	switch {
	case !e.by.After(c.After.Add(-e.object.lag())):
		return never
	case e.after.After(c.By.Add(skew)):
		if !e.timed || !e.looked.Before(c.By) {
			return never // what it hides was seen
		}
		return later
	case e.timed && e.after.After(c.By):
		return skewed
	case !e.by.After(c.After), !e.timed && !e.by.After(c.After.Add(time.Second)): // which is known to the second
		switch {
		case !e.made.IsZero() && !e.made.After(c.After), e.object.settled(e.by, c.After):
			return never // injection has gone by it before
		case e.object.Kind == "Namespace" && e.what == Created:
			return never // what is in it was given another answer since
		}
		return before
	case !e.timed:
		return roughly
	}
	return inside
}

func (f fit) score() int {
	score := map[timing]int{inside: 8, roughly: 8, skewed: 5, before: 1}[f.timing] + 2*f.hint
	if f.object.Link == Reads {
		score += 3
	}
	if f.exact {
		score += 2
	}
	if f.narrow {
		score -= 2
	}
	if f.partial {
		score -= 8
	}
	if f.beside || f.untold {
		score -= 3
	}
	return score
}

// outshines reports whether a write fits in every way, and each of the others lacks
// something.
func (f fit) outshines(others []fit) bool {
	if !f.whole() {
		return false
	}
	return !slices.ContainsFunc(others, func(o fit) bool { return o.whole() || f.score()-o.score() < 2 })
}

func (f fit) whole() bool {
	return f.timing >= roughly && f.object.Link == Reads && f.hint >= 0 && !f.narrow && !f.beside && !f.untold
}

// doubt is why the one write that fits need not have made the change; empty: it must.
func (l *Ledger) doubt(c Change, f fit) string {
	unseen := l.unseen(c)
	switch {
	case f.timing == before:
		return "it was written before injection last answered as before"
	case f.timing == skewed:
		return "it was written after the change, if clocks are right"
	case f.object.Link != Reads:
		return "it is not known whether the injector goes by it"
	case f.beside:
		return "it is of another injector than the one that adds what differs"
	case f.untold:
		return "its managedFields tell of no such write"
	case f.timed && f.manager == "" && f.what == Updated:
		return "its managedFields no longer tell who wrote it"
	case f.hint < 0:
		return "nothing in its fields speaks for it"
	case f.narrow:
		return "it is about all namespaces, and the change is of some"
	case unseen != "":
		return "not all may be read: " + unseen
	case slices.ContainsFunc(l.seen.Secretive, c.takes):
		return "the injector may read Secrets, which are never looked at"
	case l.since.After(c.After.Add(-settled)):
		return "what was only deleted leaves no trace"
	}
	return ""
}

// nothing says that no write fits, and what may be the reason.
func (l *Ledger) nothing(c Change) string {
	text := "nothing that may be read changed then"
	if l.since.After(c.After.Add(-settled)) {
		text += ", as far as it left a trace: what was only deleted leaves none"
	}
	if unseen := l.unseen(c); unseen != "" {
		text += "; not read: " + unseen
	}
	return text
}

// unseen lists what could not be read and may have made the change.
func (l *Ledger) unseen(c Change) string {
	const most = 3
	var list []string
	for _, u := range l.seen.Unseen {
		if (u.Injector == "" || c.by(u.Injector)) && !contains(list, u.What) {
			list = append(list, u.What)
		}
	}
	if len(list) > most {
		list = append(list[:most:most], "and more")
	}
	return strings.Join(list, ", ")
}
