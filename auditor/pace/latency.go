package pace

// latencies compares what requests took with the least that any of their class did.
type latencies map[string]float64 // seconds

// speed is the shortest latency by this one, in (0, 1]. It is averaged rather than
// the latency: one that takes forever counts as one.
func (l latencies) speed(s sample) float64 {
	took := max(s.took.Seconds(), 1e-6)
	shortest, seen := l[s.Class]
	if !seen || took < shortest {
		shortest = took
		l[s.Class] = took
	}
	return shortest / took
}

// window averages the speeds of one round's requests.
type window struct {
	sum    float64
	count  int
	beside int // the most that were under way at once
}

func (w *window) add(speed float64, s sample) {
	w.sum += speed
	w.count++
	w.beside = max(w.beside, s.beside)
}

func (w *window) speed() float64 { return w.sum / float64(w.count) }
