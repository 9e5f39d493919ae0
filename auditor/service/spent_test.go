package service

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/wave"
)

// crashed is one failure in a namespace.
func crashed(namespace string) map[report.Cause]failures {
	return map[report.Cause]failures{report.CauseSidecarCrash: {Namespaces: map[string]int{namespace: 1}, Changes: []string{"image"}}}
}

// try is a workload whose turn it is: by a namespace, its changes, and of what it would fail.
type try struct {
	namespace, changes string
	cause              report.Cause
}

func (w try) had() []wave.Change {
	var changes []wave.Change
	for id := range strings.SplitSeq(w.changes, "+") {
		changes = append(changes, wave.Change{ID: id})
	}
	return changes
}

// night is what comes of a window in which all are tried in their order.
func night(maxFailures int, tries []try) (failed, rolledOut int, s spent) {
	s = spent{}.in("w")
	for _, w := range tries {
		switch {
		case s.over(maxFailures), s.leaves(w.namespace, maxFailures), s.stops(w.had(), maxFailures) != "":
		case w.cause == "":
			rolledOut++
		default:
			s.failed(w.namespace, w.cause, w.had())
			failed++
		}
	}
	return failed, rolledOut, s
}

// each has one workload in each of n namespaces.
func each(n int, prefix, changes string, causes ...report.Cause) []try {
	tries := make([]try, n)
	for i := range tries {
		tries[i] = try{fmt.Sprint(prefix, i), changes, causes[i%len(causes)]}
	}
	return tries
}

// A change that is bad everywhere stops soon, whatever else there is to roll out goes on,
// and nobody who fails in a namespace of their own keeps others waiting.
func TestWindowByCauses(t *testing.T) {
	const crash, notReady, quota = report.CauseSidecarCrash, report.CauseAppNotReady, report.CauseQuota
	join := func(lists ...[]try) (all []try) {
		for _, list := range lists {
			all = append(all, list...)
		}
		return all
	}
	for name, test := range map[string]struct {
		maxFailures       int
		tries             []try
		failed, rolledOut int
	}{
		"all is well":               {1, each(100, "n", "image", ""), 0, 100},
		"one that fails":            {1, join(each(1, "bad", "image", crash), each(99, "n", "image", "")), 1, 99},
		"bad everywhere":            {1, each(100, "n", "image", crash), 2, 0},
		"bad everywhere, by three":  {3, each(100, "n", "image", crash), 6, 0},
		"bad in two ways":           {1, each(100, "n", "image", crash, notReady), 3, 0},
		"of two tenants, two ways":  {1, join(each(1, "q", "image", quota), each(1, "c", "image", crash), each(98, "n", "image", "")), 2, 98},
		"one tenant's many":         {1, join(each(50, "tenant", "image", crash)[:1], fifty("tenant0", crash), each(50, "n", "image", "")), 1, 50},
		"another change goes on":    {1, join(each(10, "n", "image", crash), each(10, "m", "limit", "")), 2, 10},
		"of several, the common":    {1, join(each(1, "a", "image+own", crash), each(1, "b", "image+other", crash), each(5, "c", "own", ""), each(5, "d", "image", "")), 2, 5},
		"nothing in common":         {1, join(each(1, "a", "own", report.CauseNoRoom), each(1, "b", "other", report.CauseNoRoom), each(5, "c", "image", "")), 2, 0},
		"another change, once":      {1, join(each(2, "n", "image", crash), each(1, "m", "limit", crash), each(5, "o", "limit", ""), each(5, "p", "image", "")), 3, 5},
		"another change, twice":     {1, join(each(2, "n", "image", crash), each(2, "m", "limit", crash), each(5, "o", "limit", "")), 4, 0},
		"budgets of their own":      {1, join(each(5, "b", "image", report.CauseBudget), each(5, "n", "image", "")), 5, 5},
		"in too many namespaces":    {300, each(2000, "n", "image", crash), 500, 0},
		"as much as one may, twice": {2, join(fifty("a", crash), fifty("b", crash), each(5, "c", "image", "")), 4, 0},
	} {
		failed, rolledOut, s := night(test.maxFailures, test.tries)
		if failed != test.failed || rolledOut != test.rolledOut {
			t.Errorf("%s: %d failed and %d were rolled out, want %d and %d", name, failed, rolledOut, test.failed, test.rolledOut)
		}
		text, err := json.Marshal(s)
		if err != nil || len(text) > 1<<14 {
			t.Errorf("%s: %d bytes to keep (%v)", name, len(text), err)
		}
		var kept spent
		if err := json.Unmarshal(text, &kept); err != nil || kept.in("w").over(test.maxFailures) != s.over(test.maxFailures) {
			t.Errorf("%s: the next leader goes by something else (%v)", name, err)
		}
	}
}

// fifty are fifty workloads of one namespace.
func fifty(namespace string, cause report.Cause) []try {
	tries := make([]try, 50)
	for i := range tries {
		tries[i] = try{namespace, "image", cause}
	}
	return tries
}

// What is kept of the worst window leaves room for the rest of the ConfigMap.
func TestTheWorstWindowIsSmall(t *testing.T) {
	s := spent{}.in("w")
	var changes []wave.Change
	for i := range 1000 {
		changes = append(changes, wave.Change{ID: fmt.Sprintf("%012d", i)})
	}
	causes := []report.Cause{
		report.CauseSidecarImage, report.CauseSidecarCrash, report.CauseSidecarNotReady, report.CauseAppImage, report.CauseAppCrash, report.CauseAppNotReady,
		report.CauseNoRoom, report.CauseQuota, report.CauseBudget, report.CauseRefused, report.CauseNotConverging, report.CauseReverted, report.CauseTooLong, report.CauseCanary, report.CauseOther,
	}
	for i := 0; !s.over(1000); i++ {
		s.failed(fmt.Sprintf("%063d", i), causes[i%len(causes)], changes)
	}
	text, err := json.Marshal(s)
	if err != nil || len(text) > 56<<10 {
		t.Errorf("%d bytes (%v)", len(text), err)
	}
}
