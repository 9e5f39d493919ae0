package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/cover"
)

const (
	simulatedInterval = 30 * time.Second
	simulatedSweep    = time.Hour
	never             = -1
)

// asker decides whom to ask about, as the daemon's does.
type asker interface {
	begin(now time.Time)
	due(now time.Time, budget int) []int
	answered(i int, a simulatedAnswer, now time.Time)
	next(limit int) []int
	end(now time.Time)
	size() int
}

type simulatedAnswer struct {
	features func() []cover.Feature
	outcome  cover.Sum
}

// simulation is a daemon over a simulated cluster, in a time of its own.
type simulation struct {
	*simulated
	asker
	rate     float64 // dry runs a second
	now      time.Time
	chance   *rand.Rand
	believed []cover.Sum
	dryRuns  int
	inForce  int       // so many changes are
	mixedTo  time.Time // until then half of the replicas do not know of the last one
	watched  *detection
	err      error
}

// detection is how soon a change was known of.
type detection struct {
	end         time.Time // all replicas have it from then on
	left        map[int]bool
	first, last time.Duration // since then; never: not yet
	reached     int
	wrong       int
}

func newSimulation(w *simulated, a asker, rate float64) *simulation {
	w.features = map[string]*asked{}
	s := &simulation{
		simulated: w, asker: a, rate: rate, now: time.Unix(1_000_000, 0), chance: rand.New(rand.NewPCG(seed, 9)),
		believed: make([]cover.Sum, len(w.subjects)),
	}
	all := make([]int, len(w.subjects))
	for i := range all {
		all[i] = i
	}
	s.begin(s.now)
	s.ask(all)
	s.end(s.now)
	return s
}

// ask takes as long as the API server has it.
func (s *simulation) ask(some []int) {
	for _, i := range some {
		s.now = s.now.Add(time.Duration(float64(time.Second) / s.rate))
		s.dryRuns++
		inForce := s.inForce
		if s.now.Before(s.mixedTo) && s.chance.IntN(2) == 0 {
			inForce--
		}
		reach := s.reach(s.subjects[i], inForce)
		s.believed[i] = outcome(reach)
		s.answered(i, simulatedAnswer{func() []cover.Feature {
			features, err := s.featuresOf(s.subjects[i], reach)
			s.err = errors.Join(s.err, err)
			return features
		}, s.believed[i]}, s.now)
		s.watched.answered(i, s.believed[i] == outcome(s.reach(s.subjects[i], s.inForce)))
	}
}

func (d *detection) answered(i int, right bool) {
	if d == nil {
		return
	}
	if wrong, concerned := d.left[i]; !concerned || wrong != right {
		return // nothing new
	}
	d.left[i] = !right
	if right {
		d.wrong--
	} else {
		d.wrong++
	}
}

// published: what a round has found is known when it ends.
func (d *detection) published(now time.Time) {
	if d == nil {
		return
	}
	after := max(0, now.Sub(d.end))
	if d.first == never && d.wrong < len(d.left) {
		d.first = after
	}
	switch {
	case d.wrong > 0:
		d.last = never
	case d.last == never:
		d.last = after
	}
}

// rounds has the daemon run until then.
func (s *simulation) rounds(until time.Time) {
	for s.now.Before(until) {
		begin := s.now
		s.begin(s.now)
		budget := int(s.rate * simulatedInterval.Seconds())
		for some := s.due(s.now, budget); len(some) > 0; {
			s.ask(some)
			left := simulatedInterval - s.now.Sub(begin)
			some = s.next(max(0, int(left.Seconds()*s.rate)))
		}
		s.end(s.now)
		s.watched.published(s.now)
		jitter := 0.9 + 0.2*s.chance.Float64()
		if next := begin.Add(time.Duration(jitter * float64(simulatedInterval))); next.After(s.now) {
			s.now = next
		}
	}
}

// comes brings the next change into force, at a random time of an interval, and
// watches how soon it is known: at most for so long, and at least.
func (s *simulation) comes(mixed, most, least time.Duration) detection {
	s.inForce++
	begin := s.now.Add(-time.Duration(s.chance.Float64() * float64(simulatedInterval)))
	d := &detection{end: begin.Add(mixed), left: map[int]bool{}, first: never, last: never}
	s.mixedTo = d.end
	for _, i := range s.reached(s.inForce) {
		d.left[i] = true
	}
	d.reached, d.wrong = len(d.left), len(d.left)
	s.watched = d
	for end := s.now.Add(most); s.now.Before(end) && d.wrong > 0; {
		s.rounds(s.now.Add(simulatedInterval))
	}
	s.rounds(begin.Add(least))
	s.watched = nil
	return *d
}

