package service

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/auditor/config"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// Of what a leader had planned who was killed, only what was touched has failed, has its turn
// last, and costs of the window's budget; what ended well has not failed.
func TestWhatAKilledLeaderHadBegun(t *testing.T) {
	web := func(name string) inventory.WorkloadRef {
		return inventory.WorkloadRef{Kind: "Deployment", Namespace: name, Name: "web"}
	}
	var items []report.Item
	var planned []inventory.WorkloadRef
	for _, name := range []string{"untouched", "restarted", "before", "evicted", "ended", "failed"} {
		items, planned = append(items, drifting("Deployment", name, "web")), append(planned, web(name))
	}
	next, _ := remembered(t, func(m *memory) {
		m.update(reportOf(items...), someday)
		m.attempts.ended(web("failed"), failure, someday.Add(-time.Hour))
		if _, err := m.begin(t.Context(), spent{Window: "tonight", Workloads: 1}, planned, someday.Add(time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"evicted", "ended"} {
			if err := m.begun(t.Context(), web(name)); err != nil {
				t.Fatal(err)
			}
		}
	})
	if got := next.unended(); len(got) != len(planned) {
		t.Errorf("%v are to be found out about, want %d", got, len(planned))
	}
	if got := next.spentIn("tonight").Workloads; got != 7 {
		t.Errorf("spent %d before it is known, want 7", got)
	}
	failed, untouched := next.endedBy(map[inventory.WorkloadRef]rollout.Trace{
		web("restarted"): {At: someday, Result: report.Interrupted},
		web("before"):    {At: someday.Add(-time.Second), Result: report.Interrupted},
		web("ended"):     {At: someday.Add(time.Minute), Result: report.RolledOut},
	}, someday)
	if len(failed) != 2 || untouched != 3 {
		t.Errorf("%v failed, %d untouched", failed, untouched)
	}
	want := map[inventory.WorkloadRef]attempt{
		web("untouched"): {Refusals: 1, Next: someday.Add(30 * time.Second)},
		web("before"):    {Refusals: 1, Next: someday.Add(30 * time.Second)},
		web("restarted"): {Failures: 1, Next: someday.Add(time.Hour), Unseen: new("tonight")},
		web("evicted"):   {Failures: 1, Next: someday.Add(time.Hour), Unseen: new("tonight")},
		web("failed"):    {Failures: 1, Refusals: 1, Next: someday.Add(30 * time.Second)},
	}
	if diff := cmp.Diff(want, next.attempts.of); diff != "" {
		t.Errorf("attempts (-want +got):\n%s", diff)
	}
	if got := next.spentIn("tonight").Workloads; got != 4 {
		t.Errorf("spent %d, want 4: those that were begun with, and the one before", got)
	}
	for namespace, counts := range map[string]bool{"restarted": true, "evicted": true, "untouched": false, "ended": false} {
		if got := next.spentIn("tonight").leaves(namespace, 1); got != counts {
			t.Errorf("it failed in the namespace %s: %t, want %t", namespace, got, counts)
		}
	}
	rank := next.rank(someday)
	if rank(web("restarted")) <= rank(web("untouched")) {
		t.Error("what may be the reason has its turn as early as what cannot be")
	}
	if left := next.unended(); len(left) > 0 {
		t.Errorf("%v are found out about again", left)
	}
}

// A leader that ends in an orderly way tells what became of all, and nothing counts as failed
// for that.
func TestALeaderThatStopsTellsTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := newCluster()
		sleepUntil(t, "2026-01-13 20:00")
		first := newPatient(cluster, 2)
		ctx, stop := context.WithCancel(t.Context())
		first.healer.steps.run = func(ctx context.Context, plan *rollout.Plan, opts rollout.Options, _ rollout.AuditFunc) (*report.Report, error) {
			opts.Progress(rollout.Event{Workload: refOf(plan.Steps[0].Item), Phase: rollout.Started, Strategy: rollout.Evict})
			<-ctx.Done()
			if got := opts.Pace.Interrupted(); got != "the auditor has ended" {
				t.Errorf("it was interrupted as %q", got)
			}
			now, done := time.Now(), plan.Report()
			for i := range done.Items {
				done.Items[i].Rollout = report.Rollout{Result: report.Interrupted}
			}
			done.Items[0].Rollout.StartedAt = &now
			return done, nil
		}
		done := make(chan struct{})
		go func() { first.run(ctx); close(done) }()
		sleepUntil(t, "2026-01-13 23:00")
		synctest.Wait()
		stop()
		<-done
		second := newPatient(cluster, 2)
		second.healer.steps.traces = func(context.Context, []inventory.WorkloadRef) (map[inventory.WorkloadRef]rollout.Trace, error) {
			t.Error("it has to find out")
			return nil, nil
		}
		second.start(t)
		sleepUntil(t, "2026-01-13 23:01")
		synctest.Wait()
		if diff := cmp.Diff([]string{"Tue 23:00 w0", "Tue 23:00 w1"}, second.rolledOut()); diff != "" {
			t.Errorf("the next leader rolled out (-want +got):\n%s", diff)
		}
	})
}

