package report

import (
	"slices"
	"strings"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/cause"
	"github.com/sidecar-drift/sidecar-drift/auditor/journal"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// Question is what cause asks about a change that drift consists of.
type Question struct {
	ID, Webhook string
	cause.Change
	// Mutators are what changes Pods and sees all that differ so, CONFIGURATION/WEBHOOK or the
	// name of a policy; nil where that does not tell who makes it.
	Mutators []string
	// Pods are the UIDs of those that differ in it.
	Pods []string
}

// LastBorn is when the last of the Pods was created that differ; zero where none is known.
func (q Question) LastBorn(born map[string]time.Time) (last time.Time) {
	for _, uid := range q.Pods {
		if at := born[uid]; at.After(last) {
			last = at
		}
	}
	return last
}

// Questions are those about the changes that drift consists of, as they are in a report that
// is grouped, but for when each began.
func (r *Report) Questions() []Question {
	index := r.index()
	questions, mutators := make([]Question, len(r.grouped)), r.mutators()
	injected := map[string]map[string]bool{} // namespaces by sidecar; "": all in which something is injected
	for _, item := range r.Items {
		for at := range item.driftsBy(index) {
			q := &questions[at]
			if !slices.Contains(q.Namespaces, item.Namespace) {
				q.Namespaces = append(q.Namespaces, item.Namespace)
			}
			q.Pods = append(q.Pods, item.podsDiffering(r.Changes[at].ID)...)
		}
		for _, revision := range item.Revisions {
			for _, sidecar := range append(revision.Sidecars, "") {
				if injected[sidecar] == nil {
					injected[sidecar] = map[string]bool{}
				}
				if sidecar != "" || len(revision.Sidecars) > 0 || revision.Injected {
					injected[sidecar][item.Namespace] = true
				}
			}
		}
	}
	for at, c := range r.grouped {
		q := &questions[at]
		q.Mutators = mutators[at]
		q.ID, q.Webhook, q.Kind = r.Changes[at].ID, r.Changes[at].Webhook, string(c.Kind)
		if slices.ContainsFunc(c.Places, func(p verdict.Change) bool { return p.To == nil }) {
			q.Mutators = nil // it may have been another one's, which is asked no more
		}
		q.NoPolicy = len(q.Mutators) > 0 && !slices.ContainsFunc(q.Mutators, func(name string) bool { return !strings.Contains(name, "/") })
		sidecars := []string{}
		for _, place := range c.Places {
			q.Parts, q.Paths = append(q.Parts, place.Part), append(q.Paths, place.Path)
			if kind, name, _ := strings.Cut(place.Part, "/"); kind == "container" || kind == "initContainer" {
				sidecars = append(sidecars, name)
			}
		}
		if len(sidecars) == 0 {
			sidecars = []string{""}
		}
		for _, sidecar := range sidecars {
			for namespace := range injected[sidecar] {
				q.Spared = q.Spared || !slices.Contains(q.Namespaces, namespace)
			}
		}
		slices.Sort(q.Namespaces)
	}
	return slices.DeleteFunc(questions, func(q Question) bool { return len(q.Namespaces) == 0 })
}

// podsDiffering are the UIDs of a workload's Pods that differ in a change.
func (item Item) podsDiffering(id string) (uids []string) {
	for _, r := range item.Revisions {
		for _, c := range r.Changes {
			if c.ID != id {
				continue
			}
			for state, pods := range r.Members {
				for _, pod := range pods {
					if state.Drift() {
						uids = append(uids, pod.UID)
					}
				}
			}
			break
		}
	}
	return uids
}

// Caused tells whose changes are, by their IDs.
func (r *Report) Caused(verdicts map[string]cause.Verdict) {
	for i, c := range r.Changes {
		if v, ok := verdicts[c.ID]; ok {
			r.Changes[i].By, r.Changes[i].Writes = v.By, v.Writes
		}
	}
}

// explained reports whether somebody looked whose the changes are.
func (r *Report) explained() bool {
	return slices.ContainsFunc(r.Changes, func(c ChangeSummary) bool { return c.By != "" })
}

// whose says whose the changes of a workload are, each with its ID.
func (r *Report) whose(item Item, index map[string]int) string {
	var all []string
	for _, at := range item.changesOf(index) {
		if c := r.Changes[at]; c.By != "" && len(all) < manyNames {
			all = append(all, c.ID+": "+sentence(c.By))
		}
	}
	return strings.Join(all, "; ")
}

// Known are the entries of changes that are open and that what differs consists of: a report of
// few workloads may have several of them as one.
func (r *Report) Known(entries []journal.Entry) []journal.Entry {
	differs := map[string]bool{}
	for _, c := range r.grouped {
		for _, part := range c.Parts {
			differs[part.String()] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(entries), func(e journal.Entry) bool {
		return e.Ended != nil || len(e.Parts) == 0 || slices.ContainsFunc(e.Parts, func(part string) bool { return !differs[part] })
	})
}
