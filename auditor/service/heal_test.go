package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/sidecar-drift/sidecar-drift/auditor/config"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

type fakeLock struct{ released *int }

func (fakeLock) Lost() <-chan struct{} { return nil }

func (fakeLock) Wanted() <-chan struct{} { return nil }

func (fakeLock) Look(context.Context) {}

func (fakeLock) Doing([]inventory.WorkloadRef) {}

func (l fakeLock) Release(context.Context) error { *l.released++; return nil }

// patient is a loop with a healer: its cluster's workloads drift from the first
// minute on, until they are rolled out; what was is taken down as "TIME NAME".
type patient struct {
	*recorded
	healer   *healer
	released int
	result   report.Result

	mu       sync.Mutex // rollouts run beside audits
	drifting map[string]bool
	rolled   []string
}

func (p *patient) isDrifting(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.drifting[name]
}

func (p *patient) rollsOut(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rolled = append(p.rolled, time.Now().In(berlin).Format("Mon 15:04 ")+name)
	p.drifting[name] = p.result != report.RolledOut
}

// rolledOut returns what was rolled out so far.
func (p *patient) rolledOut() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.rolled)
}

func newPatient(cluster kubernetes.Interface, workloads int) *patient {
	p := &patient{recorded: newRecorded(10 * time.Minute), drifting: map[string]bool{}, result: report.RolledOut}
	p.recorded.memory = newMemory(cluster.CoreV1().ConfigMaps("sidecar-drift"), "sidecar-drift-auditor")
	p.conf.AutoRollout.Enabled = true
	p.conf.AutoRollout.Windows = []config.Window{{Start: "22:00", End: "06:00", TimeZone: "Europe/Berlin"}}
	p.conf.AutoRollout.Budget = 3
	for n := range workloads {
		p.drifting[fmt.Sprint("w", n)] = true
	}
	p.answer = func() (*report.Report, error) {
		var items []report.Item
		for n := range workloads {
			state := verdict.InSync
			if p.isDrifting(fmt.Sprint("w", n)) {
				state = verdict.Drifted
			}
			items = append(items, workload(fmt.Sprint("w", n), state))
		}
		return reportOf(items...), nil
	}
	p.healer = &healer{memory: p.recorded.memory, log: logr.Discard(), ended: func(*report.Report) {}}
	p.healer.steps = steps{
		lock:  func(context.Context, string) (lock, error) { return fakeLock{&p.released}, nil },
		audit: auditOfDue,
		plan: func(_ context.Context, found *report.Report, _ rollout.Options) (*rollout.Plan, error) {
			return planOf(found, func(report.Item) report.Result { return report.Planned }), nil
		},
		run: func(_ context.Context, plan *rollout.Plan, _ rollout.Options, _ rollout.AuditFunc) (*report.Report, error) {
			now := time.Now()
			done := plan.Report()
			for i, item := range done.Items {
				p.rollsOut(item.Name)
				done.Items[i].Rollout = report.Rollout{Result: p.result, StartedAt: &now}
			}
			return done, nil
		},
		rows: func(context.Context, config.PrometheusQuery) (bool, error) { return false, nil },
	}
	p.healer.waves = &waves{memory: p.recorded.memory, labels: func(context.Context, []inventory.WorkloadRef) (rollout.Labels, error) {
		return rollout.Labels{}, errors.New("no labels")
	}}
	p.loop.heal = p.healer.heal
	return p
}

// planOf is a plan in which results are as given, what is planned first.
func planOf(found *report.Report, result func(report.Item) report.Result) *rollout.Plan {
	plan := &rollout.Plan{Audited: found}
	var others []rollout.Step
	for _, item := range found.Items {
		if s := (rollout.Step{Item: item, Result: result(item)}); s.Result == report.Planned {
			plan.Steps = append(plan.Steps, s)
		} else {
			others = append(others, s)
		}
	}
	plan.Steps = append(plan.Steps, others...)
	return plan
}

