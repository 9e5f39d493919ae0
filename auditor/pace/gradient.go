package pace

import (
	"math"
	"time"
)

const (
	// tolerance is how many times as long as the shortest of its class a request
	// may take before that counts as waiting: no two take the same time, and two
	// cores' work is not done in twice the time on one.
	tolerance = 1.5
	// headroom is how many may wait at the server, so that it never does; it is
	// also what the limit grows by, once it has been lowered: until then it doubles.
	headroom = 4
	// startLimit lets the shortest latency be seen before anything waits.
	startLimit = 2
	// calm is how many rounds pass without a rejection before the limit is raised
	// by one, once there was any; and between two trials.
	calm = 8
	// doubted is the part of the requests under way, of those that are tolerated to
	// be, that must seem to be worked at, or it is tried whether they wait at all.
	doubted = 0.5
	// trialFactor is what a limit must have fallen by for the fall to tell whether
	// latency follows; it does not if throughput has fallen by at least followed
	// of that, on a scale of logarithms. That needs some samples.
	trialFactor, followed = 1.5, 0.9
	trialSamples          = 8
)

// gradient is a limit by the gradient of latency, as of TCP Vegas and of Netflix'
// concurrency-limits: the shortest latency by that of now is the part of what is
// under way that is worked at; the rest waits, behind our own or behind others.
//
// Where the limit falls and latency does not follow, it was not for a queue that
// requests took long, but for an injector that has become slow, or for Pods that
// take longer than the others of their namespace: the shortest latency is then
// measured anew. Where the limit seems too high it is halved for a round to see.
type gradient struct {
	most  float64
	limit float64
	count int // of rounds

	latencies latencies
	window    window
	fallen    *fall // nil: the last decision was none to lower the limit
	lowered   bool  // ever
	rejected  bool  // ever
	quiet     int   // rounds without a rejection
	untried   int   // rounds since the last trial
}

// fall is the limit that was left, and the speed under it.
type fall struct{ limit, speed float64 }

func newGradient(most int) *gradient {
	return &gradient{most: float64(max(1, most)), limit: min(startLimit, float64(max(1, most))), latencies: latencies{}}
}

func (g *gradient) allowed() int                     { return int(g.limit) }
func (g *gradient) rest(time.Duration) time.Duration { return 0 }
func (g *gradient) round() int                       { return g.count }

func (g *gradient) done(s sample) {
	if s.Outcome == Failed {
		return
	}
	if s.Outcome == Rejected {
		if s.round == g.count { // the others of one burst were sent before it was known
			g.rejected, g.quiet, g.fallen = true, 0, nil
			g.decide(g.limit / 2)
		}
		return
	}
	speed := g.latencies.speed(s)
	if s.round != g.count {
		return
	}
	g.window.add(speed, s)
	enough := g.allowed()
	if g.fallen != nil {
		enough = max(enough, trialSamples)
	}
	if g.window.count >= enough {
		g.judge()
	}
}

// judge decides at the end of a round.
func (g *gradient) judge() {
	w := g.window
	if g.fallen != nil && g.fallen.limit >= trialFactor*g.limit {
		slower := math.Log(w.speed()/g.fallen.speed) / math.Log(g.fallen.limit/g.limit)
		if 1-slower >= followed {
			clear(g.latencies)
			g.fallen = nil
			g.decide(g.limit)
			return
		}
	}
	g.quiet++
	g.untried++
	working := min(1, tolerance*w.speed())
	target := g.limit*working + headroom
	if working < doubted && g.untried >= calm {
		g.untried, target = 0, g.limit/2
	}
	switch {
	case target < g.limit:
		g.fallen, g.lowered = &fall{g.limit, w.speed()}, true
	case w.beside < g.allowed():
		target = g.limit // it was not used: who knows
	case g.rejected && g.quiet%calm != 0:
		target = g.limit
	case g.rejected:
		target = min(target, g.limit+1)
	case !g.lowered && target >= g.limit+headroom:
		target = max(target, 2*g.limit)
	}
	if target >= g.limit {
		g.fallen = nil
	}
	g.decide(target)
}

// decide begins a round.
func (g *gradient) decide(limit float64) {
	g.limit = min(g.most, max(1, limit))
	g.window = window{}
	g.count++
}
