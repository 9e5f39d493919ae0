package webhook

import (
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Bounds of the reviews under way. Together with the connections' they keep the
// stamper within the memory that its manifest gives it, whatever it is sent:
// docs/security.md has the measurements.
const (
	// ordinaryBody is more than nearly all reviews have; an injected Pod's is
	// some 10 KiB.
	ordinaryBody = 64 << 10

	ordinaryBodies = 8 << 20
	largeBodies    = 3 * maxBody

	// How many reviews are judged at once. An ordinary one takes some 100 µs.
	ordinaryTurns = 2
	largeTurns    = 1

	// overdue is how long a review may arrive, or its answer may leave, before it has
	// to go when others need its room. An API server takes a few milliseconds.
	overdue = 100 * time.Millisecond
)

// overloaded is answered without a Retry-After: it would make the API server
// ask again, and hold up the creation of a Pod.
var overloaded = refusal{http.StatusServiceUnavailable, "too many reviews are under way"}

// room is the memory for reviews. What is held of one is what has arrived, a
// chunk at a time, whatever it announced. When there is no more room, somebody
// goes who holds it longer or more than the one who asks: so one client, be it
// slow or greedy, does not keep another from an answer.
//
// What has grown large is in a lane of its own: whoever sends many of those keeps
// no ordinary Pod from its stamp.
type room struct {
	now func() time.Time

	mu              sync.Mutex
	ordinary, large *lane
}

func newRoom() *room {
	return &room{now: time.Now, ordinary: newLane(ordinaryBodies, ordinaryTurns), large: newLane(largeBodies, largeTurns)}
}

// stay is the stay of one review in the room, from its headers to its answer.
type stay struct {
	room *room
	from netip.Addr

	// The room's lock guards these.
	lane    *lane
	phase   phase
	since   time.Time // of the phase
	end     func()    // of the phase; must not block
	evicted bool
}

type phase int

const (
	arriving phase = iota
	waiting        // for its turn
	judged         // which nothing ends
	answered
)

// enter begins the stay of a review of which the headers have arrived; leave must
// follow. The review itself takes memory, too: it counts as its first chunk. If it
// is evicted end is called, once.
func (r *room) enter(from netip.Addr, end func()) (*stay, error) {
	s := &stay{room: r, from: from, since: r.now(), lane: r.ordinary, end: end}
	return s, s.hold(chunkSize)
}

// hold makes room for a body of that many bytes in all, which have arrived.
func (s *stay) hold(size int64) error {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	lane := s.room.ordinary
	if size > ordinaryBody {
		lane = s.room.large
	}
	if s.evicted || !lane.take(s, size) {
		return overloaded
	}
	if lane != s.lane {
		s.lane.release(s)
		s.lane = lane
	}
	return nil
}

// begin begins a phase, which end ends early; it fails after an eviction.
func (s *stay) begin(p phase, end func()) error {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	if s.evicted {
		return overloaded
	}
	s.phase, s.since, s.end = p, s.room.now(), end
	return nil
}

// evict gives the room of a review to others, under the room's lock. The memory
// follows when its handler has heard of it.
func (s *stay) evict() {
	s.evicted = true
	s.lane.release(s)
	s.end()
}

func (s *stay) wasEvicted() bool {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	return s.evicted
}

// leave gives the room back. No end is called afterwards.
func (s *stay) leave() {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	s.lane.release(s)
}