// auditOfDue finds that all of them drift.
func auditOfDue(_ context.Context, _ config.Configuration, due ...inventory.WorkloadRef) (*report.Report, error) {
	var items []report.Item
	for _, w := range due {
		items = append(items, drifting(w.Kind, w.Namespace, w.Name))
	}
	return reportOf(items...), nil
}

var berlin = func() *time.Location {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		panic(err)
	}
	return zone
}()

// sleepUntil sleeps until a time in Berlin.
func sleepUntil(t *testing.T, text string) {
	t.Helper()
	at, err := time.ParseInLocation("2006-01-02 15:04", text, berlin)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(at))
}

// Days and nights, those of both clock changes among them: a window's budget is
// rolled out once in each night, from the moment that the window opens.
func TestAutomaticRolloutInWindows(t *testing.T) {
	for name, test := range map[string]struct {
		from, until string
		want        []string
	}{
		"a plain night":       {"2026-01-13 12:00", "2026-01-14 12:00", []string{"Tue 22:00 w0", "Tue 22:00 w1", "Tue 22:00 w2"}},
		"the clock goes on":   {"2026-03-28 12:00", "2026-03-29 12:00", []string{"Sat 22:00 w0", "Sat 22:00 w1", "Sat 22:00 w2"}},
		"the clock goes back": {"2026-10-24 12:00", "2026-10-25 12:00", []string{"Sat 22:00 w0", "Sat 22:00 w1", "Sat 22:00 w2"}},
		"two nights": {"2026-01-13 12:00", "2026-01-15 12:00",
			[]string{"Tue 22:00 w0", "Tue 22:00 w1", "Tue 22:00 w2", "Wed 22:00 w3", "Wed 22:00 w4"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPatient(newCluster(), 5)
				sleepUntil(t, test.from)
				p.start(t)
				sleepUntil(t, test.until)
				synctest.Wait()
				if diff := cmp.Diff(test.want, p.rolledOut()); diff != "" {
					t.Errorf("rolled out (-want +got):\n%s", diff)
				}
				if p.released == 0 {
					t.Error("the Lease is never given back")
				}
			})
		})
	}
}

// What has only just begun to drift is left alone until it is old enough.
func TestAutomaticRolloutWaitsForAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPatient(newCluster(), 1)
		p.conf.AutoRollout.MinimumAge = metav1.Duration{Duration: 2 * time.Hour}
		sleepUntil(t, "2026-01-13 22:30")
		p.start(t)
		sleepUntil(t, "2026-01-14 00:29")
		synctest.Wait()
		if len(p.rolledOut()) > 0 {
			t.Errorf("rolled out too early: %v", p.rolledOut())
		}
		sleepUntil(t, "2026-01-14 00:45")
		synctest.Wait()
		if len(p.rolledOut()) != 1 {
			t.Errorf("rolled out %v, want one", p.rolledOut())
		}
	})
}

// A leader that takes over in the same night has what is left of the budget, and
// none after a failure.
func TestAutomaticRolloutOfTheNextLeader(t *testing.T) {
	for result, want := range map[report.Result]int{report.RolledOut: 3, report.Failed: 3, report.NotConverging: 3} {
		synctest.Test(t, func(t *testing.T) {
			cluster := newCluster()
			sleepUntil(t, "2026-01-13 20:00")
			first := newPatient(cluster, 5)
			first.result = result
			ctx, kill := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { first.run(ctx); close(done) }()
			sleepUntil(t, "2026-01-13 23:00")
			synctest.Wait()
			kill()
			<-done
			second := newPatient(cluster, 5)
			second.start(t)
			sleepUntil(t, "2026-01-14 12:00")
			synctest.Wait()
			if got := len(first.rolledOut()) + len(second.rolledOut()); got != want {
				t.Errorf("%s: %v, then %v: %d in one night, want %d", result, first.rolledOut(), second.rolledOut(), got, want)
			}
		})
	}
}

