package pace_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/pace"
)

const most = 16

// An audit is not told what is best for a cluster, and is near it all the same.
func TestNearTheBestFixedLimit(t *testing.T) {
	const requests = 600
	for _, m := range []machine{
		{cores: 1, work: 5 * time.Millisecond},
		{cores: 2, work: 15 * time.Millisecond},
		{cores: 2, work: 7 * time.Millisecond, sleep: 7 * time.Millisecond},
		{cores: 4, work: 10 * time.Millisecond, sleep: 20 * time.Millisecond},
		{cores: 8, work: 10 * time.Millisecond},
		{cores: 32, work: 10 * time.Millisecond},
		{cores: 2, work: 2 * time.Millisecond, sleep: 100 * time.Millisecond},
		{cores: 2, work: 5 * time.Millisecond, sleep: 30 * time.Millisecond, others: 1},
	} {
		t.Run(fmt.Sprintf("%d cores, %v work, %v sleep, %d others", m.cores, m.work, m.sleep, m.others), func(t *testing.T) {
			var fixed []time.Duration
			for _, workers := range []int{1, 2, 4, 8, most} {
				_, took := run(t, nil, workers, requests, m, m)
				fixed = append(fixed, took)
			}
			_, took := run(t, pace.New(most), most, requests, m, m)
			if ratio := float64(took) / float64(slices.Min(fixed)); ratio > 1.10 {
				t.Errorf("took %.2f times as long as the best fixed limit", ratio)
			}
		})
	}
}

func TestUnderWay(t *testing.T) {
	const ms = time.Millisecond
	for name, test := range map[string]struct {
		machine  machine
		later    *machine // nil: it stays
		limiter  *pace.Limiter
		min, max int
	}{
		"one core is busy with a few": {machine{cores: 1, work: 10 * ms}, nil, pace.New(most), 2, 6},
		"a slow injector":             {machine{cores: 2, work: 2 * ms, sleep: 100 * ms}, nil, pace.New(most), most, most},
		"an injector becomes slow": {
			machine{cores: 2, work: 10 * ms}, &machine{cores: 2, work: 2 * ms, sleep: 100 * ms}, pace.New(most), most, most,
		},
		"never more than the most": {machine{cores: 64, work: 10 * ms}, nil, pace.New(3), 3, 3},
		"none is one":              {machine{cores: 64, work: 10 * ms}, nil, pace.New(0), 1, 1},
		"seats for two":            {machine{cores: 64, work: 10 * ms, seats: 2}, nil, pace.New(most), 1, 3},
		"seats go": {
			machine{cores: 64, work: 10 * ms}, &machine{cores: 64, work: 10 * ms, seats: 3}, pace.New(most), 1, 4,
		},
		"gentle: one core":             {machine{cores: 1, work: 10 * ms}, nil, pace.NewGentle(most), 1, 1},
		"gentle: two cores, one other": {machine{cores: 2, work: 10 * ms, others: 1}, nil, pace.NewGentle(most), 1, 1},
		"gentle: a slow injector":      {machine{cores: 2, work: ms, sleep: 100 * ms}, nil, pace.NewGentle(most), 2, 4},
		"gentle: room for all":         {machine{cores: 64, work: 10 * ms, others: 5}, nil, pace.NewGentle(most), 2, 4},
		"gentle: room goes": {
			machine{cores: 2, work: ms, sleep: 100 * ms}, &machine{cores: 2, work: 100 * ms}, pace.NewGentle(most), 1, 1,
		},
		"gentle: seats go": {
			machine{cores: 64, work: 10 * ms}, &machine{cores: 64, work: 10 * ms, seats: 1}, pace.NewGentle(most), 1, 1,
		},
		"gentle: never more than three": {machine{cores: 64, work: 10 * ms}, nil, pace.NewGentle(3), 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			later := test.machine
			if test.later != nil {
				later = *test.later
			}
			c, _ := run(t, test.limiter, most, 1000, test.machine, later)
			if got := c.settled(); got < test.min || got > test.max {
				t.Errorf("%d are under way, want %d to %d", got, test.min, test.max)
			}
			if rejected := c.rejected; rejected > 50 {
				t.Errorf("%d of 1000 were rejected", rejected)
			}
		})
	}
}

// Somebody else's requests are slowed down by those that wait at the server: a
// limiter has the fewer there the busier it is.
func TestBacksOffFromOthers(t *testing.T) {
	m := machine{cores: 4, work: 10 * time.Millisecond}
	busy := m
	busy.others = 6
	alone, _ := run(t, pace.New(most), most, 1000, m, m)
	beside, _ := run(t, pace.New(most), most, 1000, m, busy)
	if beside.settled() >= alone.settled() {
		t.Errorf("%d under way alone, %d beside 6 others", alone.settled(), beside.settled())
	}
}

// What a gentle client costs another one that has one request under way all the
// time.
func TestGentleLeavesOthersAlone(t *testing.T) {
	for _, m := range []machine{
		{cores: 1, work: 10 * time.Millisecond, others: 1},
		{cores: 2, work: 10 * time.Millisecond, others: 2},
		{cores: 2, work: 10 * time.Millisecond, sleep: 10 * time.Millisecond, others: 2},
	} {
		alone := othersMedian(t, nil, m)
		beside := othersMedian(t, pace.NewGentle(most), m)
		if ratio := float64(beside) / float64(alone); ratio > 1.10 {
			t.Errorf("%+v: another client's request takes %.2f times as long", m, ratio)
		}
	}
}

func othersMedian(t *testing.T, limiter *pace.Limiter, m machine) time.Duration {
	t.Helper()
	var took []time.Duration
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		c := &client{limiter: limiter, workers: most, server: start(ctx, machine{cores: m.cores, work: m.work, sleep: m.sleep, others: m.others - 1}, &group)}
		if limiter != nil {
			group.Go(func() {
				if err := c.send(ctx, 10_000); !errors.Is(err, context.Canceled) {
					t.Errorf("ended before the other client did: %v", err)
				}
			})
		}
		for range 2000 {
			begin := time.Now()
			c.server.serve()
			took = append(took, time.Since(begin))
		}
		cancel()
		group.Wait()
		time.Sleep(2 * time.Second) // rests end
	})
	slices.Sort(took)
	return took[len(took)/2]
}

var errStopped = errors.New("stopped")

func TestWaitingEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter := pace.New(1)
		slot, err := limiter.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		var group sync.WaitGroup
		group.Go(func() {
			if _, err := limiter.Acquire(ctx); !errors.Is(err, errStopped) {
				t.Errorf("waiting ended with %v", err)
			}
		})
		synctest.Wait()
		cancel(errStopped)
		group.Wait()
		slot.Release(pace.Result{})
		if _, err := limiter.Acquire(t.Context()); err != nil {
			t.Errorf("the place of one that gave up is lost: %v", err)
		}
	})
}
