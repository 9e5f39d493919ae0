package rollout

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// Whatever order an audit found them in: what is rolled out comes first, and
// the order is always the same.
func TestPlanOrder(t *testing.T) {
	var want []Step
	for _, result := range []report.Result{report.Planned, report.Skipped} {
		for _, namespace := range []string{"billing", "shop"} {
			for _, kind := range []string{"DaemonSet", "Deployment", "StatefulSet"} {
				for _, name := range []string{"a", "b"} {
					want = append(want, Step{Item: report.Item{Namespace: namespace, Kind: kind, Name: name}, Result: result})
				}
			}
		}
	}
	for seed := range uint64(100) {
		items := slices.Clone(want)
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(items), func(a, b int) { items[a], items[b] = items[b], items[a] })
		slices.SortStableFunc(items, Pace{Order: ByName}.inOrder)
		if diff := cmp.Diff(want, items, cmp.AllowUnexported(Step{})); diff != "" {
			t.Fatalf("seed %d (-want +got):\n%s", seed, diff)
		}
	}
}

func TestPlanOrderBy(t *testing.T) {
	day := func(n int) *time.Time { return new(time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC)) }
	item := func(name string, pods int, oldest *time.Time, result report.Result) Step {
		return Step{Result: result, Item: report.Item{
			Name: name, Pods: map[verdict.State]int{verdict.Drifted: pods - 1, verdict.InSync: 1}, OldestPod: oldest,
		}}
	}
	items := []Step{
		item("left-out", 1, day(1), report.Skipped),
		item("big", 9, day(2), report.Planned),
		item("small", 2, day(3), report.Planned),
		item("another", 2, nil, report.Planned),
	}
	for order, want := range map[Order][]string{
		ByName: {"another", "big", "small", "left-out"},
		ByPods: {"another", "small", "big", "left-out"},
		ByAge:  {"big", "small", "another", "left-out"},
	} {
		sorted := slices.Clone(items)
		slices.SortStableFunc(sorted, Pace{Order: order}.inOrder)
		if diff := cmp.Diff(want, names(sorted)); diff != "" {
			t.Errorf("by %s (-want +got):\n%s", order, diff)
		}
	}
}

func names(steps []Step) []string {
	var all []string
	for _, s := range steps {
		all = append(all, s.Item.Name)
	}
	return all
}

// Canaries come first, at most one a namespace, and the others stay in order.
func TestCanariesFirst(t *testing.T) {
	item := func(namespace, name string, result report.Result) Step {
		return Step{Item: report.Item{Namespace: namespace, Name: name}, Result: result}
	}
	plan := []Step{
		item("a", "a1", report.Planned), item("a", "a2", report.Planned), item("a", "a3", report.Planned),
		item("b", "b1", report.Planned), item("b", "b2", report.Planned),
		item("c", "c1", report.Planned),
		item("d", "d1", report.Skipped),
	}
	for n, want := range [][]string{
		{"a1", "a2", "a3", "b1", "b2", "c1", "d1"},
		{"a1", "a2", "a3", "b1", "b2", "c1", "d1"},
		{"a1", "b1", "a2", "a3", "b2", "c1", "d1"},
		{"a1", "b1", "c1", "a2", "a3", "b2", "d1"},
		{"a1", "b1", "c1", "a2", "a3", "b2", "d1"},
	} {
		got := slices.Clone(plan)
		canariesFirst(got, n)
		if diff := cmp.Diff(want, names(got)); diff != "" {
			t.Errorf("%d canaries (-want +got):\n%s", n, diff)
		}
		if count := canaries(got[:6], n); count != min(n, 3) {
			t.Errorf("%d canaries: found %d", n, count)
		}
	}
}

func TestUnavailableLimit(t *testing.T) {
	summary := report.Summary{Pods: map[verdict.State]int{verdict.Drifted: 150, verdict.InSync: 50, verdict.NotInjected: 1000, verdict.Blocked: 9}}
	for percent, want := range map[int]int{0: -1, 1: 2, 10: 20, 100: 200} {
		if got := unavailableLimit(summary, percent); got != want {
			t.Errorf("%d %%: %d, want %d", percent, got, want)
		}
	}
}

func TestStepsLeaveOutWhatIsFine(t *testing.T) {
	steps := stepsOf([]report.Item{
		audited("Deployment", verdict.InSync),
		audited("Deployment", verdict.Drifted, imageChange),
		audited("DaemonSet", verdict.Drifted, imageChange),
		audited("Deployment", verdict.NotInjected),
	}, Options{})
	if len(steps) != 2 || steps[0].Result != report.Planned || steps[1].Result != report.Skipped {
		t.Errorf("%+v, want the Deployment that drifted Planned, the DaemonSet Skipped, and nothing else", steps)
	}
}
