package rollout

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// Whatever order an audit found them in: what is rolled out comes first, and
// the order is always the same.
func TestPlanOrder(t *testing.T) {
	var want []report.Item
	for _, result := range []report.Result{report.Planned, report.Skipped} {
		for _, namespace := range []string{"billing", "shop"} {
			for _, kind := range []string{"DaemonSet", "Deployment", "StatefulSet"} {
				for _, name := range []string{"a", "b"} {
					want = append(want, report.Item{Namespace: namespace, Kind: kind, Name: name, Rollout: report.Rollout{Result: result}})
				}
			}
		}
	}
	for seed := range uint64(100) {
		items := slices.Clone(want)
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(items), func(a, b int) { items[a], items[b] = items[b], items[a] })
		slices.SortStableFunc(items, inOrder)
		if diff := cmp.Diff(want, items); diff != "" {
			t.Fatalf("seed %d (-want +got):\n%s", seed, diff)
		}
	}
}

func TestChosenLeavesOutWhatIsFine(t *testing.T) {
	items, decisions := chosen([]report.Item{
		audited("Deployment", verdict.InSync),
		audited("Deployment", verdict.Drifted, imageChange),
		audited("DaemonSet", verdict.Drifted, imageChange),
		audited("Deployment", verdict.NotInjected),
	}, Options{})
	if len(items) != 2 || len(decisions) != 2 || decisions[0] != proceed || decisions[1].result != report.Skipped {
		t.Errorf("chosen: %+v %+v, want the Deployment that drifted Planned, the DaemonSet Skipped, and nothing else", items, decisions)
	}
}
