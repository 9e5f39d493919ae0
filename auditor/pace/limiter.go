package pace

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Result is what became of a request.
type Result struct {
	// Class holds requests that should take equally long, as they pass the same
	// webhooks: only these are compared. It matters for those that are answered.
	Class   string
	Outcome Outcome
}

// Outcome of a request.
type Outcome int

// Outcomes.
const (
	// Failed requests tell nothing: a lost connection comes early, a timeout late.
	Failed Outcome = iota
	// Answered requests took as long as they take, with whatever answer.
	Answered
	// Rejected requests were too many (429).
	Rejected
)

// controller decides by what became of requests. It is a function of what it is
// told: it reads no clock.
type controller interface {
	// allowed is how many requests may be under way or rest.
	allowed() int
	// rest is for how long nothing takes the place of one that took so long.
	rest(took time.Duration) time.Duration
	// round numbers what was decided; a request belongs to the one it is sent in.
	round() int
	done(sample)
}

// sample is a request that is done.
type sample struct {
	Result
	took  time.Duration
	round int
	// beside is how many were under way when it was sent, itself included.
	beside int
}

// Limiter keeps requests waiting while there are enough. Its methods may be called
// concurrently.
type Limiter struct {
	mu         sync.Mutex
	controller controller
	underWay   int
	resting    int
	waiting    []chan struct{}
}

// New returns a Limiter that has at most so many requests under way at once, at
// least one.
func New(most int) *Limiter { return &Limiter{controller: newGradient(most)} }

// NewGentle returns a Limiter that has another client's requests take hardly
// longer than without it: most of the time nothing is under way, unless a few at
// once, at most so many, turn out to slow nothing down.
func NewGentle(most int) *Limiter { return &Limiter{controller: newGentle(most)} }

// Slot is the right to one request. It must be released.
type Slot struct {
	limiter *Limiter
	sent    time.Time
	round   int
	beside  int
}

// Acquire waits until a request may be sent. The error is the context's cause.
func (l *Limiter) Acquire(ctx context.Context) (*Slot, error) {
	turn := l.queue()
	select {
	case <-turn:
	case <-ctx.Done():
		l.leave(turn)
		return nil, context.Cause(ctx)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return &Slot{limiter: l, sent: time.Now(), round: l.controller.round(), beside: l.underWay}, nil
}

// Release says what became of the request.
func (s *Slot) Release(r Result) {
	took := time.Since(s.sent)
	l := s.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	l.underWay--
	l.controller.done(sample{Result: r, took: took, round: s.round, beside: s.beside})
	if rest := l.controller.rest(took); rest > 0 {
		l.resting++
		time.AfterFunc(rest, l.rested)
	}
	l.admit()
}

func (l *Limiter) rested() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.resting--
	l.admit()
}

// queue returns what is closed when it is one's turn.
func (l *Limiter) queue() chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	turn := make(chan struct{})
	l.waiting = append(l.waiting, turn)
	l.admit()
	return turn
}

// leave gives the place in the queue back, or the turn.
func (l *Limiter) leave(turn chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at := slices.Index(l.waiting, turn); at >= 0 {
		l.waiting = slices.Delete(l.waiting, at, at+1)
		return
	}
	l.underWay--
	l.admit()
}

// admit lets those in whose turn it is.
func (l *Limiter) admit() {
	for len(l.waiting) > 0 && l.underWay+l.resting < l.controller.allowed() {
		l.underWay++
		close(l.waiting[0])
		l.waiting = l.waiting[1:]
	}
}