// Where it cannot be found out what a killed leader has begun, nothing is rolled out; and then
// what it had not.
func TestWhatAKilledLeaderHadBegunIsNotKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := newCluster()
		p := newPatient(cluster, 1)
		sleepUntil(t, "2026-01-13 22:30")
		killed := newMemory(p.recorded.memory.objects, p.recorded.memory.name)
		killed.update(reportOf(workload("w0", "Drifted")), time.Now())
		if _, err := killed.begin(t.Context(), spent{Window: "another"}, []inventory.WorkloadRef{refOf(workload("w0", ""))}, time.Now()); err != nil {
			t.Fatal(err)
		}
		var away atomic.Bool
		away.Store(true)
		p.healer.steps.traces = func(_ context.Context, _ []inventory.WorkloadRef) (map[inventory.WorkloadRef]rollout.Trace, error) {
			if away.Load() {
				return nil, errors.New("away")
			}
			return nil, nil
		}
		p.conf.AutoRollout.MinimumAge.Duration = 0
		p.start(t)
		sleepUntil(t, "2026-01-13 23:05")
		synctest.Wait()
		if rolled := p.rolledOut(); len(rolled) > 0 {
			t.Errorf("rolled out %v, and nobody knows what was begun", rolled)
		}
		away.Store(false)
		sleepUntil(t, "2026-01-13 23:30")
		synctest.Wait()
		if rolled := p.rolledOut(); len(rolled) != 1 {
			t.Errorf("rolled out %v, want what was not begun", rolled)
		}
	})
}

// wantedLock is a Lock that somebody waits for from some time on.
type wantedLock struct {
	fakeLock
	wanted chan struct{}
}

func (l wantedLock) Wanted() <-chan struct{} { return l.wanted }

// Somebody who waits has the Lease in the midst of an audit, or of a plan: nothing is begun, and
// nothing is spent.
func TestAutomaticRolloutGivesWayWhileItLooks(t *testing.T) {
	for name, look := range map[string]func(p *patient, looking func(context.Context) error){
		"in its audit": func(p *patient, looking func(context.Context) error) {
			audit := p.healer.steps.audit
			p.healer.steps.audit = func(ctx context.Context, c config.Configuration, due ...inventory.WorkloadRef) (*report.Report, error) {
				if err := looking(ctx); err != nil {
					return nil, err
				}
				return audit(ctx, c, due...)
			}
		},
		"in its plan": lookInPlan,
		"just before it begins": func(p *patient, looking func(context.Context) error) {
			lookInPlan(p, func(ctx context.Context) error {
				_ = looking(ctx) // and has an answer all the same
				return nil
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPatient(newCluster(), 2)
				wanted := make(chan struct{})
				p.healer.steps.lock = func(context.Context, string) (lock, error) {
					return wantedLock{fakeLock{&p.released}, wanted}, nil
				}
				looked := 0
				look(p, func(ctx context.Context) error {
					if looked++; looked > 1 {
						return nil
					}
					close(wanted)
					select {
					case <-ctx.Done():
						wanted = nil // from now on nobody waits
						return ctx.Err()
					case <-time.After(time.Hour):
						t.Error("it looks on while somebody waits")
						return nil
					}
				})
				sleepUntil(t, "2026-01-13 20:00")
				p.start(t)
				sleepUntil(t, "2026-01-13 22:01")
				synctest.Wait()
				if looked != 1 || p.released != 1 || len(p.rolledOut()) > 0 {
					t.Errorf("looked %d times, gave the Lease up %d times, rolled out %v: want it given up at once", looked, p.released, p.rolledOut())
				}
				m := p.recorded.memory
				m.mu.Lock()
				if got := m.window.Workloads; got != 0 {
					t.Errorf("spent %d", got)
				}
				m.mu.Unlock()
				sleepUntil(t, "2026-01-13 23:00")
				synctest.Wait()
				if rolled := p.rolledOut(); len(rolled) != 2 {
					t.Errorf("rolled out %v when nobody waited any more, want both", rolled)
				}
			})
		})
	}
}

