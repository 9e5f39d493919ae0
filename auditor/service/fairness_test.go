package service

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/auditor/config"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// ward is a patient whose workloads are NAMESPACE/NAME, and whose rollouts come to
// what result says of each. As in a real run, nothing starts after a failure.
type ward struct {
	*patient
	result func(name string) report.Rollout
	// For waves: what is not well after its rollout, what is in sync after one that failed,
	// what is in another state, and at which places they differ.
	sick, inSync map[string]bool
	is           map[string]verdict.State
	differ       map[string]string
}

func newWard(workloads ...string) *ward {
	w := &ward{patient: newPatient(newCluster(), 0)}
	for _, name := range workloads {
		w.drifting[name] = true
	}
	item := func(name string, state verdict.State) report.Item {
		namespace, name, _ := strings.Cut(name, "/")
		return report.Item{Namespace: namespace, Kind: "Deployment", Name: name, State: state, Pods: map[verdict.State]int{state: 1}}
	}
	w.answer = func() (*report.Report, error) {
		var items []report.Item
		for _, name := range workloads {
			state := verdict.InSync
			if w.isDrifting(name) {
				state = cmp.Or(w.is[name], verdict.Drifted)
			}
			found := item(name, state)
			if place := w.differ[name]; place != "" {
				found.Revisions = []report.Revision{{State: state, Changes: []verdict.Change{{Part: "container/proxy", Path: place, To: []byte(`"new"`)}}}}
			}
			items = append(items, found)
		}
		return reportOf(items...), nil
	}
	w.healer.steps.plan = func(_ context.Context, found *report.Report, _ rollout.Options) (*rollout.Plan, error) {
		return planOf(found, func(item report.Item) report.Result {
			if strings.HasPrefix(item.Name, "unhealthy") {
				return report.Skipped
			}
			return report.Planned
		}), nil
	}
	w.healer.steps.run = func(_ context.Context, plan *rollout.Plan, opts rollout.Options, _ rollout.AuditFunc) (*report.Report, error) {
		failures := 0
		done := plan.Report()
		for i, item := range done.Items {
			name := item.Namespace + "/" + item.Name
			switch {
			case item.Rollout.Result != report.Planned:
			case failures >= opts.Pace.MaxFailures:
				done.Items[i].Rollout.Result = report.Interrupted
			default:
				done.Items[i].Rollout = w.result(name)
				w.mu.Lock()
				w.rolled = append(w.rolled, time.Now().In(berlin).Format("Mon 15:04 ")+name)
				w.drifting[name] = done.Items[i].Rollout.Result != report.RolledOut && !w.inSync[name]
				w.mu.Unlock()
				if outcomeOf(done.Items[i].Rollout) == failure {
					failures++
				}
			}
		}
		return done, nil
	}
	w.healer.steps.audit = func(_ context.Context, _ config.Configuration, due ...inventory.WorkloadRef) (*report.Report, error) {
		found, err := w.answer()
		found.Items = slices.DeleteFunc(found.Items, func(item report.Item) bool { return !slices.Contains(due, refOf(item)) })
		return found, err
	}
	return w
}

func began(result report.Result) report.Rollout {
	now := time.Now()
	return report.Rollout{Result: result, StartedAt: &now}
}

// rolledOutOf are those of a namespace.
func (w *ward) rolledOutOf(namespace string) []string {
	return slices.DeleteFunc(w.rolledOut(), func(s string) bool { return !strings.Contains(s, " "+namespace+"/") })
}

// A tenant with fifty Deployments that fail, or are refused, or go on for ever,
// costs a window one place of its budget and one failure: everybody else's are
// rolled out in the same night.
func TestOneNamespaceStopsNobodyElse(t *testing.T) {
	var workloads []string
	for i := range 50 {
		workloads = append(workloads, fmt.Sprintf("aaa-tenant/bad-%02d", i), fmt.Sprintf("aaa-tenant/unhealthy-%02d", i))
	}
	for i := range 4 {
		workloads = append(workloads, fmt.Sprintf("shop/web-%d", i), fmt.Sprintf("team/api-%d", i))
	}
	for name, bad := range map[string]struct {
		how  func() report.Rollout
		most int // of the tenant's that are tried in a night
	}{
		"they fail":         {func() report.Rollout { return began(report.Failed) }, 1},
		"they never finish": {func() report.Rollout { return began(report.Interrupted) }, 1},
		"they drift on":     {func() report.Rollout { return began(report.NotConverging) }, 1},
		"they are refused":  {func() report.Rollout { return report.Rollout{Result: report.Skipped} }, 1 << 20},
		"they have no harm": {func() report.Rollout { return began(report.RolledOut) }, 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWard(workloads...)
				w.conf.AutoRollout.Budget = 12
				w.result = func(name string) report.Rollout {
					if strings.HasPrefix(name, "aaa-tenant/") {
						return bad.how()
					}
					return began(report.RolledOut)
				}
				sleepUntil(t, "2026-01-13 12:00")
				w.start(t)
				sleepUntil(t, "2026-01-14 12:00")
				synctest.Wait()
				for _, namespace := range []string{"shop", "team"} {
					if got := w.rolledOutOf(namespace); len(got) != 4 {
						t.Errorf("of %s: %v, want all four in one night", namespace, got)
					}
				}
				if got := w.rolledOutOf("aaa-tenant"); len(got) == 0 || len(got) > bad.most {
					t.Errorf("of the tenant: %v", got)
				}
			})
		})
	}
}

// Where it fails in two namespaces, something is wrong with more than a tenant:
// nobody else's is touched in this window. In the next one those come first that
// have not failed, names that are new in a namespace of failures last.
func TestFailuresInSeveralNamespacesEndTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard("a/bad", "b/bad", "c/web", "d/web", "e/web")
		w.conf.AutoRollout.Budget = 5
		w.result = func(name string) report.Rollout {
			if strings.HasSuffix(name, "/bad") {
				return began(report.Failed)
			}
			return began(report.RolledOut)
		}
		sleepUntil(t, "2026-01-13 12:00")
		w.start(t)
		sleepUntil(t, "2026-01-15 12:00")
		synctest.Wait()
		got := w.rolledOut()
		for i := range got {
			got[i] = got[i][:4] + got[i][10:]
		}
		want := []string{"Tue a/bad", "Tue b/bad", "Wed c/web", "Wed d/web", "Wed e/web", "Wed a/bad", "Wed b/bad"}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("rolled out (-want +got):\n%s", diff)
		}
	})
}

// By turns of the namespaces, and what failed last.
func TestInOrder(t *testing.T) {
	var refs []inventory.WorkloadRef
	for _, name := range strings.Fields("a/1 a/2 a/3 b/1 b/2 c/1") {
		namespace, name, _ := strings.Cut(name, "/")
		refs = append(refs, inventory.WorkloadRef{Kind: "Deployment", Namespace: namespace, Name: name})
	}
	ranks := map[string]int{"a/1": 2, "b/1": 1, "b/2": 1}
	var got []string
	for _, item := range inOrder(refs, func(ref inventory.WorkloadRef) int { return ranks[ref.Namespace+"/"+ref.Name] }) {
		got = append(got, item.Namespace+"/"+item.Name)
	}
	if diff := gocmp.Diff("a/2 c/1 a/3 b/1 b/2 a/1", strings.Join(got, " ")); diff != "" {
		t.Error(diff)
	}
}