// rest is how many are asked in a round in which nothing changes.
func (s *simulation) rest(rounds int) float64 {
	before, begin := s.dryRuns, s.now
	s.rounds(s.now.Add(time.Duration(rounds) * simulatedInterval))
	return float64(s.dryRuns-before) / (s.now.Sub(begin).Seconds() / simulatedInterval.Seconds())
}

// covering is the ledger of features.
type covering struct{ *cover.Ledger[int, int] }

func newCovering() *covering { return &covering{cover.New[int, int]()} }

func (c *covering) begin(time.Time) { c.Begin() }

func (c *covering) due(now time.Time, budget int) []int {
	return c.Due(now, cover.Plan{Rounds: int(simulatedSweep / simulatedInterval), Sweep: simulatedSweep, Budget: budget})
}

func (c *covering) answered(i int, a simulatedAnswer, now time.Time) {
	c.Answered(i, cover.Answer[int]{Workload: i, Features: a.features(), Outcome: a.outcome}, now)
}

func (c *covering) next(limit int) []int { return c.Next(limit) }
func (c *covering) end(now time.Time)    { c.End(now) }
func (c *covering) size() int            { return c.Sizes().Features }

// measurement is of one ledger over one simulated cluster.
type measurement struct {
	name      string
	workloads int
	rest, day float64 // dry runs of a round in which nothing changes, and of an hour with upgrades, as a share of all
	// first and last are when a change was seen, and when all of it was known; lone those
	// of single workloads, upgraded those of upgrades, after the last replica.
	first, last, lone, upgraded []time.Duration
	size, afterwards            int    // before and after the upgrades
	heap                        uint64 // bytes
}

// patience is how long a change is waited for: all that a sweep takes.
func (w *simulated) patience(rate float64) time.Duration {
	return max(simulatedSweep, time.Duration(4*float64(len(w.subjects))/rate)*time.Second) + time.Hour
}

// measure has all that may happen to a template happen, one after the other, and then a
// week of upgrades.
func (w *simulated) measure(ctx context.Context, a asker, rate float64, upgrades int) (m measurement, err error) {
	w.changes = changesOf(w)
	for range upgrades {
		w.changes = append(w.changes, change{what: "upgrade", concerned: func(subject) bool { return true }})
	}
	before := heapNow()
	s := newSimulation(w, a, rate)
	n := float64(len(w.subjects))
	m = measurement{name: w.name, workloads: len(w.subjects)}
	s.rounds(s.now.Add(time.Hour))
	m.heap = heapNow() - min(before, heapNow())
	m.rest = s.rest(60) / n
	for _, c := range w.changes[:len(w.changes)-upgrades] {
		if ctx.Err() != nil {
			return m, ctx.Err()
		}
		d := s.comes(0, w.patience(rate), 0)
		s.rounds(s.now.Add(10 * time.Minute))
		switch {
		case d.reached == 0:
		case c.lone || d.reached == 1:
			m.lone = append(m.lone, d.last)
		default:
			m.first, m.last = append(m.first, d.first), append(m.last, d.last)
		}
	}
	begin, dryRuns := s.now, s.dryRuns
	m.size = s.size()
	for i := range upgrades {
		if ctx.Err() != nil {
			return m, ctx.Err()
		}
		mixed := 25*time.Second + time.Duration(i%6)*55*time.Second // to 5 minutes
		m.upgraded = append(m.upgraded, s.comes(mixed, 4*time.Hour, 4*time.Hour).last)
	}
	if hours := s.now.Sub(begin).Hours(); hours > 0 {
		m.day = float64(s.dryRuns-dryRuns) / hours / n
	}
	m.afterwards = s.size()
	return m, s.err
}

func heapNow() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// printed prints it as a row of a table.
func (m measurement) print(out io.Writer, ledger string, rate float64) {
	fmt.Fprintf(out, "| %s, %d workloads, %g dry runs a second | %s | %.1f %% | %.0f %% | %s | %s | %s | %s | %d → %d |\n",
		m.name, m.workloads, rate, ledger, 100*m.rest, 100*m.day, spread(m.first), spread(m.last), spread(m.lone), spread(m.upgraded), m.size, m.afterwards)
}

// spread is the median and the worst.
func spread(of []time.Duration) string {
	if len(of) == 0 {
		return "-"
	}
	text := func(d time.Duration) string {
		if d == never {
			return "never"
		}
		return d.Round(time.Second).String()
	}
	sorted := slices.Clone(of)
	slices.SortFunc(sorted, func(a, b time.Duration) int { return cmp.Compare(uint64(a), uint64(b)) }) // never comes last
	return text(sorted[len(sorted)/2]) + ", " + text(sorted[len(sorted)-1])
}

