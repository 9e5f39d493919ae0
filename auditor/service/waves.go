package service

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/sidecar-drift/sidecar-drift/auditor/config"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/auditor/wave"
	"github.com/sidecar-drift/sidecar-drift/internal/kind"
)

// templateAge is for how long the labels of a workload's template hold.
const templateAge = 10 * time.Minute

// waves says whose turn it is, where the policy has waves.
type waves struct {
	memory *memory
	log    logr.Logger
	labels func(ctx context.Context, templates []inventory.WorkloadRef) (rollout.Labels, error)
	// settled says which workloads are well, of which it is given the nodes that were not ready
	// when they were begun with.
	settled func(context.Context, map[inventory.WorkloadRef][]string) (map[inventory.WorkloadRef]bool, error)
	// templates are what was read of them last, and when.
	templates map[inventory.WorkloadRef]labels.Set
	read      time.Time
}

// update takes down how far changes are, and returns the workloads that are in waves: all
// that drifted, or may have, of those that the policy is for, whether a guard leaves them
// alone or not; and those whose rollout failed, until they are well.
func (w *waves) update(ctx context.Context, c config.Configuration, found *report.Report, now time.Time) (map[inventory.WorkloadRef]wave.Member, error) {
	if len(c.AutoRollout.Waves) == 0 {
		w.memory.noWaves()
		return nil, nil
	}
	members := map[inventory.WorkloadRef]wave.Member{}
	for _, item := range found.Items {
		if m, ok := memberOf(item, c); ok {
			members[refOf(item)] = m
		}
	}
	known, err := w.labelsOf(ctx, c.AutoRollout.Waves, members, now)
	if err != nil {
		return nil, err
	}
	byTemplate := selectsTemplates(c.AutoRollout.Waves)
	for ref, m := range members {
		template, read := known.Templates[ref]
		at := slices.IndexFunc(c.AutoRollout.Waves, func(each config.Wave) bool {
			return each.Selects(known.Namespaces[ref.Namespace], template)
		})
		// Without its labels a workload may be of a wave that comes later: it is of none.
		if at >= 0 && (read || !byTemplate) {
			m.Wave = c.AutoRollout.Waves[at].Name
		}
		members[ref] = m
	}
	failing, err := w.failing(ctx)
	if err != nil {
		return nil, err
	}
	all := slices.Collect(maps.Values(members))
	for ref, f := range failing {
		if _, drifts := members[ref]; !drifts {
			all = append(all, f.Member)
		}
	}
	if left := w.memory.waved(c.Waves(), all, now); left > 0 {
		w.log.Info("More changes than can be followed in waves: those that are left out go no further than the first wave", "leftOut", left)
	}
	return members, nil
}

// memberOf is a workload as it goes in waves, if it does; its wave is still to be found.
func memberOf(item report.Item, c config.Configuration) (wave.Member, bool) {
	m := wave.Member{Namespace: item.Namespace}
	if !c.AutoRollout.Allows(item.Namespace, item.Kind) {
		return m, false
	}
	switch {
	case item.State == verdict.Blocked, item.State == verdict.Unknown:
		m.Unjudged = true
	case item.State.Drift():
		m.Changes = changesOf(item, c)
	}
	return m, m.Unjudged || len(m.Changes) > 0
}

func changesOf(item report.Item, c config.Configuration) []wave.Change {
	return wave.Changes(item, rollout.Reasons(item, c.RolloutOptions()))
}

// failing are the workloads whose rollout failed and that are not well yet.
func (w *waves) failing(ctx context.Context) (map[inventory.WorkloadRef]failing, error) {
	failing := w.memory.failingWorkloads()
	if len(failing) == 0 {
		return nil, nil
	}
	lost := map[inventory.WorkloadRef][]string{}
	for ref, f := range failing {
		lost[ref] = f.Lost
	}
	settled, err := w.settled(ctx, lost)
	if err != nil {
		return nil, err
	}
	for ref := range settled {
		if settled[ref] {
			w.memory.well(ref)
			delete(failing, ref)
		}
	}
	return failing, nil
}

// selectsTemplates reports whether a wave selects by labels of Pod templates.
func selectsTemplates(list []config.Wave) bool {
	return slices.ContainsFunc(list, func(each config.Wave) bool { return each.Selector != "" })
}

// labelsOf reads the labels of all namespaces, and of templates where a wave selects by
// those.
func (w *waves) labelsOf(ctx context.Context, list []config.Wave, members map[inventory.WorkloadRef]wave.Member, now time.Time) (rollout.Labels, error) {
	if w.templates == nil || now.Sub(w.read) >= templateAge {
		w.templates, w.read = map[inventory.WorkloadRef]labels.Set{}, now
	}
	var unknown []inventory.WorkloadRef
	if selectsTemplates(list) {
		for ref := range members {
			if _, ok := w.templates[ref]; !ok {
				unknown = append(unknown, ref)
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

// turn is whose turn may be.
type turn struct {
	wave config.Wave // the zero one where there are no waves
	due  []inventory.WorkloadRef
	// end is until when something may start, and most how many at once.
	end  time.Time
	most int
}

// turns are, of what is due, the workloads whose changes have reached their waves, wave by
// wave, as far as the waves' own windows are open. In waves no more are rolled out after
// one audit than at a time, as the next audit may show what keeps the others back.
func (w *waves) turns(c config.Configuration, members map[inventory.WorkloadRef]wave.Member, due []inventory.WorkloadRef, end, now time.Time) []turn {
	if len(c.AutoRollout.Waves) == 0 {
		return []turn{{due: due, end: end, most: len(due)}}
	}
	var turns []turn
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
			return m.Wave != each.Name || !w.memory.reached(c.Waves(), m, now)
		})
		if len(reached) > 0 {
			turns = append(turns, turn{each, reached, until, max(c.AutoRollout.ParallelRollouts, c.AutoRollout.Canary)})
		}
	}
	return turns
}

// still leaves of what was audited anew what may be rolled out with what it differs by now.
func (w *waves) still(c config.Configuration, members map[inventory.WorkloadRef]wave.Member, again *report.Report, now time.Time) {
	if len(c.AutoRollout.Waves) == 0 {
		return
	}
	again.Items = slices.DeleteFunc(again.Items, func(item report.Item) bool {
		m := members[refOf(item)]
		m.Changes = changesOf(item, c)
		return !w.memory.reached(c.Waves(), m, now)
	})
}

// begin takes down the worst that can come of a run: that all of it fails.
func (w *waves) begin(c config.Configuration, members map[inventory.WorkloadRef]wave.Member, plan *rollout.Plan) {
	if len(c.AutoRollout.Waves) == 0 {
		return
	}
	all := map[inventory.WorkloadRef]failing{}
	for _, s := range plan.Steps[:plan.Planned()] {
		ref := refOf(s.Item)
		all[ref] = failing{Member: members[ref]}
		if ref.Kind == kind.DaemonSet { // others' Pods need not stay on lost nodes
			all[ref] = failing{members[ref], s.Lost[:min(len(s.Lost), mostLost)]}
		}
	}
	w.memory.failed(all)
}

// end takes down what did not fail. Of what was begun and not seen to its end the next rounds
// find out whether it is well.
func (w *waves) end(done *report.Report, outcomes map[inventory.WorkloadRef]outcome) {
	for _, item := range done.Items {
		begun := item.Rollout.Result == report.Interrupted && item.Rollout.StartedAt != nil
		if o, planned := outcomes[refOf(item)]; planned && o != failure && !begun {
			w.memory.well(refOf(item))
		}
	}
}
