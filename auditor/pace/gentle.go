package pace

import "time"

const (
	// leastLevel is what is always allowed: one request, and a rest of seven times
	// as long as it took.
	leastLevel = 0.125
	// longestRest bounds it: what takes longer waits for a webhook.
	longestRest = time.Second
	// gentleSamples make a round of requests that are sent one after another.
	gentleSamples = 8
	// burstFactor is how many times the next level is tried at once.
	burstFactor, leastBurst = 4, 4
	// unhindered is the speed in a burst, by that before it, at which nothing was
	// slowed down.
	unhindered = 0.9
	// others is the speed, by that when the level was chosen, at which somebody
	// else must have come.
	others = 0.75
	// longestPatience is how many rounds there are at most between two bursts.
	longestPatience = 64
)

// gentle raises what is under way only where several times as much has just been
// shown to slow nothing down. A client cannot see in its own latencies that it
// slows others down, if one request of its own fits beside theirs; a short burst
// shows it. Where there is nothing to spare that is one in a hundred requests, and
// what others see of it.
type gentle struct {
	most  float64
	level float64 // mean number under way, rests included
	count int     // of rounds

	latencies latencies
	window    window
	speed     float64 // when there was no burst, in the last round
	chosen    float64 // speed when the level was chosen
	burst     int     // requests to send at once; 0: none now
	patience  int     // rounds between bursts
	quiet     int     // rounds since the last
}

func newGentle(most int) *gentle {
	return &gentle{most: float64(max(1, most)), level: leastLevel, patience: 1, latencies: latencies{}}
}

func (g *gentle) slots() int { return max(1, int(g.level)) }

func (g *gentle) allowed() int { return g.slots() + g.burst }

func (g *gentle) rest(took time.Duration) time.Duration {
	idle := float64(g.slots())/g.level - 1
	return min(longestRest, time.Duration(float64(took)*idle))
}

func (g *gentle) round() int { return g.count }

func (g *gentle) done(s sample) {
	if s.Outcome == Failed || s.Outcome == Rejected && s.round != g.count {
		return
	}
	if s.Outcome == Rejected {
		g.fall()
		return
	}
	speed := g.latencies.speed(s)
	if s.round != g.count {
		return
	}
	g.window.add(speed, s)
	switch {
	case g.burst > 0 && g.window.count >= g.burst:
		g.judgeBurst()
	case g.burst == 0 && g.window.count >= gentleSamples:
		g.judge()
	}
}

// judge decides after a round without a burst.
func (g *gentle) judge() {
	g.speed = g.window.speed()
	g.quiet++
	if g.level > leastLevel && g.speed < others*g.chosen {
		g.fall()
		return
	}
	g.next()
	if burst := max(leastBurst, burstFactor*2*g.level); g.quiet >= g.patience && burst <= g.most {
		g.burst = int(burst)
	}
}

// judgeBurst decides after a burst, of which nothing is known if there was too
// little to ask.
func (g *gentle) judgeBurst() {
	w, burst := g.window, g.burst
	g.quiet, g.burst = 0, 0
	switch {
	case w.beside < burst:
	case w.speed() >= unhindered*g.speed:
		g.level, g.chosen, g.patience = 2*g.level, g.speed, 1
	default:
		g.level = max(leastLevel, g.level/2)
		g.patience = min(longestPatience, 2*g.patience)
	}
	g.next()
}

// fall begins from the least again.
func (g *gentle) fall() {
	g.level, g.burst, g.quiet = leastLevel, 0, 0
	g.patience = min(longestPatience, 2*g.patience)
	g.next()
}

// next begins a round.
func (g *gentle) next() {
	g.window = window{}
	g.count++
}
