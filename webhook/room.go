package webhook

import (
	"context"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/sidecar-drift/sidecar-drift/internal/jsontree"
)

// Bounds of the reviews under way. Together with the connections' they keep the
// stamper within the memory that its manifest gives it, whatever it is sent:
// docs/security.md has the measurements.
const (
	// ordinaryBody is more than nearly all reviews have; an injected Pod's is
	// some 10 KiB.
	ordinaryBody = 64 << 10
	// leastBody is what a review under way counts at least: the request itself
	// takes memory too.
	leastBody = 16 << 10

	ordinaryBodies = 8 << 20
	largeBodies    = 3 * maxBody

	// How many reviews are judged at once. An ordinary one takes some 100 µs.
	ordinaryTurns = 2
	largeTurns    = 1
)

// patience is how long a review waits for its turn, well within the two seconds
// that the API server waits for the answer.
const patience = time.Second

// overloaded is answered without a Retry-After: it would make the API server
// ask again, and hold up the creation of a Pod.
var overloaded = refusal{http.StatusServiceUnavailable, "too many reviews are under way"}

// room is where reviews are read and judged. Large ones have a lane of their
// own: whoever sends many of them keeps no ordinary Pod from its stamp.
type room struct{ ordinary, large lane }

func newRoom() room {
	return room{ordinary: newLane(ordinaryBodies, ordinaryTurns), large: newLane(largeBodies, largeTurns)}
}

// lane returns the lane for a body of this length, and what it counts there. A
// length that is not announced may be any.
func (r *room) lane(length int64) (*lane, int64) {
	switch {
	case length < 0:
		return &r.large, maxBody
	case length > ordinaryBody:
		return &r.large, length
	default:
		return &r.ordinary, max(length, leastBody)
	}
}

// lane bounds the bytes of bodies, which are refused when there is no room, and
// the reviews that are judged at once, which wait.
type lane struct {
	bodies, turns *semaphore.Weighted
	readers       *sync.Pool // no more than turns are in use
}

func newLane(bodies, turns int64) lane {
	return lane{
		bodies:  semaphore.NewWeighted(bodies),
		turns:   semaphore.NewWeighted(turns),
		readers: &sync.Pool{New: func() any { return new(jsontree.Reader) }},
	}
}

// enter takes room for a body. What it takes must be given back with leave.
func (l *lane) enter(size int64) error {
	if !l.bodies.TryAcquire(size) {
		return overloaded
	}
	return nil
}

func (l *lane) leave(size int64) { l.bodies.Release(size) }

// turn waits until a review may be judged; endTurn must follow. It gives up when
// ctx is done, or its patience is at an end.
func (l *lane) turn(ctx context.Context) error {
	if l.turns.TryAcquire(1) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if l.turns.Acquire(ctx, 1) != nil {
		return overloaded
	}
	return nil
}

// reader returns the memory for a review whose turn it is; putReader must
// follow. What a large review takes, no ordinary one keeps: lanes do not share.
func (l *lane) reader() *jsontree.Reader { return l.readers.Get().(*jsontree.Reader) }

func (l *lane) putReader(r *jsontree.Reader) {
	r.Forget()
	l.readers.Put(r)
}

func (l *lane) endTurn() { l.turns.Release(1) }
