package cover

import (
	"math"
	"slices"
	"time"
)

// learned is a feature that no single thing is: what told those that a change moved
// from others.
type learned[W comparable] struct {
	features []Feature  // all of them; none:
	listed   map[W]bool // these workloads, which have nothing in common that others have not
	// weight is what it was needed for, which halves in halfLife, as of since.
	weight float64
	since  time.Time
}

const (
	halfLife = 24 * time.Hour
	// needless is the weight at which one is dropped: after three days if nothing needed
	// it, a week at most.
	needless, mostWeight = 0.125, 16
	// mostLearned bounds how many there are, mostListed how many workloads one lists.
	mostLearned, mostListed = 128, 256
)

func (f *learned[W]) weightAt(now time.Time) float64 {
	return f.weight * math.Exp2(-float64(now.Sub(f.since))/float64(halfLife))
}

// needed says that the feature told something.
func (f *learned[W]) needed(now time.Time) {
	f.weight, f.since = min(f.weightAt(now)+1, mostWeight), now
}

// learn adds a feature, in the place of the least needed one where there are too many.
func (l *Ledger[K, W]) learn(f learned[W], now time.Time) {
	for _, other := range l.learned {
		if slices.Equal(other.features, f.features) && sameWorkloads(other.listed, f.listed) {
			other.needed(now)
			return
		}
	}
	f.weight, f.since = 1, now
	if len(l.learned) >= mostLearned {
		least := slices.MinFunc(l.learned, func(a, b *learned[W]) int {
			return int(math.Copysign(1, a.weightAt(now)-b.weightAt(now)))
		})
		l.learned = slices.DeleteFunc(l.learned, func(other *learned[W]) bool { return other == least })
	}
	l.learned = append(l.learned, &f)
	l.dirty = true
}

func sameWorkloads[W comparable](a, b map[W]bool) bool {
	if len(a) != len(b) {
		return false
	}
	for w := range a {
		if !b[w] {
			return false
		}
	}
	return true
}

// forgetLearned drops what nothing has needed for long, and workloads that are gone.
func (l *Ledger[K, W]) forgetLearned(now time.Time) {
	before := len(l.learned)
	l.learned = slices.DeleteFunc(l.learned, func(f *learned[W]) bool {
		for w := range f.listed {
			if l.workloads[w] == 0 {
				delete(f.listed, w)
			}
		}
		return f.weightAt(now) < needless || f.features == nil && len(f.listed) == 0
	})
	l.dirty = l.dirty || len(l.learned) != before
}

// hasAll reports whether a set has all of the features.
func (l *Ledger[K, W]) hasAll(s *set[K, W], features []Feature) bool {
	for _, f := range features {
		id, known := l.ids[f]
		if !known || !s.has(id) {
			return false
		}
	}
	return true
}

func (s *set[K, W]) has(id uint32) bool {
	_, has := slices.BinarySearch(s.ids, id)
	return has
}
