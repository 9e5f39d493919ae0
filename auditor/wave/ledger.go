package wave

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

const (
	// mostRecords bounds what is kept. A change without a record reaches no wave but the
	// first.
	mostRecords = 1000
	// keptFor is for how long a change is kept that nothing drifts by any more.
	keptFor = 7 * 24 * time.Hour
)

// Ledger is how far each change is. The zero value is an empty one; JSON keeps it.
type Ledger struct {
	Records map[string]*Record `json:"records,omitempty"` // by the ID of a change, or of a place
}

// Record is how far one change is, or all at one place together: by these, changes are
// judged that only one workload has, as of a value that is another one for each.
type Record struct {
	Place string    `json:"place"`
	Since time.Time `json:"since"`
	Seen  time.Time `json:"seen"` // when something last drifted by it
	// Waves by their names.
	Waves map[string]Reach `json:"waves"`
	// Whole: the record is of all changes at the place.
	Whole bool `json:"whole,omitempty"`
}

// Reach is how far a change is in one wave.
type Reach struct {
	Drifted int       `json:"drifted"` // workloads that drift by it now
	Most    int       `json:"most"`    // that did at once
	Last    time.Time `json:"last"`    // when more of them did than may be left
}

// Update takes down what an audit found. A change that was gone, and comes back, is a new
// one.
func (l *Ledger) Update(waves []Wave, members []Member, now time.Time) {
	if l.Records == nil {
		l.Records = map[string]*Record{}
	}
	drifted := map[string]map[string]int{}
	for _, m := range members {
		if m.Wave == "" {
			continue
		}
		for id, record := range recordsOf(m.Changes) {
			if l.Records[id] == nil && len(l.Records) < mostRecords {
				record.Since, record.Waves = now, map[string]Reach{}
				l.Records[id] = &record
			}
			if drifted[id] == nil {
				drifted[id] = map[string]int{}
			}
			drifted[id][m.Wave]++
		}
	}
	for id, r := range l.Records {
		r.update(waves, drifted[id], now)
	}
	maps.DeleteFunc(l.Records, func(_ string, r *Record) bool { return now.Sub(r.Seen) > keptFor })
}

// recordsOf are the records of a workload's changes: each one's own, and its place's.
func recordsOf(changes []Change) map[string]Record {
	records := map[string]Record{}
	for _, c := range changes {
		records[c.ID] = Record{Place: c.Place}
		records[idOf(c.Place)] = Record{Place: c.Place, Whole: true}
	}
	return records
}

func (r *Record) update(waves []Wave, drifted map[string]int, now time.Time) {
	if len(drifted) > 0 {
		if !r.Seen.IsZero() && r.drifted() == 0 {
			r.Since, r.Waves = now, map[string]Reach{}
		}
		r.Seen = now
	}
	reached := map[string]Reach{}
	for _, w := range waves {
		reach := r.Waves[w.Name]
		reach.Drifted = drifted[w.Name]
		reach.Most = max(reach.Most, reach.Drifted)
		if reach.Drifted*100 > w.MaxDrift*reach.Most {
			reach.Last = now
		}
		reached[w.Name] = reach
	}
	r.Waves = reached
}

// drifted is how many workloads drift by it in all waves.
func (r *Record) drifted() int {
	sum := 0
	for _, reach := range r.Waves {
		sum += reach.Drifted
	}
	return sum
}

// most is how many workloads drifted by it, in all waves.
func (r *Record) most() int {
	sum := 0
	for _, reach := range r.Waves {
		sum += reach.Most
	}
	return sum
}

// of is the record that a change is judged by; nil if there is none.
func (l *Ledger) of(c Change) *Record {
	if r := l.Records[c.ID]; r == nil || r.most() > 1 {
		return r
	}
	return l.Records[idOf(c.Place)]
}

// Open reports whether all of a workload's changes have reached its wave.
func (l *Ledger) Open(waves []Wave, m Member, now time.Time) bool {
	at := slices.IndexFunc(waves, func(w Wave) bool { return w.Name == m.Wave })
	if at <= 0 {
		return at == 0
	}
	return !slices.ContainsFunc(m.Changes, func(c Change) bool {
		r := l.of(c)
		return r == nil || r.reached(waves, now) < at
	})
}

// reached is the first wave that is not over, which is to say rolled out for long enough.
func (r *Record) reached(waves []Wave, now time.Time) int {
	for i, w := range waves {
		if !r.done(w) || now.Before(r.soaked(w)) {
			return i
		}
	}
	return len(waves)
}

// done reports whether no more of the wave's workloads drift than may be left.
func (r *Record) done(w Wave) bool {
	reach := r.Waves[w.Name]
	return reach.Drifted*100 <= w.MaxDrift*reach.Most
}

// soaked is when a wave that is done has been for long enough. One that the change does
// not reach is waited for as long, since that may yet show.
func (r *Record) soaked(w Wave) time.Time {
	if last := r.Waves[w.Name].Last; last.After(r.Since) {
		return last.Add(w.Soak)
	}
	return r.Since.Add(w.Soak)
}

// Status is how far each change is that is not all over, in the order in which they
// began; changes that are equally far, as those of one new version, are one.
func (l *Ledger) Status(waves []Wave, now time.Time) []report.Progress {
	alone := map[string]bool{} // places of changes that one workload has
	for _, r := range l.Records {
		if !r.Whole && r.most() < 2 {
			alone[r.Place] = true
		}
	}
	all := []report.Progress{}
	for _, id := range slices.Sorted(maps.Keys(l.Records)) {
		r := l.Records[id]
		if r.Whole && !alone[r.Place] || !r.Whole && r.most() < 2 || r.reached(waves, now) == len(waves) {
			continue
		}
		p := report.Progress{Places: []string{r.Place}, Since: r.Since.UTC().Truncate(time.Second), Waves: r.status(waves, now)}
		at := slices.IndexFunc(all, func(other report.Progress) bool {
			return other.Since.Equal(p.Since) && slices.EqualFunc(other.Waves, p.Waves, report.WaveProgress.Equal)
		})
		switch {
		case at < 0:
			all = append(all, p)
		case !slices.Contains(all[at].Places, r.Place):
			all[at].Places = append(all[at].Places, r.Place)
		}
	}
	for _, p := range all {
		slices.Sort(p.Places)
	}
	slices.SortStableFunc(all, func(a, b report.Progress) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Places[0], b.Places[0]))
	})
	return all
}

func (r *Record) status(waves []Wave, now time.Time) []report.WaveProgress {
	reached := r.reached(waves, now)
	status := make([]report.WaveProgress, len(waves))
	for i, w := range waves {
		reach := r.Waves[w.Name]
		s := report.WaveProgress{Name: w.Name, Workloads: reach.Most, Drifted: reach.Drifted, Phase: report.WaveOver}
		switch {
		case i > reached:
			s.Phase = report.WaveWaiting
		case i == reached && !r.done(w):
			s.Phase = report.WaveRollingOut
		case i == reached:
			until := r.soaked(w).UTC().Truncate(time.Second)
			s.Phase, s.Until = report.WaveSoaking, &until
		}
		status[i] = s
	}
	return status
}
