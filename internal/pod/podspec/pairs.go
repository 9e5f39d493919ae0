package podspec

import (
	"slices"
)

// pair is a member of one Pod with its counterpart in the other; either may be
// absent.
type pair struct{ a, b Member }

// pairs merges two sorted lists of members. Keys match as they stand, or but
// for the Pods' own names.
func (d *differ) pairs(inA, inB []Member) []pair {
	pairs := make([]pair, 0, max(len(inA), len(inB)))
	named := false
	for len(inA) > 0 || len(inB) > 0 {
		var p pair
		switch order := compareFirst(inA, inB); {
		case order < 0:
			p.a, inA = inA[0], inA[1:]
			named = named || d.a.named(p.a)
		case order > 0:
			p.b, inB = inB[0], inB[1:]
		default:
			p.a, inA = inA[0], inA[1:]
			p.b, inB = inB[0], inB[1:]
		}
		pairs = append(pairs, p)
	}
	if named {
		pairs = d.pairNameless(pairs)
	}
	return pairs
}

func compareFirst(inA, inB []Member) int {
	switch {
	case len(inA) == 0:
		return 1
	case len(inB) == 0:
		return -1
	}
	return compareMembers(inA[0], inB[0])
}

// pairNameless joins members that lack a counterpart and whose keys are equal
// but for the Pods' names.
func (d *differ) pairNameless(pairs []pair) []pair {
	lone := map[string]int{}
	for i, p := range pairs {
		if !p.a.Node.Exists() && d.b.named(p.b) {
			lone[string(d.b.appendKey(nil, p.b))] = i
		}
	}
	for i, p := range pairs {
		if p.b.Node.Exists() || !d.a.named(p.a) {
			continue
		}
		key := string(d.a.appendKey(nil, p.a))
		if j, ok := lone[key]; ok {
			pairs[i].b, pairs[j].b = pairs[j].b, Member{}
			delete(lone, key)
		}
	}
	return slices.DeleteFunc(pairs, func(p pair) bool { return !p.a.Node.Exists() && !p.b.Node.Exists() })
}
