package report

import (
	"slices"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/cause"
	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// ChangeSummary is one thing that workloads differ in alike: see docs/changes.md. Nothing in it is
// of one workload, and secrets are always masked.
type ChangeSummary struct {
	// ID is of the content: the same change has it tomorrow and elsewhere.
	ID      string      `json:"id"`
	Summary string      `json:"summary"`
	Kind    change.Kind `json:"kind"`
	// Risk is the worst of its places, and RiskReason by which rule.
	Risk       change.Risk `json:"risk"`
	RiskReason string      `json:"riskReason"`
	// Webhook that makes it, CONFIGURATION/WEBHOOK; empty where that is not known.
	Webhook    string `json:"webhook"`
	Workloads  int    `json:"workloads"`
	Pods       int    `json:"pods"`
	Namespaces int    `json:"namespaces"`
	// Today says in a preview of a candidate what of it is drift of today, and none of the
	// candidate's making.
	Today Today `json:"today,omitempty"`
	// Since when it is known; nil where nothing tells.
	Since *time.Time `json:"since,omitempty"`
	// By is one sentence: whose change it is, or why that is not known; empty where nobody
	// looked.
	By string `json:"by,omitempty"`
	// Writes are those that may have made it, the likeliest first.
	Writes []cause.Write `json:"writes,omitempty"`
}

// Group finds the changes among all items, and gives each difference its change's ID. The
// items are copied. Changes are of all that the report holds then: a selection of it shows
// some of them, with their numbers.
func (r *Report) Group() {
	found := r.grouping()
	r.Changes, r.grouped = make([]ChangeSummary, len(found.Changes)), found.Changes
	ids := make([]string, len(found.Changes))
	for i, c := range found.Changes {
		ids[i] = c.ID.String()
		r.Changes[i] = ChangeSummary{
			ID: ids[i], Summary: c.Summary(), Kind: c.Kind, Risk: c.Risk, RiskReason: c.Reason,
			Workloads: c.Workloads, Pods: c.Pods, Namespaces: c.Namespaces,
		}
	}
	r.Items = slices.Clone(r.Items)
	for i := range r.Items {
		item := &r.Items[i]
		item.Revisions = slices.Clone(item.Revisions)
		for j := range item.Revisions {
			revision := &item.Revisions[j]
			revision.Changes = slices.Clone(revision.Changes)
			for k := range revision.Changes {
				revision.Changes[k].ID = ""
				if !revision.differs() {
					continue
				}
				if at := found.Of(i, j, k); at >= 0 {
					revision.Changes[k].ID = ids[at]
				}
			}
		}
	}
	r.nameWebhooks()
	r.markToday()
}

func (r *Report) grouping() change.Grouping {
	workloads := make([]change.Workload, len(r.Items))
	for i, item := range r.Items {
		workloads[i] = item.differences()
	}
	return change.Group(workloads)
}

// ChangesByRisk numbers the changes of each risk; of a risk that none has there are 0.
func (r *Report) ChangesByRisk() map[change.Risk]int {
	numbers := map[change.Risk]int{}
	for _, risk := range change.Risks() {
		numbers[risk] = 0
	}
	for _, c := range r.Changes {
		numbers[c.Risk]++
	}
	if r.Changes == nil {
		for _, c := range r.grouping().Changes {
			numbers[c.Risk]++
		}
	}
	return numbers
}

// differences are what the workload is grouped by.
func (item Item) differences() change.Workload {
	w := change.Workload{Cluster: item.Cluster, Namespace: item.Namespace, Name: item.Name, Revisions: make([]change.Revision, len(item.Revisions))}
	for i, r := range item.Revisions {
		if r.differs() {
			w.Revisions[i] = change.Revision{Pods: r.Pods, Changes: r.Changes, More: r.MoreChanges, Sidecars: r.Sidecars, Loses: r.Loses}
		}
	}
	return w
}

// Having returns the report with only the items that differ in one of the changes, or that
// these cover. What it says of changes and in its summary is still of everything.
func (r *Report) Having(named change.Named) *Report {
	selected := *r
	selected.Items = []Item{}
	for _, item := range r.Items {
		has := slices.ContainsFunc(item.Revisions, func(revision Revision) bool {
			return slices.ContainsFunc(revision.Changes, func(c verdict.Change) bool { return c.ID != "" && named.Has(c.ID) })
		})
		if has || item.Covered(named) {
			selected.Items = append(selected.Items, item)
		}
	}
	return &selected
}

// InChanges is how many of the named changes the workload differs in, and how many others.
func (item Item) InChanges(named change.Named) (has, others int) {
	seen := map[string]bool{}
	for _, r := range item.Revisions {
		for _, c := range r.Changes {
			switch {
			case c.ID == "" || seen[c.ID]:
			case named.Has(c.ID):
				has++
			default:
				others++
			}
			seen[c.ID] = true
		}
	}
	return has, others
}

// Covered reports whether all that the workload differs in is of the changes that are named.
func (item Item) Covered(named change.Named) bool { return named.Covers(item.differences()) }

// Risk is the worst of all that the workload differs in, and where.
func (item Item) Risk() (change.Risk, string) { return change.Assess(item.differences()) }

// Differs reports whether something of the workload differs that is injection's.
func (item Item) Differs() bool { return slices.ContainsFunc(item.Revisions, Revision.differs) }

// differs reports whether what the revision's Pods differ in is injection's.
func (r Revision) differs() bool { return r.State.Drift() || r.State == verdict.Modified }

// index is the place of each change among all.
func (r *Report) index() map[string]int {
	index := make(map[string]int, len(r.Changes))
	for i, c := range r.Changes {
		index[c.ID] = i
	}
	return index
}

// changesOf are the places of a workload's changes in the index, sorted.
func (item Item) changesOf(index map[string]int) []int {
	var found []int
	for _, r := range item.Revisions {
		for _, c := range r.Changes {
			if at, ok := index[c.ID]; ok && !slices.Contains(found, at) {
				found = append(found, at)
			}
		}
	}
	slices.Sort(found)
	return found
}

// namesOf are the IDs of a workload's changes, at most manyNames, and the worst risk of all.
func (r *Report) namesOf(item Item, index map[string]int) (ids []string, risk change.Risk) {
	for _, at := range item.changesOf(index) {
		c := r.Changes[at]
		if risk == "" || c.Risk.Exceeds(risk) {
			risk = c.Risk
		}
		if len(ids) < manyNames {
			ids = append(ids, c.ID)
		}
	}
	return ids, risk
}
