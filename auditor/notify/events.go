package notify

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// Drift tells that these workloads of a report have begun to drift.
func Drift(items []report.Item, found *report.Report, now time.Time) Message {
	m := about(DriftFound, items, now)
	m.DriftPercent = found.Summary.DriftPercent
	m.Changes = changesOf(items, found.Changes)
	m.Summary = m.counted() + " drifted"
	return m
}

// changesOf are those that the workloads differ in, with what a report says of them.
func changesOf(items []report.Item, all []report.ChangeSummary) []Change {
	has := map[string]bool{}
	for _, item := range items {
		for _, revision := range item.Revisions {
			for _, c := range revision.Changes {
				has[c.ID] = true
			}
		}
	}
	var changes []Change
	for _, c := range all {
		if has[c.ID] && len(changes) < mostChanges {
			changes = append(changes, Change{ID: c.ID, Summary: reason(c.Summary), Risk: string(c.Risk), Workloads: c.Workloads, By: reason(c.By)})
		}
	}
	return changes
}

// Blocked tells that these workloads cannot be re-created any more.
func Blocked(items []report.Item, now time.Time) Message {
	m := about(BlockedFound, items, now)
	m.Summary = m.counted() + " cannot be re-created: admission refuses their Pods"
	return m
}

// Down tells that these injectors have ceased to answer.
func Down(outages []report.Outage, now time.Time) Message {
	m := about(InjectorDown, nil, now)
	for _, o := range outages[:min(len(outages), mostWebhooks)] {
		m.Webhooks = append(m.Webhooks, Webhook{word(o.Webhook), reason(o.Reason)})
	}
	m.Summary = number(len(outages), "injector") + " ceased to answer: new Pods may be created without what is injected"
	return m
}

// Started tells that a rollout of what is planned begins.
func Started(plan *report.Report, now time.Time) Message {
	var planned []report.Item
	for _, item := range plan.Items {
		if item.Rollout.Result == report.Planned {
			planned = append(planned, item)
		}
	}
	m := about(RolloutStarted, planned, now)
	m.Summary = "The rollout of " + m.counted() + " begins"
	return m
}

// Ended tells what came of a plan: how all of it ended, and apart from that what failed
// and what was taken back. Where the run as a whole failed there is no done.
func Ended(plan, done *report.Report, err error, now time.Time) []Message {
	planned := Started(plan, now)
	if err != nil || done == nil {
		planned.Event = RolloutFailed
		planned.Summary = "The rollout of " + planned.counted() + " failed: " + reason(fmt.Sprint(err))
		return []Message{planned}
	}
	var all, failed, reverted []report.Item
	results := map[report.Result]int{}
	for i, item := range done.Items {
		if i >= len(plan.Items) || plan.Items[i].Rollout.Result != report.Planned {
			continue
		}
		all = append(all, item)
		results[item.Rollout.Result]++
		switch item.Rollout.Result {
		case report.Failed, report.NotConverging:
			failed = append(failed, item)
		case report.Reverted:
			reverted = append(reverted, item)
		}
	}
	// What needs a look comes first, as not all may be listed.
	slices.SortStableFunc(all, func(a, b report.Item) int { return cmp.Compare(rank(a), rank(b)) })
	finished := about(RolloutFinished, all, now)
	finished.Summary = "The rollout of " + finished.counted() + " has ended: " + tally(results)
	messages := []Message{finished}
	if len(failed) > 0 {
		m := about(RolloutFailed, failed, now)
		m.Summary = "The rollout of " + m.counted() + " failed"
		messages = append(messages, m)
	}
	if len(reverted) > 0 {
		m := about(RolloutReverted, reverted, now)
		m.Summary = "The restart of " + m.counted() + " was taken back"
		messages = append(messages, m)
	}
	return messages
}

// suppressed tells of nothing but messages that were left out.
func suppressed(now time.Time) Message {
	m := about(Suppressed, nil, now)
	m.Summary = "Messages were left out"
	return m
}

// order of results, worst first.
var order = []report.Result{report.Failed, report.NotConverging, report.Reverted, report.Interrupted, report.Skipped, report.RolledOut, report.Resized}

func rank(item report.Item) int {
	if at := slices.Index(order, item.Rollout.Result); at >= 0 {
		return at
	}
	return len(order)
}

func tally(results map[report.Result]int) string {
	var parts []string
	for _, result := range order {
		if n := results[result]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, result))
		}
	}
	return strings.Join(parts, ", ")
}

// about is a message about workloads, without a summary.
func about(event Event, items []report.Item, now time.Time) Message {
	m := Message{
		Event: event, Time: now.UTC(), WorkloadCount: len(items), Workloads: []Workload{}, Webhooks: []Webhook{},
	}
	namespaces := map[string]bool{}
	for _, item := range items {
		namespaces[item.Namespace] = true
		if len(m.Workloads) < mostWorkloads {
			m.Workloads = append(m.Workloads, workload(item))
		}
	}
	m.NamespaceCount = len(namespaces)
	return m
}

func workload(item report.Item) Workload {
	w := Workload{
		Namespace: word(item.Namespace), Kind: word(item.Kind), Name: word(item.Name), State: string(item.State),
		Sidecars: []string{}, Strategy: item.Rollout.Strategy, Result: string(item.Rollout.Result), Reason: reason(item.Rollout.Reason),
	}
	for _, r := range item.Revisions {
		if item.Rollout.Result == "" && w.Reason == "" && r.State == item.State {
			w.Reason = reason(r.Reason)
		}
		for _, name := range r.Sidecars {
			if name = word(name); len(w.Sidecars) < mostSidecars && !slices.Contains(w.Sidecars, name) {
				w.Sidecars = append(w.Sidecars, name)
			}
		}
	}
	return w
}

// counted says how many workloads there are, and where.
func (m Message) counted() string {
	text := number(m.WorkloadCount, "workload")
	if m.NamespaceCount == 1 {
		return text + " in namespace " + m.Workloads[0].Namespace
	}
	return text + " in " + number(m.NamespaceCount, "namespace")
}

func number(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
