package matrix

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

func every(row) bool { return true }

// check notes what of a report on the given rows is not as it should be.
func (a *asker) check(found *report.Report, when string, want func(row) expectation, of func(row) bool) {
	for n, r := range a.rows {
		if of(r) {
			a.compare(n, when, a.itemsOf(n, found), want(r))
		}
	}
}

// itemsOf returns the workloads of a row: those named after it.
func (m *matrix) itemsOf(n int, found *report.Report) []report.Item {
	var items []report.Item
	for _, item := range found.Items {
		if item.Name == name(n) || strings.HasPrefix(item.Name, name(n)+"-") {
			items = append(items, item)
		}
	}
	return items
}

func (a *asker) compare(n int, when string, items []report.Item, want expectation) {
	alarm := func(format string, args ...any) {
		a.falseAlarms[n] = append(a.falseAlarms[n], when+": "+fmt.Sprintf(format, args...))
	}
	miss := func(format string, args ...any) {
		a.misses[n] = append(a.misses[n], when+": "+fmt.Sprintf(format, args...))
	}
	if len(items) == 0 {
		if want.state != none {
			miss("is not in the report")
		}
		return
	}
	var got []string
	for _, item := range items {
		approximate := false
		for _, revision := range item.Revisions {
			approximate = approximate || revision.Approximate
			for _, c := range revision.Changes {
				place := strings.TrimSpace(c.Part + " " + c.Path)
				got = append(got, place)
				switch spent := slices.Contains(a.rows[n].spent, place); {
				case c.Spent && !spent:
					miss("calls %s spent", place)
				case spent && !c.Spent:
					alarm("does not call %s spent", place)
				}
			}
		}
		if item.State == want.state {
			if item.State.Drift() && approximate != a.doubted(a.rows[n]) {
				alarm("approximate is %t", approximate)
			}
			continue
		}
		note := alarm
		if want.state.Drift() || want.state == verdict.Blocked {
			note = miss
		}
		note("%s is %s, not %s %s", item.Kind, item.State, want.state, reasons(item))
	}
	slices.Sort(got)
	for _, place := range slices.Compact(got) {
		if !slices.Contains(want.changes, place) {
			alarm("reports %s", place)
		}
	}
	for _, place := range want.changes {
		if !slices.Contains(got, place) {
			miss("does not report %s", place)
		}
	}
}

func reasons(item report.Item) string {
	var all []string
	for _, revision := range item.Revisions {
		if revision.Reason != "" {
			all = append(all, revision.Reason)
		}
	}
	return strings.Join(all, "; ")
}

// rollOut rolls out what may be: first by restart, then by eviction where nothing
// else does, then where only what is spent differs, then where no container is injected,
// then where what was injected is to go.
func (m *matrix) rollOut(t *testing.T, found *report.Report) {
	t.Helper()
	m.rollOutBy(t, found, rollout.Options{}, func(r row) bool {
		return !r.evicted && !r.orphaned && !r.sidecarless && !r.onlySpent()
	})
	some := func(opts rollout.Options, of func(row) bool) { m.rollOutBy(t, m.reportOn(found, of), opts, of) }
	some(rollout.Options{Strategy: rollout.Evict}, func(r row) bool { return r.evicted })
	some(rollout.Options{Select: rollout.Filter{IncludeSpent: true}}, row.onlySpent)
	included := rollout.Options{Select: rollout.Filter{IncludeSidecarless: true}}
	some(included, func(r row) bool { return r.sidecarless && !r.orphaned })
	included.Guards.AllowOrphaned = true
	some(included, func(r row) bool { return r.orphaned })
}

// reportOn returns what was found about some of the rows.
func (m *matrix) reportOn(found *report.Report, of func(row) bool) *report.Report {
	some := *found
	some.Items = nil
	for n, r := range m.rows {
		if of(r) {
			some.Items = append(some.Items, m.itemsOf(n, found)...)
		}
	}
	return &some
}

// rollOutBy rolls out what is eligible of the report, which must be the drifted
// rows that want names.
func (m *matrix) rollOutBy(t *testing.T, found *report.Report, opts rollout.Options, wanted func(row) bool) {
	t.Helper()
	var want []string
	for n, r := range m.rows {
		if r.state.Drift() && !r.stays && wanted(r) {
			want = append(want, name(n))
		}
	}
	opts.Select.IncludeStatefulSet, opts.Select.IncludeDaemonSet, opts.Guards.AllowDowntime = true, true, true
	opts.Pace = rollout.Pace{Parallel: 8, MaxFailures: len(m.rows), Timeout: time.Minute}
	plan, err := rollout.MakePlan(t.Context(), m.self.config, found, opts)
	if err != nil {
		t.Fatal(err)
	}
	done, err := rollout.Run(t.Context(), m.self.config, plan, opts, func(ctx context.Context, w inventory.WorkloadRef, seen []byte) (*report.Item, error) {
		return audit.Workload(ctx, m.self.config, audit.Options{DryRunAs: m.self.as}, w, seen)
	})
	if err != nil {
		t.Fatal(err)
	}
	rolled := []string{}
	for _, item := range done.Items {
		switch item.Rollout.Result {
		case report.RolledOut:
			rolled = append(rolled, item.Name)
		case report.Skipped:
		default:
			t.Errorf("%s %s is %s: %s", item.Kind, item.Name, item.Rollout.Result, item.Rollout.Reason)
		}
	}
	slices.Sort(rolled)
	if diff := cmp.Diff(append([]string{}, want...), rolled); diff != "" {
		for _, item := range done.Items {
			if slices.Contains(want, item.Name) && item.Rollout.Result != report.RolledOut {
				t.Logf("%s %s: %s", item.Kind, item.Name, item.Rollout.Reason)
			}
		}
		t.Errorf("rolled out by %+v (-want +got):\n%s", opts.Select, diff)
	}
}

// none is the state of a row that must not be in the report.
const none verdict.State = ""

// recorded is the audit whose Pods -record writes.
const recorded = "after the change"
