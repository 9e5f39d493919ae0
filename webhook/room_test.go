package webhook

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var (
	one   = netip.MustParseAddr("10.0.0.1")
	other = netip.MustParseAddr("10.0.0.2")
)

// guest is a stay, with how often it was ended.
type guest struct {
	*stay
	ended int
}

// enter has a review enter the room, which may refuse it.
func enter(r *room, from netip.Addr) (*guest, error) {
	g := &guest{}
	var err error
	g.stay, err = r.enter(from, func() { g.ended++ })
	return g, err
}

// fill has a client take all the room that ordinary reviews have, one after the
// other.
func fill(t *testing.T, r *room, from netip.Addr) []*guest {
	t.Helper()
	var guests []*guest
	for range ordinaryBodies / chunkSize {
		g, err := enter(r, from)
		must(t, err)
		guests = append(guests, g)
		time.Sleep(time.Microsecond)
	}
	return guests
}

func endedOf(guests []*guest) int {
	n := 0
	for _, g := range guests {
		n += g.ended
	}
	return n
}

// TestGreedyClient: who holds the most gives room to another client, and gets no
// more: of what arrives the first goes.
func TestGreedyClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom()
		guests := fill(t, r, one)
		if _, err := enter(r, one); !errors.Is(err, overloaded) {
			t.Errorf("one more of the client that has all: %v", err)
		}
		time.Sleep(time.Millisecond)
		must(t, guests[0].begin(waiting, func() { guests[0].ended++ }))
		must(t, guests[1].begin(judged, nil))
		for range 100 {
			_, err := enter(r, other)
			must(t, err)
		}
		if ended := endedOf(guests); ended != 100 || guests[0].ended+guests[1].ended > 0 {
			t.Errorf("%d made room for 100; the one that waits: %d", ended, guests[0].ended)
		}
		// Half each, and no more: neither takes the other's.
		for range 1000 {
			_, _ = enter(r, other)
		}
		if r.ordinary.from[one] != r.ordinary.from[other] {
			t.Errorf("one holds %d bytes, the other %d", r.ordinary.from[one], r.ordinary.from[other])
		}
		if err := guests[2].hold(2 * chunkSize); guests[2].ended != 1 || !errors.Is(err, overloaded) {
			t.Errorf("one that had to go, %d times, goes on: %v", guests[2].ended, err)
		}
	})
}

// TestOverdue: what does not arrive, or is not read, goes when anybody needs the
// room; what waits for its turn does not.
func TestOverdue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom()
		guests := fill(t, r, one)
		must(t, guests[0].begin(answered, func() { guests[0].ended++ }))
		for _, g := range guests[2:] {
			must(t, g.begin(waiting, nil))
		}
		time.Sleep(overdue + 1)
		for range 2 {
			_, err := enter(r, one)
			must(t, err)
		}
		if guests[0].ended != 1 || guests[1].ended != 1 {
			t.Errorf("ended: %d, %d", guests[0].ended, guests[1].ended)
		}
		if _, err := enter(r, one); !errors.Is(err, overloaded) {
			t.Errorf("nobody else is overdue: %v", err)
		}
	})
}

// TestHold: what has arrived counts, in the lane of its size, and nothing else.
func TestHold(t *testing.T) {
	r := newRoom()
	g, err := enter(r, one)
	must(t, err)
	for size, want := range map[int64][2]int64{
		chunkSize:     {chunkSize, 0},
		2 * chunkSize: {2 * chunkSize, 0},
		ordinaryBody:  {ordinaryBody, 0},
	} {
		must(t, g.hold(size))
		if got := [2]int64{r.ordinary.taken, r.large.taken}; got[0] < want[0] || got[1] != 0 {
			t.Errorf("%d bytes count %v", size, got)
		}
	}
	must(t, g.hold(maxBody))
	if r.ordinary.taken != 0 || r.large.taken != maxBody {
		t.Errorf("a large one counts %d and %d", r.ordinary.taken, r.large.taken)
	}
	g.leave()
	if r.large.taken != 0 || len(r.large.from)+len(r.large.holds) != 0 {
		t.Errorf("it has left %d", r.large.taken)
	}
}

