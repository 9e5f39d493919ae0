package meaning

import (
	"crypto/sha256"
	"maps"
	"strconv"
	"strings"
)

// place is what varies at a place in a value, and below it. A nil place is one where
// nothing does.
type place struct {
	// whole: nothing here can be compared. Then nothing else is said.
	whole bool
	// unordered: the order of the list here means nothing.
	unordered bool
	// below are places by their keys, see placeKey. Only those where something
	// varies are there.
	below map[string]*place
}

// longestKey of a place; longer ones are hashed.
const longestKey = 80

// placeKey names a place below another one: 'k' and a map's key, 'i' and a list's
// index, '=' and what tells an item apart, '-' and a flag.
func placeKey(kind byte, parts ...string) string {
	length := 1
	for _, part := range parts {
		length += len(part)
	}
	if length <= longestKey {
		return string(kind) + strings.Join(parts, "")
	}
	digest := sha256.Sum256([]byte(string(kind) + strings.Join(parts, "")))
	return "#" + string(digest[:])
}

func indexKey(i int) string { return placeKey('i', strconv.Itoa(i)) }

func (p *place) at(key string) *place {
	if p == nil {
		return nil
	}
	return p.below[key]
}

// reach is at, and makes the place.
func (p *place) reach(key string) *place {
	below := p.below[key]
	if below == nil {
		below = &place{}
		if p.below == nil {
			p.below = map[string]*place{}
		}
		p.below[key] = below
	}
	return below
}

func (p *place) vary() { *p = place{whole: true} }

// indexed reports whether items vary that are known by their index only.
func (p *place) indexed() bool {
	if p == nil {
		return false
	}
	for key := range p.below {
		if key[0] == 'i' {
			return true
		}
	}
	return false
}

// settle makes the place vary as a whole if what is known contradicts itself: an
// index says nothing where the order varies.
func (p *place) settle() {
	if p.unordered && p.indexed() {
		p.vary()
	}
}

func (p *place) clone() *place {
	if p == nil {
		return &place{}
	}
	clone := &place{whole: p.whole, unordered: p.unordered}
	for key, below := range p.below {
		*clone.reach(key) = *below.clone()
	}
	return clone
}

func (p *place) merge(other *place) {
	if p.whole || other.whole {
		p.vary()
		return
	}
	p.unordered = p.unordered || other.unordered
	for key, below := range other.below {
		p.reach(key).merge(below)
	}
	p.settle()
}

func (p *place) equal(other *place) bool {
	if p == nil || other == nil {
		return p == other
	}
	return p.whole == other.whole && p.unordered == other.unordered && maps.EqualFunc(p.below, other.below, (*place).equal)
}

// size is the number of places below.
func (p *place) size() int {
	if p == nil {
		return 0
	}
	size := len(p.below)
	for _, below := range p.below {
		size += below.size()
	}
	return size
}

// bound makes those places vary as a whole that have the most below them, until
// there are not too many any more: random keys come in great numbers.
func (p *place) bound() {
	for most := maxPlaces; p.size() > maxPlaces; most /= 2 {
		p.collapse(most)
	}
}

func (p *place) collapse(most int) {
	if len(p.below) > most {
		p.vary()
		return
	}
	for _, below := range p.below {
		below.collapse(most)
	}
}
