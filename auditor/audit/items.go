package audit

import (
	"cmp"
	"slices"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// items puts the revisions of each workload together.
func items(findings []Finding) []report.Item {
	type workload struct {
		inventory.WorkloadRef
		group string
	}
	byWorkload, newest := map[workload]*report.Item{}, map[workload]*Finding{}
	for i := range findings {
		f := &findings[i]
		key := workload{f.Workload, f.Group}
		item := byWorkload[key]
		if item == nil {
			item = &report.Item{
				Namespace: f.Workload.Namespace, Kind: f.Workload.Kind, Name: f.Workload.Name,
				Pods: map[verdict.State]int{},
			}
			byWorkload[key] = item
		}
		item.Revisions = append(item.Revisions, f.Revision)
		if !f.oldest.IsZero() && (item.OldestPod == nil || f.oldest.Before(*item.OldestPod)) {
			item.OldestPod = &f.oldest
		}
		for state, n := range f.Pods {
			item.Pods[state] += n
		}
		if last := newest[key]; last == nil || cmp.Or(cmp.Compare(f.newest, last.newest), cmp.Compare(f.Revision.Name, last.Revision.Name)) > 0 {
			newest[key], item.Labels = f, f.labels
		}
	}
	list := make([]report.Item, 0, len(byWorkload))
	for _, item := range byWorkload {
		item.State = verdict.WorstOf(item.Pods)
		slices.SortFunc(item.Revisions, func(a, b report.Revision) int {
			return cmp.Or(cmp.Compare(a.State.Severity(), b.State.Severity()), cmp.Compare(a.Name, b.Name))
		})
		list = append(list, *item)
	}
	return list
}
