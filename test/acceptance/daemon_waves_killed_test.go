//go:build chaos

package acceptance

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// A change goes through two waves while leader after leader is killed: in the midst of a
// wave, at the handover, while a wave soaks, and in the midst of the last one. No workload is
// restarted twice, and the second wave does not begin before the first one is over and has
// soaked. What is under way when a leader is killed has been begun with: its controller ends that,
// and what had only been planned is taken up again.
func TestServeIsKilledInWaves(t *testing.T) {
	t.Parallel()
	const soak = 90 * time.Second // longer than the leaders of it take to be killed
	c := fenced(t)
	namespace, running := startOwnInjector(t, c, addsProxy("proxy:1"))
	deployWeb(t, c, namespace, 2, "one", "two", "last")
	file := filepath.Join(t.TempDir(), "configuration.yaml")
	policy, waves, _ := strings.Cut(fmt.Sprintf(inWaves, namespace, soak), "  waves:")
	policy += fmt.Sprintf("  lockNamespace: %s\n  parallelRollouts: 1\n  maxFailures: 10\n  waves:", namespace)
	if err := os.WriteFile(file, []byte(policy+waves), 0o644); err != nil {
		t.Fatal(err)
	}
	r := &replicas{c, namespace, file}
	want := r.restarts(t)
	for name := range want {
		want[name]++
	}
	running.Inject(addsProxy("proxy:2"))
	g := newGuillotine(t, c.Kubeconfig())
	lead := func() *daemon {
		return runDaemon(t, c, g.kubeconfig, "--config", file, "--namespace", namespace, "--name", failover, "--lease-duration", "10s")
	}
	first := func(n int, _ string) bool { return n == 1 }
	restarts := func(_ int, write string) bool { return strings.Contains(write, "PATCH /apis/apps/v1/") }
	for _, step := range []struct {
		when  string
		at    func(n int, write string) bool
		after bool
	}{
		{"in the midst of the first wave", restarts, true},
		{"at the handover, before its first write", first, false},
		{"at the end of the first wave", restarts, true},
		{"while the first wave soaks", first, true},
		{"at the handover while it soaks", first, false},
		{"in the second wave", restarts, true},
	} {
		g.aim(nil, false, nil)
		leader := lead()
		g.aim(step.at, step.after, leader.Kill)
		// A new leader takes the time since which a wave soaks from what is kept, which is
		// rounded up to five minutes: no single wait is as long.
		var err error
		for range 4 {
			err = cluster.Poll(t.Context(), "a leader that is killed "+step.when, func(context.Context) error {
				if writes, fallen := g.seen(); !fallen {
					return fmt.Errorf("it lives, after %v", writes)
				}
				return nil
			})
			if err == nil {
				break
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		leader.Kill()
		r.checkWaves(t, step.when, soak, false)
		t.Logf("killed %s, %v are restarted", step.when, r.restarts(t))
	}
	g.aim(nil, false, nil)
	becomes(t, 0, "sidecar_drift_ratio", nil, lead())
	r.checkWaves(t, "at the end", soak, true)
	r.checkRestarts(t, "at the end", want)
	awaitPods(t, c, namespace, map[string]int{"one": 2, "two": 2, "last": 2})
	auditNamespace(t, c, namespace, "Deployment/one InSync 2", "Deployment/two InSync 2", "Deployment/last InSync 2")
}

// checkWaves checks that "last" was restarted, if it was, when all others had been for as
// long as the first wave soaks. Times are the API server's, in whole seconds.
func (r *replicas) checkWaves(t *testing.T, when string, soak time.Duration, all bool) {
	t.Helper()
	sets, err := r.Client().AppsV1().ReplicaSets(r.namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(sets.Items, func(a, b appsv1.ReplicaSet) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	first, restarted := map[string]bool{}, map[string]time.Time{}
	for _, set := range sets.Items {
		owner := metav1.GetControllerOf(&set).Name
		if first[owner] {
			restarted[owner] = set.CreationTimestamp.Time
		}
		first[owner] = true
	}
	last, begun := restarted["last"]
	if all && !begun {
		t.Errorf("%s: the second wave was not rolled out", when)
	}
	if !begun {
		return
	}
	for _, name := range []string{"one", "two"} {
		at, done := restarted[name]
		if !done || last.Sub(at) < soak-time.Second {
			t.Errorf("%s: the second wave was begun with at %s, and %s of the first one restarted at %s: overtaken", when, last, name, at)
		}
	}
}
