package change

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// idDigits is how many hexadecimal digits an ID has: of a thousand changes two have the same
// one once in two million times.
const idDigits = 10

// ID names a change by what it is. IDs are added modulo 2^40.
type ID uint64

// idOf is that of a place.
func idOf(key [sha256.Size]byte) ID {
	return ID(binary.BigEndian.Uint64(key[:])).reduced()
}

func (id ID) plus(other ID) ID { return (id + other).reduced() }

func (id ID) reduced() ID { return id & (1<<(4*idDigits) - 1) }

// String is ten hexadecimal digits.
func (id ID) String() string { return fmt.Sprintf("%0*x", idDigits, uint64(id)) }

// ParseID reads what String wrote.
func ParseID(text string) (ID, error) {
	id, err := strconv.ParseUint(text, 16, 64)
	if err != nil || len(text) != idDigits {
		return 0, fmt.Errorf("%q is no change's ID, which has %d hexadecimal digits, as the report shows them", text, idDigits)
	}
	return ID(id), nil
}

// MostNamed is how many changes may be named at once.
const MostNamed = 16

// Named are changes that were named by their IDs.
type Named struct {
	ids  []ID
	sums map[ID]bool // of any of them
}

// Name makes a Named of at most MostNamed IDs.
func Name(ids ...ID) Named {
	n := Named{ids: ids[:min(len(ids), MostNamed)], sums: map[ID]bool{0: true}}
	for _, id := range n.ids {
		with := make([]ID, 0, len(n.sums))
		for sum := range n.sums {
			with = append(with, sum.plus(id))
		}
		for _, sum := range with {
			n.sums[sum] = true
		}
	}
	return n
}

// Any reports whether there are some.
func (n Named) Any() bool { return len(n.ids) > 0 }

// Len is how many are named.
func (n Named) Len() int { return len(n.ids) }

// Equal reports whether the same changes are named, in the same order.
func (n Named) Equal(o Named) bool { return slices.Equal(n.ids, o.ids) }

// Has reports whether a change is named, by its ID as text.
func (n Named) Has(id string) bool {
	return slices.ContainsFunc(n.ids, func(own ID) bool { return own.String() == id })
}

// Covers reports whether all that the workload differs in is of these changes. It need not
// be grouped with others: wherever changes are found, those of a workload sum up to what it
// differs in; other sums are the same once in 2^40 times. Where nothing is known of a workload,
// or not all, or something is unstable, which is part of no change, they do not.
func (n Named) Covers(w Workload) bool {
	g := grouper{places: newPlaces()}
	g.take(w)
	if g.part[0] || len(g.sets[0]) == 0 || w.unstable() {
		return false
	}
	sum := ID(0)
	for _, p := range g.sets[0] {
		sum = sum.plus(g.all[p].id)
	}
	return n.sums[sum]
}

func (w Workload) unstable() bool {
	return slices.ContainsFunc(w.Revisions, func(r Revision) bool {
		return slices.ContainsFunc(r.Changes, func(c verdict.Change) bool { return c.Unstable })
	})
}
