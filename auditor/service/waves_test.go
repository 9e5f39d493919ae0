package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"

	"github.com/sidecar-drift/sidecar-drift/auditor/config"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/auditor/wave"
)

// wavy is a ward whose namespaces are named by their env, and rolled out in waves.
func wavy(cluster kubernetes.Interface, workloads ...string) *ward {
	w := newWard(workloads...)
	w.recorded.memory = newMemory(cluster.CoreV1().ConfigMaps("sidecar-drift"), "sidecar-drift-auditor")
	w.healer.memory = w.recorded.memory
	w.conf.AutoRollout.Windows = []config.Window{{Start: "00:00", End: "24:00", TimeZone: "Europe/Berlin"}}
	w.conf.AutoRollout.MinimumAge.Duration = 0
	w.conf.AutoRollout.ParallelRollouts = 2
	w.conf.AutoRollout.Waves = []config.Wave{
		{Name: "dev", NamespaceSelector: "env=dev", Soak: metav1.Duration{Duration: 2 * time.Hour}},
		{Name: "staging", NamespaceSelector: "env=staging", Selector: "app", Soak: metav1.Duration{Duration: 24 * time.Hour}},
		{Name: "prod", NamespaceSelector: "env=prod"},
	}
	w.healer.waves = &waves{memory: w.recorded.memory, log: logr.Discard(), settled: func(_ context.Context, workloads map[inventory.WorkloadRef][]string) (map[inventory.WorkloadRef]bool, error) {
		settled := map[inventory.WorkloadRef]bool{}
		for ref := range workloads {
			settled[ref] = !w.sick[ref.Namespace+"/"+ref.Name]
		}
		return settled, nil
	}, labels: func(_ context.Context, templates []inventory.WorkloadRef) (rollout.Labels, error) {
		known := rollout.Labels{Namespaces: map[string]labels.Set{}, Templates: map[inventory.WorkloadRef]labels.Set{}}
		for _, env := range []string{"dev", "staging", "prod"} {
			known.Namespaces[env] = labels.Set{"env": env}
		}
		for _, ref := range templates {
			known.Templates[ref] = labels.Set{"app": ref.Name}
		}
		return known, nil
	}}
	w.result = func(string) report.Rollout { return began(report.RolledOut) }
	return w
}

// hours are what was rolled out, without the minutes.
func hours(rolled []string) []string {
	var coarse []string
	for _, line := range rolled {
		fields := strings.Fields(line)
		coarse = append(coarse, fields[0]+" "+fields[1][:2]+"h "+fields[2])
	}
	return coarse
}

