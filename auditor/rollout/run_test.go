package rollout

import (
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// What is under way decides what may start beside it.
func TestFits(t *testing.T) {
	item := func(namespace string, disrupts int, budgets ...string) Step {
		return Step{Item: report.Item{Namespace: namespace}, Disrupts: disrupts, Budgets: budgets}
	}
	with := func(s Step, claims ...string) Step {
		s.Claims = claims
		return s
	}
	for name, test := range map[string]struct {
		active []Step
		next   Step
		limit  int
		want   bool
	}{
		"nothing under way":                 {next: item("shop", 9), limit: 1, want: true},
		"no limit":                          {active: []Step{item("shop", 100)}, next: item("shop", 100), limit: -1, want: true},
		"just within the limit":             {active: []Step{item("shop", 2)}, next: item("shop", 3), limit: 5, want: true},
		"over the limit":                    {active: []Step{item("shop", 2), item("cart", 1)}, next: item("shop", 3), limit: 5},
		"behind the same budget":            {active: []Step{item("shop", 1, "a", "b")}, next: item("shop", 1, "b", "c"), limit: -1},
		"behind other budgets":              {active: []Step{item("shop", 1, "a")}, next: item("shop", 1, "b"), limit: -1, want: true},
		"behind a budget of the same name":  {active: []Step{item("shop", 1, "a")}, next: item("cart", 1, "a"), limit: -1, want: true},
		"surges only, while all is used up": {active: []Step{item("shop", 5)}, next: item("shop", 0), limit: 5, want: true},
		"with the same claim":               {active: []Step{with(item("shop", 1), "data", "logs")}, next: with(item("shop", 1), "logs"), limit: -1},
		"with another claim":                {active: []Step{with(item("shop", 1), "data")}, next: with(item("shop", 1), "logs"), limit: -1, want: true},
		"with a claim of the same name":     {active: []Step{with(item("shop", 1), "data")}, next: with(item("cart", 1), "data"), limit: -1, want: true},
		"a claim named as the budget is":    {active: []Step{item("shop", 1, "data")}, next: with(item("shop", 1), "data"), limit: -1, want: true},
	} {
		r := run{plan: &Plan{Steps: append([]Step{test.next}, test.active...)}, limit: test.limit}
		for i := range test.active {
			r.active = append(r.active, i+1)
		}
		if got := r.fits(0); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

// An item that takes another strategy than was planned has room for that, or is left; what it
// takes up counts from then on.
func TestRoom(t *testing.T) {
	alone := run{plan: &Plan{Steps: []Step{{Disrupts: 10}}}, limit: 5, active: []int{0}, more: map[int]int{}}
	if alone.room(0, 10) == "" || alone.room(0, 5) != "" {
		t.Error("what may disrupt more than the limit, by another strategy than was planned, has no room for that")
	}
	steps := []Step{{Disrupts: 1}, {Disrupts: 2}, {Disrupts: 1}}
	r := run{plan: &Plan{Steps: steps}, limit: 5, active: []int{0, 1}, more: map[int]int{}}
	for _, ask := range []struct {
		item, disrupts int
		full           bool
	}{{0, 1, false}, {0, 4, true}, {0, 3, false}, {1, 3, true}, {1, 2, false}, {0, 3, false}} {
		if full := r.room(ask.item, ask.disrupts); (full != "") != ask.full {
			t.Errorf("item %d, %d Pods: %q", ask.item, ask.disrupts, full)
		}
	}
	if r.fits(2) {
		t.Error("another one may start, though 5 Pods of 5 may be unavailable")
	}
	if r.limit = -1; r.room(0, 100) != "" {
		t.Error("without a limit there is always room")
	}
}