func worst(of []time.Duration) time.Duration {
	return slices.MaxFunc(of, func(a, b time.Duration) int { return cmp.Compare(uint64(a), uint64(b)) })
}

// trial is a cluster, how many dry runs a second its API server gives, and how many
// upgrades come.
type trial struct {
	figure   string
	of       func() *simulated
	rate     float64
	upgrades int
	share    string // goal of a round's share, in percent
}

func trials() []trial {
	const week = 7 * 6
	return []trial{
		{"varied", func() *simulated { return variedPopulation(169) }, 50, week, "25"},
		{"datadog", func() *simulated { return datadogPopulation(1200) }, 50, week, "25"},
		{"commit", func() *simulated { return commitPopulation(1200) }, 50, week, "25"},
		{"uniform", func() *simulated { return uniformPopulation(10_000, 200) }, 100, week, "3"},
		{"large-100", func() *simulated { return largePopulation(22_800) }, 100, 6, ""},
		{"large-2.4", func() *simulated { return largePopulation(22_800) }, 2.4, 0, ""},
	}
}

// detectionBench simulates weeks of clusters in minutes: how soon what changes is known
// of, and what asking for that costs.
func detectionBench(ctx context.Context, out io.Writer) error {
	fmt.Fprintln(out, "| cluster | ledger | dry runs a round, of all | a day, of an audit an hour | a change is seen (median, worst) | all of it is known | to one workload | an upgrade, after its last replica | size before and after |")
	fmt.Fprintln(out, "|---|---|---|---|---|---|---|---|---|")
	for _, t := range trials() {
		begin := time.Now()
		w := t.of()
		m, err := w.measure(ctx, newCovering(), t.rate, t.upgrades)
		if err != nil {
			return err
		}
		m.print(out, "features", t.rate)
		name := "detection-" + t.figure
		if t.share != "" {
			figure(out, name+"-round", fmt.Sprintf("%.1f", 100*m.rest), "%", "<= "+t.share)
		}
		figure(out, name+"-seen", fmt.Sprintf("%.0f", worst(m.first).Seconds()), "s", "<= 66") // two intervals, which vary
		figure(out, name+"-known", fmt.Sprintf("%.0f", worst(m.last).Seconds()), "s", fmt.Sprintf("<= %.0f", w.patience(t.rate).Seconds()-3600))
		if t.upgrades > 0 {
			figure(out, name+"-growth", fmt.Sprintf("%.1f", 100*(float64(m.afterwards)/float64(m.size)-1)), "%", "<= 10")
		}
		fmt.Fprintf(out, "%s: %.1f MB of the ledger, simulated in %.0f s\n", t.figure, float64(m.heap)/1e6, time.Since(begin).Seconds())
	}
	return nil
}

// changesOf are what may happen to an injector's template.
func changesOf(w *simulated) []change {
	hasVolume := func(s subject) bool {
		for _, v := range s.template.Spec.Volumes {
			if v.PersistentVolumeClaim != nil {
				return true
			}
		}
		return false
	}
	one := w.names(1, func(subject) bool { return true })
	return []change{
		{what: "global", concerned: func(subject) bool { return true }},
		{what: "by revision", concerned: func(s subject) bool { return s.namespace.labels["istio.io/rev"] == "canary" }},
		{what: "by annotation", concerned: func(s subject) bool { return s.template.Annotations["sidecar.istio.io/proxyCPU"] != "" }},
		{what: "by annotation's value", concerned: func(s subject) bool {
			return s.template.Annotations["traffic.sidecar.istio.io/excludeOutboundPorts"] == "3306"
		}},
		{what: "by namespace annotation", concerned: func(s subject) bool { return s.namespace.annotations["linkerd.io/inject"] == "enabled" }},
		{what: "by trait", concerned: hasVolume},
		{what: "by one label value", concerned: labelled(w)},
		{what: "by two traits", concerned: func(s subject) bool { return hasVolume(s) && s.template.Spec.ServiceAccountName != "" }},
		{what: "one workload", concerned: func(s subject) bool { return slices.Contains(one, s.name) }, lone: true},
		{what: "global again", concerned: func(subject) bool { return true }},
	}
}

func labelled(w *simulated) func(subject) bool {
	if w.name == "commit" {
		return func(s subject) bool { return s.template.Labels["deploy.corp.example/tier"] == "gold" }
	}
	if w.name == "datadog" {
		return func(s subject) bool { return s.template.Labels["tags.datadoghq.com/version"] == "1.0.1" }
	}
	return func(s subject) bool { return s.owner == "StatefulSet" }
}
