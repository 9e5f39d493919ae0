package webhook

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// patience is how long a review waits for its turn, well within the two seconds
// that the API server waits for the answer.
const patience = time.Second

// lane bounds the bytes of bodies and the reviews that are judged at once, which
// wait for each other. Its room's lock guards the first.
type lane struct {
	limit, taken int64
	holds        map[*stay]int64
	from         map[netip.Addr]int64 // of taken, by client

	turns *semaphore.Weighted
	desks *sync.Pool // no more than turns are in use
}

// desk is the memory for a review whose turn it is. What a large review takes, no
// ordinary one keeps: lanes do not share.
type desk struct {
	reader jsontree.Reader
	joined []byte
}

func newLane(limit, turns int64) *lane {
	return &lane{
		limit: limit, holds: map[*stay]int64{}, from: map[netip.Addr]int64{},
		turns: semaphore.NewWeighted(turns),
		desks: &sync.Pool{New: func() any { return new(desk) }},
	}
}

// take has a review hold that many bytes in all, at the cost of others if need be;
// it reports whether there are as many.
func (l *lane) take(s *stay, size int64) bool {
	more := size - l.holds[s]
	if more <= 0 {
		return true
	}
	for l.taken+more > l.limit {
		other := l.victim(s, more)
		if other == nil {
			return false
		}
		other.evict()
	}
	l.holds[s] = size
	l.taken += more
	l.from[s.from] += more
	return true
}

// release takes back what a review holds.
func (l *lane) release(s *stay) {
	size := l.holds[s]
	delete(l.holds, s)
	l.taken -= size
	if l.from[s.from] -= size; l.from[s.from] == 0 {
		delete(l.from, s.from)
	}
}

// victim is who must go for a review that needs that many bytes more: one that is
// overdue, else one of a client that holds more than the review's would; nil if
// there is none. Of several it is one of the client that holds the most: of those
// that wait for their client the first, of those that wait for their turn the last.
func (l *lane) victim(s *stay, more int64) *stay {
	now, share := s.room.now(), l.from[s.from]+more
	late := func(o *stay) bool { return o.phase != waiting && now.Sub(o.since) > overdue }
	var found *stay
	for o := range l.holds {
		if o == s || o.phase == judged || !late(o) && l.from[o.from] <= share {
			continue
		}
		if found == nil || l.before(o, found, late) {
			found = o
		}
	}
	return found
}

// before reports whether a goes rather than b.
func (l *lane) before(a, b *stay, late func(*stay) bool) bool {
	switch {
	case late(a) != late(b):
		return late(a)
	case l.from[a.from] != l.from[b.from]:
		return l.from[a.from] > l.from[b.from]
	case (a.phase == waiting) != (b.phase == waiting):
		return b.phase == waiting
	case a.phase == waiting:
		return a.since.After(b.since)
	}
	return a.since.Before(b.since)
}

// turn waits until the review may be judged; endTurn must follow if there is no
// error. It gives up when ctx is done, when the review is evicted, or when its
// patience is at an end.
func (s *stay) turn(ctx context.Context) error {
	if !s.lane.turns.TryAcquire(1) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if err := s.begin(waiting, cancel); err != nil {
			return err
		}
		if s.lane.turns.Acquire(ctx, 1) != nil {
			return overloaded
		}
	}
	if err := s.begin(judged, nil); err != nil {
		s.endTurn()
		return err
	}
	return nil
}

func (s *stay) endTurn() { s.lane.turns.Release(1) }

// desk returns the memory for a review whose turn it is; putDesk must follow.
func (l *lane) desk() *desk { return l.desks.Get().(*desk) }

func (l *lane) putDesk(d *desk) {
	d.reader.Forget()
	l.desks.Put(d)
}