// Nothing is touched when in doubt.
func TestAutomaticRolloutThatIsBlocked(t *testing.T) {
	for name, block := range map[string]func(*patient){
		"not enabled":  func(p *patient) { p.conf.AutoRollout.Enabled = false },
		"no window":    func(p *patient) { p.conf.AutoRollout.Windows = nil },
		"another kind": func(p *patient) { p.conf.AutoRollout.Kinds = []config.WorkloadKind{config.DaemonSet} },
		"elsewhere":    func(p *patient) { p.conf.AutoRollout.IncludeNamespaces = []string{"pay"} },
		"left out":     func(p *patient) { p.conf.AutoRollout.ExcludeNamespaces = []string{"shop"} },
		"an alert fires": func(p *patient) {
			p.conf.AutoRollout.BlockOnPrometheusQueries = []config.PrometheusQuery{{Query: "ALERTS"}}
			p.healer.steps.rows = func(context.Context, config.PrometheusQuery) (bool, error) { return true, nil }
		},
		"no answer": func(p *patient) {
			p.conf.AutoRollout.BlockOnPrometheusQueries = []config.PrometheusQuery{{Query: "ALERTS"}}
			p.healer.steps.rows = func(context.Context, config.PrometheusQuery) (bool, error) { return false, errors.New("refused") }
		},
		"somebody rolls out": func(p *patient) {
			p.healer.steps.lock = func(context.Context, string) (lock, error) { return nil, &rollout.HeldError{} }
		},
		"no Lease": func(p *patient) {
			p.healer.steps.lock = func(context.Context, string) (lock, error) { return nil, errors.New("forbidden") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPatient(newCluster(), 5)
				block(p)
				sleepUntil(t, "2026-01-13 12:00")
				p.start(t)
				sleepUntil(t, "2026-01-14 12:00")
				synctest.Wait()
				if len(p.rolledOut()) > 0 {
					t.Errorf("rolled out: %v", p.rolledOut())
				}
			})
		})
	}
}

// A window that ends lets nothing new start.
func TestAutomaticRolloutDrainsWhenItsWindowEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPatient(newCluster(), 1)
		var drained time.Time
		p.healer.steps.run = func(_ context.Context, plan *rollout.Plan, opts rollout.Options, _ rollout.AuditFunc) (*report.Report, error) {
			<-opts.Pace.Drain
			drained = time.Now()
			if why := opts.Pace.Interrupted() + ": " + opts.GoesOn; why != "the window has ended: the auditor" {
				t.Errorf("what is left says %q", why)
			}
			return plan.Report(), nil
		}
		sleepUntil(t, "2026-01-13 12:00")
		p.start(t)
		sleepUntil(t, "2026-01-14 12:00")
		synctest.Wait()
		if got := drained.In(berlin).Format("15:04"); got != "06:00" {
			t.Errorf("drained at %s, want 06:00", got)
		}
	})
}

// What was replaced before its turn came was not rolled out, and is not counted.
func TestAutomaticRolloutPaysForWhatBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPatient(newCluster(), 3)
		run := p.healer.steps.run
		first := true
		p.healer.steps.run = func(ctx context.Context, plan *rollout.Plan, opts rollout.Options, audit rollout.AuditFunc) (*report.Report, error) {
			if !first {
				return run(ctx, plan, opts, audit)
			}
			first = false
			done := plan.Report()
			for i := range done.Items {
				done.Items[i].Rollout = report.Rollout{Result: report.Skipped}
			}
			return done, nil
		}
		sleepUntil(t, "2026-01-13 12:00")
		p.start(t)
		sleepUntil(t, "2026-01-14 06:00")
		synctest.Wait()
		if rolled := p.rolledOut(); len(rolled) != 3 {
			t.Errorf("rolled out: %v, want all three within the window's budget of 3", rolled)
		}
	})
}
