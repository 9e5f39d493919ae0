package wave

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// namedPlaces is how many places of changes that are equally far are named.
const namedPlaces = 20

// Status is how far each change is that is not all over, in the order in which they
// began; changes that are equally far, as those of one new version, are one.
func (l *Ledger) Status(waves []Wave, now time.Time) []report.Progress {
	shared := map[string]bool{} // places of changes that several workloads have
	for _, r := range l.Records {
		shared[r.Place] = shared[r.Place] || !r.Whole && !r.Gone
	}
	all := []report.Progress{}
	for _, id := range slices.Sorted(maps.Keys(l.Records)) {
		r := l.Records[id]
		if r.Whole && shared[r.Place] || r.reached(waves, now) == len(waves) || r.Gone && r.Most() == 0 {
			continue
		}
		p := report.Progress{Places: []string{r.Place}, Changes: slices.Clone(r.Changes), Since: r.Since.UTC().Truncate(time.Second), Waves: l.waves(r, waves, now)}
		at := slices.IndexFunc(all, func(other report.Progress) bool {
			return other.Since.Equal(p.Since) && slices.EqualFunc(other.Waves, p.Waves, report.WaveProgress.Equal)
		})
		if at >= 0 {
			all[at].Changes = bounded(append(all[at].Changes, p.Changes...))
		}
		switch {
		case at < 0:
			all = append(all, p)
		case !slices.Contains(all[at].Places, r.Place):
			all[at].Places = append(all[at].Places, r.Place)
		}
	}
	for i := range all {
		slices.Sort(all[i].Places)
		if more := len(all[i].Places) - namedPlaces; more > 0 {
			all[i].Places, all[i].MorePlaces = all[i].Places[:namedPlaces], more
		}
	}
	slices.SortStableFunc(all, func(a, b report.Progress) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Places[0], b.Places[0]))
	})
	return all
}

// Most is how many workloads drifted by it, in all waves.
func (r *Record) Most() int {
	sum := 0
	for _, reach := range r.Waves {
		sum += reach.Most
	}
	return sum
}

func (l *Ledger) waves(r *Record, waves []Wave, now time.Time) []report.WaveProgress {
	reached := r.reached(waves, now)
	status := make([]report.WaveProgress, len(waves))
	for i, w := range waves {
		reach := r.Waves[w.Name]
		s := report.WaveProgress{Name: w.Name, Workloads: reach.Most, Drifted: reach.Drifted, Phase: report.WaveOver}
		switch {
		case i > reached:
			s.Phase = report.WaveWaiting
		case i == reached && reach.Undone:
			s.Phase, s.Namespaces, s.Unjudged = report.WaveRollingOut, slices.Sorted(slices.Values(reach.Namespaces)), l.Unjudged[w.Name]
		case i == reached:
			until := r.soaked(w).UTC().Truncate(time.Second)
			s.Phase, s.Until = report.WaveSoaking, &until
		}
		status[i] = s
	}
	return status
}