// lookInPlan has a plan that follows an audit look first.
func lookInPlan(p *patient, looking func(context.Context) error) {
	plan, audit, audited := p.healer.steps.plan, p.healer.steps.audit, false
	p.healer.steps.audit = func(ctx context.Context, c config.Configuration, due ...inventory.WorkloadRef) (*report.Report, error) {
		audited = true
		return audit(ctx, c, due...)
	}
	p.healer.steps.plan = func(ctx context.Context, found *report.Report, opts rollout.Options) (*rollout.Plan, error) {
		if audited {
			if err := looking(ctx); err != nil {
				return nil, err
			}
		}
		return plan(ctx, found, opts)
	}
}

// What a killed leader had begun with may still end well: then it costs the window no failure,
// whichever leader sees it. What goes on drifting does.
func TestWhatEndsWellAfterItsLeaderHasFailedNothing(t *testing.T) {
	objects := newCluster().CoreV1().ConfigMaps("sidecar-drift")
	m := newMemory(objects, "memory")
	now := time.Now()
	drifting := reportOf(workload("w0", "Drifted"), workload("w1", "Drifted"))
	m.update(drifting, now)
	begun := []inventory.WorkloadRef{refOf(workload("w0", "")), refOf(workload("w1", ""))}
	if _, err := m.begin(t.Context(), spent{Window: "tonight"}, begun, now); err != nil {
		t.Fatal(err)
	}
	traces := map[inventory.WorkloadRef]rollout.Trace{}
	for _, ref := range begun {
		traces[ref] = rollout.Trace{At: now, Result: report.Interrupted}
	}
	if failed, _ := m.endedBy(traces, now); len(failed) != 2 {
		t.Fatalf("failed: %v", failed)
	}
	namespace := begun[0].Namespace
	counts := func(m *memory, when string, most int) {
		t.Helper()
		window := m.spentIn("tonight")
		if !window.leaves(namespace, most) || window.leaves(namespace, most+1) {
			t.Errorf("%s: the window counts %+v, want %d failures", when, window.Causes, most)
		}
	}
	counts(m, "when nobody knows", 2)
	for _, state := range []verdict.State{verdict.Blocked, verdict.Unknown, verdict.Unstable} {
		m.update(reportOf(workload("w0", state), workload("w1", "Drifted")), now)
		counts(m, "when one is "+string(state), 2)
	}
	_, release := m.spend("tonight")
	m.update(reportOf(workload("w0", "InSync"), workload("w1", "Drifted")), now)
	counts(m, "while a run has the window", 2)
	release()
	m.update(reportOf(workload("w0", "InSync"), workload("w1", "Drifted")), now)
	counts(m, "when one has ended well", 1)
	m.leftOut([]inventory.WorkloadRef{begun[1]}, waiting, now)
	counts(m, "when the other waits for something", 1)
	if err := m.save(t.Context()); err != nil {
		t.Fatal(err)
	}
	next := newMemory(objects, "memory")
	if err := next.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	counts(next, "the leader after that", 1)
	window, release := next.spend("tonight")
	if err := next.end(t.Context(), window, next.attempts.clone(), map[inventory.WorkloadRef]outcome{begun[1]: done}, now); err != nil {
		t.Fatal(err)
	}
	release()
	if window := next.spentIn("tonight"); len(window.Causes) > 0 || window.Workloads != 2 {
		t.Errorf("when the other was rolled out again: %+v", window)
	}
	// A failure that was seen stays, also of what is mended later.
	next.update(drifting, now)
	next.mu.Lock()
	next.window.failed(namespace, report.CauseOther, nil)
	next.attempts.ended(begun[0], failure, now)
	next.mu.Unlock()
	next.update(reportOf(workload("w0", "InSync")), now)
	counts(next, "a failure that was seen", 1)
}
