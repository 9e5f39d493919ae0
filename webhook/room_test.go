package webhook

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
)

func TestLanes(t *testing.T) {
	r := newRoom()
	for length, want := range map[int64]struct {
		lane *lane
		size int64
	}{
		-1:               {&r.large, maxBody},
		0:                {&r.ordinary, leastBody},
		leastBody + 1:    {&r.ordinary, leastBody + 1},
		ordinaryBody:     {&r.ordinary, ordinaryBody},
		ordinaryBody + 1: {&r.large, ordinaryBody + 1},
		maxBody:          {&r.large, maxBody},
	} {
		if lane, size := r.lane(length); lane != want.lane || size != want.size {
			t.Errorf("%d bytes count %d; in the large lane: %v", length, size, lane == &r.large)
		}
	}
}

// TestTurns: a review waits for those before it, but not for ever, and not for
// an API server that has left.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lane := newLane(1, 1)
		if err := lane.turn(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := lane.turn(t.Context()); !errors.Is(err, overloaded) {
			t.Errorf("without a turn: %v", err)
		}
		left, leave := context.WithCancel(t.Context())
		leave()
		if err := lane.turn(left); !errors.Is(err, overloaded) {
			t.Errorf("nobody waits: %v", err)
		}
		next := make(chan error)
		go func() { next <- lane.turn(t.Context()) }()
		synctest.Wait()
		lane.endTurn()
		if err := <-next; err != nil {
			t.Errorf("the next turn: %v", err)
		}
	})
}

// TestNoRoom: what finds no room is refused without being read, and counted;
// the room is given back whatever becomes of a request.
func TestNoRoom(t *testing.T) {
	h := newHarness()
	if err := h.room.ordinary.enter(ordinaryBodies); err != nil {
		t.Fatal(err)
	}
	recorder := h.post(bytes.NewReader(readFixture(t)))
	if recorder.Code != http.StatusServiceUnavailable || recorder.Header().Get("Retry-After") != "" {
		t.Errorf("status %d, Retry-After %q", recorder.Code, recorder.Header().Get("Retry-After"))
	}
	h.wantCounted(t, failed)
	h.room.ordinary.leave(ordinaryBodies)

	h.review(t, string(readFixture(t)))
	h.post(strings.NewReader("no JSON"))
	if err := h.room.ordinary.enter(ordinaryBodies); err != nil {
		t.Error("room was not given back")
	}
}