// A change goes from wave to wave, each after the one before has soaked, over both clock
// changes and other leaders; what is in no wave is left alone.
func TestAutomaticRolloutInWaves(t *testing.T) {
	workloads := []string{"dev/a", "dev/b", "staging/a", "prod/a", "prod/b", "elsewhere/a"}
	for name, test := range map[string]struct {
		from    string
		leaders int
		want    []string
	}{
		"a plain day":         {"2026-01-13 12:00", 1, []string{"Tue 12h dev/a", "Tue 12h dev/b", "Tue 14h staging/a", "Wed 14h prod/a", "Wed 14h prod/b"}},
		"the clock goes on":   {"2026-03-28 12:00", 5, []string{"Sat 12h dev/a", "Sat 12h dev/b", "Sat 14h staging/a", "Sun 15h prod/a", "Sun 15h prod/b"}},
		"the clock goes back": {"2026-10-24 12:00", 1, []string{"Sat 12h dev/a", "Sat 12h dev/b", "Sat 14h staging/a", "Sun 13h prod/a", "Sun 13h prod/b"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cluster := newCluster()
				sleepUntil(t, test.from)
				var rolled []string
				drifting := map[string]bool{}
				for range test.leaders {
					w := wavy(cluster, workloads...)
					for name := range drifting {
						w.drifting[name] = drifting[name]
					}
					ctx, kill := context.WithCancel(t.Context())
					done := make(chan struct{})
					go func() { w.run(ctx); close(done) }()
					time.Sleep(30 * time.Hour / time.Duration(test.leaders))
					synctest.Wait()
					kill()
					<-done
					rolled, drifting = append(rolled, w.rolledOut()...), w.drifting
				}
				if diff := cmp.Diff(test.want, hours(rolled)); diff != "" {
					t.Errorf("rolled out (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// What keeps a change from the next wave: a rollout that failed though its new Pods are in
// sync, what cannot be judged or would be refused, a cluster that does not say what is in
// which wave, and a wave's own window.
func TestWavesThatDoNotGoOn(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*ward)
		want   []string
	}{
		"it fails": {func(w *ward) {
			w.result = func(name string) report.Rollout {
				if name == "staging/a" {
					return began(report.Failed)
				}
				return began(report.RolledOut)
			}
		}, []string{"Tue 12h dev/a", "Tue 14h staging/a"}},
		"its new Pods crash": {func(w *ward) {
			w.sick = map[string]bool{"staging/a": true}
			w.result = func(name string) report.Rollout {
				if w.sick[name] {
					return began(report.Failed)
				}
				return began(report.RolledOut)
			}
			w.inSync = map[string]bool{"staging/a": true}
		}, []string{"Tue 12h dev/a", "Tue 14h staging/a"}},
		"it is refused there": {func(w *ward) { w.is = map[string]verdict.State{"dev/a": verdict.Blocked} }, nil},
		"nobody knows":        {func(w *ward) { w.is = map[string]verdict.State{"staging/a": verdict.Unknown} }, []string{"Tue 12h dev/a"}},
		"no labels": {func(w *ward) {
			w.healer.waves.labels = func(context.Context, []inventory.WorkloadRef) (rollout.Labels, error) {
				return rollout.Labels{}, errors.New("forbidden")
			}
		}, nil},
		"a window that is never open": {func(w *ward) {
			w.conf.AutoRollout.Waves[1].Windows = []config.Window{{Days: []config.Day{"Sun"}, Start: "01:00", End: "02:00"}}
		}, []string{"Tue 12h dev/a"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := wavy(newCluster(), "dev/a", "staging/a", "prod/a")
				test.change(w)
				w.conf.Interval.Duration = 20 * time.Minute // fewer rounds, as each draws the page
				sleepUntil(t, "2026-01-13 12:00")
				w.start(t)
				sleepUntil(t, "2026-01-14 18:00")
				synctest.Wait()
				got := hours(w.rolledOut())
				if len(got) > len(test.want) && len(test.want) > 0 { // it is tried again, now and then
					got = got[:len(test.want)]
				}
				if diff := cmp.Diff(test.want, got, cmpopts.EquateEmpty()); diff != "" || len(w.rolledOutOf("prod")) > 0 {
					t.Errorf("rolled out (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// What injection has become since the audit is not rolled out in the name of what has
// reached the wave.
func TestAnotherChangeBetweenAuditAndRollout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := wavy(newCluster(), "prod/a")
		w.conf.Interval.Duration = 20 * time.Minute
		audited := 0
		w.healer.steps.audit = func(_ context.Context, _ config.Configuration, due ...inventory.WorkloadRef) (*report.Report, error) {
			audited++
			item := drifting(due[0].Kind, due[0].Namespace, due[0].Name)
			image := verdict.Change{Part: "container/proxy", Path: "image", To: []byte(`"proxy:3"`)}
			item.Revisions = []report.Revision{{State: verdict.Drifted, Changes: []verdict.Change{image}}}
			return reportOf(item), nil
		}
		sleepUntil(t, "2026-01-13 12:00")
		w.start(t)
		sleepUntil(t, "2026-01-14 18:00")
		synctest.Wait()
		if audited == 0 || len(w.rolledOut()) > 0 {
			t.Errorf("audited %d times, rolled out %v", audited, w.rolledOut())
		}
	})
}

// Where a guard leaves all of one wave alone, the next wave's own changes go on.
func TestAWaveThatIsLeftAloneKeepsNoOtherChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := wavy(newCluster(), "dev/unhealthy", "prod/a")
		w.conf.Interval.Duration = 15 * time.Minute
		w.differ = map[string]string{"dev/unhealthy": "env[ONE]", "prod/a": "env[TWO]"}
		sleepUntil(t, "2026-01-13 12:00")
		w.start(t)
		sleepUntil(t, "2026-01-14 18:00")
		synctest.Wait()
		if got := hours(w.rolledOut()); len(got) != 1 || !strings.HasSuffix(got[0], "prod/a") {
			t.Errorf("rolled out %v", got)
		}
	})
}

// How far a change is can be read, by people and by the next leader.
func TestWaveProgressIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := newCluster()
		w := wavy(cluster, "dev/a", "staging/a", "prod/a")
		sleepUntil(t, "2026-01-13 12:00")
		w.start(t)
		sleepUntil(t, "2026-01-13 13:00")
		synctest.Wait()
		kept, err := cluster.CoreV1().ConfigMaps("sidecar-drift").Get(t.Context(), "sidecar-drift-auditor", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var progress []report.Progress
		if err := decode(kept.BinaryData[progressKey], &progress); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range progress {
			for _, each := range p.Waves {
				got = append(got, each.Name+" "+string(each.Phase))
			}
		}
		if diff := cmp.Diff([]string{"dev Soaking", "staging Waiting", "prod Waiting"}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if published := w.recorded.last.Waves; len(published) != 1 {
			t.Errorf("the page has %+v", published)
		}
	})
}

// What the daemon keeps is read, and nothing that somebody else put there is believed.
func TestReadProgress(t *testing.T) {
	for name, test := range map[string]struct {
		data    map[string][]byte
		changes int
		problem string
	}{
		"nothing is on its way":   {map[string][]byte{progressKey: zipped(t, "[]")}, 0, ""},
		"one change":              {map[string][]byte{progressKey: zipped(t, `[{"places":["container/proxy:image"],"waves":[{"name":"dev","phase":"RollingOut"}]}]`)}, 1, ""},
		"an auditor without any":  {nil, 0, ""},
		"not compressed":          {map[string][]byte{progressKey: []byte("[]")}, 0, "holds no waves that can be read"},
		"no JSON":                 {map[string][]byte{progressKey: zipped(t, "{")}, 0, "holds no waves that can be read"},
		"more than can be kept":   {map[string][]byte{progressKey: zipped(t, "["+strings.Repeat(" ", mostDecoded)+"]")}, 0, "holds no waves that can be read"},
		"an auditor that is away": {nil, 0, "give --installation-namespace"},
	} {
		kept := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ops", Name: "sidecar-drift-auditor"}, BinaryData: test.data}
		client := newCluster(kept)
		if name == "an auditor that is away" {
			client = newCluster()
		}
		changes, err := ReadProgress(t.Context(), client, "ops")
		switch {
		case test.problem == "" && (err != nil || len(changes) != test.changes):
			t.Errorf("%s: %d changes, %v", name, len(changes), err)
		case test.problem != "" && (err == nil || !strings.Contains(err.Error(), test.problem)):
			t.Errorf("%s: %v, want %q", name, err, test.problem)
		}
	}
}

// Which nodes a workload had lost when its rollout began, the next leader knows, too, and judges
// by that whether it is well.
func TestTheNextLeaderKnowsWhichNodesWereLost(t *testing.T) {
	agent := inventory.WorkloadRef{Kind: "DaemonSet", Namespace: "shop", Name: "agent"}
	var many []string
	for i := range mostLost + 1 {
		many = append(many, fmt.Sprint("node-", i))
	}
	c := config.Default()
	c.AutoRollout.Waves = []config.Wave{{Name: "all"}}
	next, _ := remembered(t, func(m *memory) {
		w := &waves{memory: m}
		members := map[inventory.WorkloadRef]wave.Member{agent: {Wave: "all", Namespace: "shop"}}
		w.begin(c, members, &rollout.Plan{Steps: []rollout.Step{{Item: workloadOf(agent), Result: report.Planned, Lost: many}}})
	})
	var asked map[inventory.WorkloadRef][]string
	w := &waves{memory: next, settled: func(_ context.Context, workloads map[inventory.WorkloadRef][]string) (map[inventory.WorkloadRef]bool, error) {
		asked = workloads
		return map[inventory.WorkloadRef]bool{agent: true}, nil
	}}
	left, err := w.failing(t.Context())
	if err != nil || len(left) > 0 {
		t.Errorf("still failing: %v, %v", left, err)
	}
	if diff := cmp.Diff(map[inventory.WorkloadRef][]string{agent: many[:mostLost]}, asked); diff != "" {
		t.Errorf("judged by (-want +got):\n%s", diff)
	}
}

// What was begun with, and not seen to its end, may have failed: it is not well before somebody
// has looked.
func TestWhatWasInterruptedIsNotWell(t *testing.T) {
	c := config.Default()
	c.AutoRollout.Waves = []config.Wave{{Name: "all"}}
	now := time.Now()
	results := map[string]report.Rollout{
		"begun": {Result: report.Interrupted, StartedAt: &now}, "untouched": {Result: report.Interrupted},
		"well": {Result: report.RolledOut, StartedAt: &now}, "failed": {Result: report.Failed, StartedAt: &now},
	}
	var steps []rollout.Step
	done, outcomes, members := &report.Report{}, map[inventory.WorkloadRef]outcome{}, map[inventory.WorkloadRef]wave.Member{}
	for name, result := range results {
		item := workload(name, "Drifted")
		steps = append(steps, rollout.Step{Item: item, Result: report.Planned})
		item.Rollout = result
		done.Items = append(done.Items, item)
		outcomes[refOf(item)], members[refOf(item)] = unchanged, wave.Member{Wave: "all"}
		if name == "failed" {
			outcomes[refOf(item)] = failure
		}
	}
	next, _ := remembered(t, func(m *memory) {
		w := &waves{memory: m}
		w.begin(c, members, &rollout.Plan{Steps: steps})
		w.end(done, outcomes)
	})
	var left []string
	for ref := range next.failingWorkloads() {
		left = append(left, ref.Name)
	}
	slices.Sort(left)
	if diff := cmp.Diff([]string{"begun", "failed"}, left); diff != "" {
		t.Errorf("not well (-want +got):\n%s", diff)
	}
}

// A workload whose template cannot be read may be of a later wave: it is of none, and the others
// are of theirs.
func TestATemplateThatCannotBeReadIsOfNoWave(t *testing.T) {
	c := config.Default()
	c.AutoRollout.Enabled = true
	c.AutoRollout.Waves = []config.Wave{{Name: "first", Selector: "tier!=critical"}, {Name: "last"}}
	read, unread := drifting("Deployment", "shop", "web"), drifting("Deployment", "shop", "bank")
	m := newMemory(newCluster().CoreV1().ConfigMaps("sidecar-drift"), "sidecar-drift-auditor")
	w := &waves{memory: m, log: logr.Discard(), labels: func(context.Context, []inventory.WorkloadRef) (rollout.Labels, error) {
		return rollout.Labels{Namespaces: map[string]labels.Set{"shop": nil}, Templates: map[inventory.WorkloadRef]labels.Set{refOf(read): nil}}, nil
	}}
	members, err := w.update(t.Context(), c, reportOf(read, unread), time.Now())
	if err != nil || len(members) != 2 {
		t.Fatalf("members %v, %v", members, err)
	}
	if got := members[refOf(read)].Wave; got != "first" {
		t.Errorf("what can be read is of %q", got)
	}
	if got := members[refOf(unread)].Wave; got != "" {
		t.Errorf("what cannot be read is of %q", got)
	}
}

func workloadOf(ref inventory.WorkloadRef) report.Item {
	return report.Item{Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name}
}
