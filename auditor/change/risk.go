package change

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Risk is what kind of thing happens to a workload that takes a change over.
type Risk string

// Risks, each one more than those before it.
const (
	Cosmetic  Risk = "cosmetic"  // nothing that runs goes by it
	Tuning    Risk = "tuning"    // the same program, with more or less of something
	Version   Risk = "version"   // another version of the same program
	Behaviour Risk = "behaviour" // it does, may do or is checked for something else
	Loss      Risk = "loss"      // what was injected goes, and nothing comes for it
)

// Risks are all that there are, the least first.
func Risks() []Risk { return []Risk{Cosmetic, Tuning, Version, Behaviour, Loss} }

// rank is a risk's place among all; less than 0 for none.
func (r Risk) rank() int { return slices.Index(Risks(), r) }

// Exceeds reports whether a risk is more than another one.
func (r Risk) Exceeds(other Risk) bool { return r.rank() > other.rank() }

// Kind is what a change is of.
type Kind string

// Kinds, the most telling first.
const (
	ContainerRemoved Kind = "containerRemoved"
	ContainerAdded   Kind = "containerAdded"
	Image            Kind = "image"
	Security         Kind = "security"
	Probe            Kind = "probe"
	Args             Kind = "args"
	Network          Kind = "network"
	Env              Kind = "env"
	Volume           Kind = "volume"
	Resources        Kind = "resources"
	Placement        Kind = "placement"
	Annotation       Kind = "annotation"
	Order            Kind = "order"
	Other            Kind = "other"
)

// Kinds are all that there are.
func Kinds() []Kind {
	return []Kind{
		ContainerRemoved, ContainerAdded, Image, Security, Probe, Args, Network, Env, Volume, Resources, Placement, Annotation, Order, Other,
	}
}

// assessment is what a rule says of a place.
type assessment struct {
	kind   Kind
	risk   Risk
	reason string
	rule   int // its number, from 1
}

// worse is the one of more risk; of two alike the one whose rule comes first.
func worse(a, b assessment) assessment {
	if better(a, b, cmp.Compare(b.risk.rank(), a.risk.rank())) {
		return a
	}
	return b
}

// moreTelling is the one whose kind comes first.
func moreTelling(a, b assessment) assessment {
	rank := func(k Kind) int { return slices.Index(Kinds(), k) }
	if better(a, b, cmp.Compare(rank(a.kind), rank(b.kind))) {
		return a
	}
	return b
}

func better(a, b assessment, first int) bool {
	if a.rule == 0 || b.rule == 0 {
		return a.rule != 0
	}
	return cmp.Or(first, cmp.Compare(a.rule, b.rule), cmp.Compare(a.reason, b.reason)) <= 0
}

// Assess says how risky all is that a workload differs in, by its worst place, which is
// PART:PATH. What is unstable counts: re-created Pods get it, one way or another. Of what is
// not known whole, nothing less than a loss can be excluded.
func Assess(w Workload) (risk Risk, reason string) {
	g := grouper{places: newPlaces()}
	g.take(w)
	places := g.unstable(w)
	for _, p := range g.sets[0] {
		places = append(places, g.all[p])
	}
	switch {
	case g.part[0]:
		return Loss, "it differs in more places than are known"
	case len(places) == 0:
		return Loss, "it is not known in what it differs"
	}
	var worst assessment
	at := ""
	for _, p := range places {
		if next := worse(worst, p.assessed); next != worst {
			worst, at = next, p.at()
		}
	}
	return worst.risk, fmt.Sprintf("%s: %s", worst.reason, strings.TrimPrefix(at, "container/"))
}
