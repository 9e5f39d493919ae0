package service

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/sidecar-drift/sidecar-drift/auditor/config"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/auditor/wave"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

const (
	// waveTick is how exactly it is kept when something last drifted, rounded up: the
	// ConfigMap is written no more often for it.
	waveTick = 5 * time.Minute
	// templateAge is for how long the labels of a workload's template hold.
	templateAge = 10 * time.Minute
)

// waves says whose turn it is, where the policy has waves.
type waves struct {
	memory *memory
	labels func(ctx context.Context, templates []inventory.WorkloadRef) (rollout.Labels, error)
	// templates are what was read of them last, and when.
	templates map[inventory.WorkloadRef]labels.Set
	read      time.Time
}

// update takes down how far changes are, and returns each workload that drifted by the
// wave that it is in. Workloads that a rollout would not consider are in none.
func (w *waves) update(ctx context.Context, c config.Configuration, found *report.Report, now time.Time) (map[inventory.WorkloadRef]wave.Member, error) {
	if len(c.AutoRollout.Waves) == 0 {
		w.memory.noWaves()
		return nil, nil
	}
	opts := c.RolloutOptions()
	var drifted []report.Item
	for _, item := range found.Items {
		if item.State.Drift() && c.AutoRollout.Allows(item.Namespace, item.Kind) && rollout.Considers(item, opts) {
			drifted = append(drifted, item)
		}
	}
	known, err := w.labelsOf(ctx, c.AutoRollout.Waves, drifted, now)
	if err != nil {
		return nil, err
	}
	members := map[inventory.WorkloadRef]wave.Member{}
	for _, item := range drifted {
		ref := refOf(item)
		m := wave.Member{Changes: wave.Changes(item)}
		for _, each := range c.AutoRollout.Waves {
			if each.Selects(known.Namespaces[item.Namespace], known.Templates[ref]) {
				m.Wave = each.Name
				break
			}
		}
		members[ref] = m
	}
	w.memory.waved(config.Plan(c.AutoRollout.Waves), slices.Collect(maps.Values(members)), now)
	return members, nil
}

// labelsOf reads the labels of all namespaces, and of templates where a wave selects by
// those.
func (w *waves) labelsOf(ctx context.Context, list []config.Wave, drifted []report.Item, now time.Time) (rollout.Labels, error) {
	var unknown []inventory.WorkloadRef
	if slices.ContainsFunc(list, func(each config.Wave) bool { return each.Selector != "" }) {
		if now.Sub(w.read) >= templateAge {
			w.templates, w.read = map[inventory.WorkloadRef]labels.Set{}, now
		}
		for _, item := range drifted {
			if _, ok := w.templates[refOf(item)]; !ok {
				unknown = append(unknown, refOf(item))
			}
		}
	}
	known, err := w.labels(ctx, unknown)
	if err != nil {
		return known, err
	}
	maps.Copy(w.templates, known.Templates)
	known.Templates = w.templates
	return known, nil
}

// turn leaves of what is due the workloads of the first wave that has any whose changes
// have reached it, and whose own windows are open, and returns that wave and until when
// it may start.
func (w *waves) turn(c config.Configuration, members map[inventory.WorkloadRef]wave.Member, due []inventory.WorkloadRef, end, now time.Time) ([]inventory.WorkloadRef, config.Wave, time.Time) {
	if len(c.AutoRollout.Waves) == 0 {
		return due, config.Wave{}, end
	}
	plan := config.Plan(c.AutoRollout.Waves)
	for _, each := range c.AutoRollout.Waves {
		until := end
		if schedule := each.Schedule(); len(schedule) > 0 {
			open, ok := schedule.Occurrence(now)
			if !ok {
				continue
			}
			until = slices.MinFunc([]time.Time{end, open.End}, time.Time.Compare)
		}
		reached := slices.DeleteFunc(slices.Clone(due), func(ref inventory.WorkloadRef) bool {
			m := members[ref]
			return m.Wave != each.Name || !w.memory.reached(plan, m, now)
		})
		if len(reached) > 0 {
			return reached, each, until
		}
	}
	return nil, config.Wave{}, end
}

// waved takes down how far changes are.
func (m *memory) waved(plan []wave.Wave, members []wave.Member, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ledger.Update(plan, members, now)
	m.progress = report.MaskProgress(mask.Constant(), m.ledger.Status(plan, now))
}

func (m *memory) noWaves() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ledger, m.progress = wave.Ledger{}, nil
}

// reached reports whether a workload's changes have reached its wave.
func (m *memory) reached(plan []wave.Wave, member wave.Member, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ledger.Open(plan, member, now)
}

// waveProgress is how far changes are.
func (m *memory) waveProgress() []report.Progress {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.progress)
}

// keptRecord is how a ConfigMap has what waves know of a change.
type keptRecord struct {
	ID string `json:"id"`
	wave.Record
}

// recordEntries lists what waves know, what was seen last first.
func recordEntries(l wave.Ledger) []keptRecord {
	entries := []keptRecord{}
	for id, r := range l.Records {
		kept := *r
		kept.Seen, kept.Waves = roundedUp(r.Seen), maps.Clone(r.Waves)
		for name, reach := range kept.Waves {
			reach.Last = roundedUp(reach.Last)
			kept.Waves[name] = reach
		}
		entries = append(entries, keptRecord{id, kept})
	}
	slices.SortFunc(entries, func(a, b keptRecord) int { return cmp.Or(b.Seen.Compare(a.Seen), cmp.Compare(a.ID, b.ID)) })
	return entries
}

func roundedUp(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(waveTick).Add(waveTick)
}

func ledgerOf(entries []keptRecord) wave.Ledger {
	l := wave.Ledger{Records: map[string]*wave.Record{}}
	for _, e := range entries {
		l.Records[e.ID] = &e.Record
	}
	return l
}