// TestRoomIsBounded: whatever clients do, no lane holds more than its limit, it
// holds what its guests do, and a client with less than its share is never ended
// before it is overdue.
func TestRoomIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 2))
		r := newRoom()
		clients := []netip.Addr{one, other, netip.MustParseAddr("10.0.0.3"), netip.MustParseAddr("10.0.0.4")}
		modest := netip.MustParseAddr("10.0.0.5")
		var guests []*guest
		for range 20_000 {
			switch random.IntN(12) {
			case 0:
				time.Sleep(time.Millisecond)
			case 1, 2:
				if len(guests) > 0 {
					i := random.IntN(len(guests))
					guests[i].leave()
					guests = slices.Delete(guests, i, i+1)
				}
			case 3:
				g, err := enter(r, modest)
				must(t, err)
				must(t, g.hold(ordinaryBody))
				if g.ended > 0 {
					t.Fatal("a client of one review had to go")
				}
				g.leave()
			case 4, 5, 6, 7, 8:
				if g, err := enter(r, clients[random.IntN(len(clients))]); err == nil {
					guests = append(guests, g)
				}
			default:
				if len(guests) > 0 {
					_ = guests[random.IntN(len(guests))].hold(random.Int64N(maxBody))
				}
			}
			for _, l := range []*lane{r.ordinary, r.large} {
				var holds, from int64
				for _, size := range l.holds {
					holds += size
				}
				for _, size := range l.from {
					from += size
				}
				if l.taken > l.limit || l.taken != holds || l.taken != from {
					t.Fatalf("a lane of %d holds %d: %d by guest, %d by client", l.limit, l.taken, holds, from)
				}
			}
		}
		for _, g := range guests {
			if g.ended > 1 || (g.ended == 1) != g.wasEvicted() {
				t.Errorf("ended %d times", g.ended)
			}
			g.leave()
		}
		if r.ordinary.taken+r.large.taken != 0 {
			t.Error("room was not given back")
		}
	})
}

// TestTurns: a review waits for those before it, but not for ever, not for an API
// server that has left, and not when others need its room.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom()
		r.ordinary = newLane(ordinaryBodies, 1)
		arrive := func() *stay {
			g, err := enter(r, one)
			must(t, err)
			return g.stay
		}
		first := arrive()
		must(t, first.turn(t.Context()))
		if err := arrive().turn(t.Context()); !errors.Is(err, overloaded) {
			t.Errorf("without a turn: %v", err)
		}
		left, leave := context.WithCancel(t.Context())
		leave()
		if err := arrive().turn(left); !errors.Is(err, overloaded) {
			t.Errorf("nobody waits: %v", err)
		}
		next, evicted := make(chan error), make(chan error)
		waits := arrive()
		go func() { next <- waits.turn(t.Context()) }()
		synctest.Wait()
		goes := arrive()
		go func() { evicted <- goes.turn(t.Context()) }()
		synctest.Wait()
		r.mu.Lock()
		goes.evict()
		r.mu.Unlock()
		if err := <-evicted; !errors.Is(err, overloaded) {
			t.Errorf("an evicted one: %v", err)
		}
		first.endTurn()
		if err := <-next; err != nil {
			t.Errorf("the next turn: %v", err)
		}
	})
}

// TestNoRoom: what finds no room is refused without being read, and counted;
// the room is given back whatever becomes of a request.
func TestNoRoom(t *testing.T) {
	h := newHarness()
	h.room.ordinary.limit = chunkSize - 1
	recorder := h.post(bytes.NewReader(readFixture(t)))
	if recorder.Code != http.StatusServiceUnavailable || recorder.Header().Get("Retry-After") != "" {
		t.Errorf("status %d, Retry-After %q", recorder.Code, recorder.Header().Get("Retry-After"))
	}
	h.wantCounted(t, failed)
	h.room.ordinary.limit = ordinaryBodies

	h.review(t, string(readFixture(t)))
	h.post(strings.NewReader("no JSON"))
	h.post(strings.NewReader(""))
	h.post(strings.NewReader(strings.Repeat(" ", maxBody+1)))
	if h.room.ordinary.taken+h.room.large.taken != 0 {
		t.Error("room was not given back")
	}
}
