package pace_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/pace"
)

// machine is what an API server and its webhooks run on: a request works on one of
// the cores, and sleeps beside.
type machine struct {
	cores       int
	work, sleep time.Duration
	seats       int // more at once are rejected; 0: none is
	others      int // clients that have one request under way all the time
}

// server is one that runs.
type server struct {
	mu       sync.Mutex
	machine  machine
	random   *rand.Rand
	queue    chan struct{}
	underWay int
}

// start returns a server whose other clients go on until the context is done.
func start(ctx context.Context, m machine, group *sync.WaitGroup) *server {
	s := &server{random: rand.New(rand.NewPCG(1, 1)), queue: make(chan struct{}, m.cores)}
	s.becomes(ctx, m, group)
	return s
}

// becomes changes the machine. Its cores stay, and the other clients that it has.
func (s *server) becomes(ctx context.Context, m machine, group *sync.WaitGroup) {
	s.mu.Lock()
	defer s.mu.Unlock()
	more := m.others - s.machine.others
	s.machine = m
	for range more {
		group.Go(func() {
			for ctx.Err() == nil {
				s.serve()
			}
		})
	}
}

// ask is a request of ours.
func (s *server) ask() pace.Outcome {
	s.mu.Lock()
	s.underWay++
	full := s.machine.seats > 0 && s.underWay > s.machine.seats
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.underWay--
	}()
	if full {
		return pace.Rejected
	}
	s.serve()
	return pace.Answered
}

func (s *server) serve() {
	s.mu.Lock()
	jitter := 0.8 + 0.4*s.random.Float64()
	m := s.machine
	s.mu.Unlock()
	time.Sleep(time.Duration(jitter * float64(m.sleep)))
	s.queue <- struct{}{}
	time.Sleep(time.Duration(jitter * float64(m.work)))
	<-s.queue
}

// client sends requests, and those that are rejected a second later again.
type client struct {
	limiter *pace.Limiter // nil: as many at once as there are workers
	workers int
	server  *server

	mu       sync.Mutex
	beside   []int // how many were under way, by request
	rejected int
}

func (c *client) send(ctx context.Context, requests int) error {
	var group sync.WaitGroup
	todo := make(chan struct{}, requests)
	for range requests {
		todo <- struct{}{}
	}
	close(todo)
	errs := make(chan error, c.workers)
	for range c.workers {
		group.Go(func() {
			for range todo {
				if err := c.one(ctx); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	group.Wait()
	close(errs)
	return <-errs
}

func (c *client) one(ctx context.Context) error {
	for {
		var slot *pace.Slot
		if c.limiter != nil {
			var err error
			if slot, err = c.limiter.Acquire(ctx); err != nil {
				return err
			}
		}
		c.server.mu.Lock()
		underWay := c.server.underWay + 1
		c.server.mu.Unlock()
		outcome := c.server.ask()
		if slot != nil {
			slot.Release(pace.Result{Class: "pods", Outcome: outcome})
		}
		c.mu.Lock()
		c.beside = append(c.beside, underWay)
		if outcome == pace.Rejected {
			c.rejected++
		}
		c.mu.Unlock()
		if outcome == pace.Answered {
			return nil
		}
		time.Sleep(time.Second)
	}
}

// settled is how many were under way in the median of the last quarter.
func (c *client) settled() int {
	later := slices.Sorted(slices.Values(c.beside[len(c.beside)*3/4:]))
	return later[len(later)/2]
}

// run sends requests to a machine that becomes another one after half of them, and
// returns how long all took.
func run(t *testing.T, limiter *pace.Limiter, workers, requests int, m, later machine) (*client, time.Duration) {
	t.Helper()
	c := &client{limiter: limiter, workers: workers}
	var took time.Duration
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		c.server = start(ctx, m, &group)
		begin := time.Now()
		if err := c.send(ctx, requests/2); err != nil {
			t.Error(err)
		}
		c.server.becomes(ctx, later, &group)
		if err := c.send(ctx, requests/2); err != nil {
			t.Error(err)
		}
		took = time.Since(begin)
		cancel()
		group.Wait()
		time.Sleep(2 * time.Second) // rests end
	})
	return c, took
}
