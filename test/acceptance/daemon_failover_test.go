//go:build chaos

package acceptance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

// replicas starts daemons that roll out, as many as are asked for with run, with a
// Lease, a ConfigMap and a lock of their own: all in the namespace that they look
// after, so that other tests' daemons are none of their business.
type replicas struct {
	*cluster.Cluster
	namespace string
	file      string
}

const failover = "failover" // the name of the Lease and of the ConfigMap

func newReplicas(t *testing.T, c *cluster.Cluster, namespace string, budget int) *replicas {
	t.Helper()
	file := filepath.Join(t.TempDir(), "configuration.yaml")
	text := fmt.Sprintf(rollsOutAlways, namespace, budget) + fmt.Sprintf("  lockNamespace: %s\n", namespace)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return &replicas{c, namespace, file}
}

func (r *replicas) run(t *testing.T, args ...string) *daemon {
	t.Helper()
	return runDaemon(t, r.Cluster, r.Kubeconfig(), append([]string{"--config", r.file, "--namespace", r.namespace, "--name", failover, "--lease-duration", "10s"}, args...)...)
}

// leads waits until one of two audits, and returns the other, too.
func leads(t *testing.T, one, other *daemon) (leader, follower *daemon) {
	t.Helper()
	if becomes(t, 0, "sidecar_drift_ratio", nil, one, other) == one {
		return one, other
	}
	return other, one
}

// spent is how much of the window's budget the ConfigMap says to be gone.
func (r *replicas) spent(t *testing.T) int {
	t.Helper()
	object, err := r.Client().CoreV1().ConfigMaps(r.namespace).Get(t.Context(), failover, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var window struct{ Workloads int }
	if err := json.Unmarshal(object.BinaryData["rollout-window.json"], &window); err != nil {
		t.Fatal(err)
	}
	return window.Workloads
}

// restarts counts how often each Deployment's template has been changed since it was
// created: by its ReplicaSets, as its generation also counts annotations.
func (r *replicas) restarts(t *testing.T) map[string]int {
	t.Helper()
	sets, err := r.Client().AppsV1().ReplicaSets(r.namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	restarts := map[string]int{}
	for _, s := range sets.Items {
		owner := metav1.GetControllerOf(&s).Name
		if _, known := restarts[owner]; known {
			restarts[owner]++
		} else {
			restarts[owner] = 0
		}
	}
	return restarts
}

func (r *replicas) checkRestarts(t *testing.T, when string, want map[string]int) {
	t.Helper()
	if diff := cmp.Diff(want, r.restarts(t)); diff != "" {
		t.Errorf("%s: restarts (-want +got):\n%s", when, diff)
	}
}

// holdsNewPods adds a proxy, and a gate that keeps real Pods from being scheduled:
// what a rollout creates never gets ready.
func holdsNewPods(image string) injector.Answer {
	return func(r injector.Request) []injector.Operation {
		operations := addsProxy(image)(r)
		if !r.DryRun {
			operations = append(operations, injector.Operation{
				Op: "add", Path: "/spec/schedulingGates", Value: []corev1.PodSchedulingGate{{Name: "example.com/held"}},
			})
		}
		return operations
	}
}

// held returns the names of the Pods that are kept from being scheduled.
func (r *replicas) held(ctx context.Context) ([]string, error) {
	pods, err := r.Client().CoreV1().Pods(r.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, pod := range pods.Items {
		if len(pod.Spec.SchedulingGates) > 0 {
			names = append(names, pod.Name)
		}
	}
	return names, nil
}

// Of what a killed leader had planned, only what it had begun with counts as failed: the next one
// goes on with the rest at once, and does the first one no second time.
func TestServeGoesOnWithWhatAKilledLeaderHadPlanned(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	namespace, running := startOwnInjector(t, c, addsProxy("proxy:1"))
	r := newReplicas(t, c, namespace, 10)
	deployWeb(t, c, namespace, 2, "one", "other", "another")
	want := r.restarts(t)
	for name := range want {
		want[name]++
	}
	g := newGuillotine(t, c.Kubeconfig())
	lead := func() *daemon {
		return runDaemon(t, c, g.kubeconfig, "--config", r.file, "--namespace", namespace, "--name", failover, "--lease-duration", "10s")
	}
	leader := lead()
	becomes(t, 0, "sidecar_drift_ratio", nil, leader)
	g.aim(func(_ int, write string) bool { return strings.Contains(write, "PATCH /apis/apps/v1/") }, true, leader.Kill)
	running.Inject(addsProxy("proxy:2"))
	err := cluster.Poll(t.Context(), "a leader that is killed when it has begun with the first", func(context.Context) error {
		if writes, fallen := g.seen(); !fallen {
			return fmt.Errorf("it lives, after %v", writes)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	leader.Kill()
	if got := r.spent(t); got != 3 {
		t.Errorf("%d of the budget are spent, want all that was planned until it is known", got)
	}
	g.aim(nil, false, nil)
	becomes(t, 0, "sidecar_drift_ratio", nil, lead())
	r.checkRestarts(t, "at the end", want)
	if got := r.spent(t); got != 3 {
		t.Errorf("%d of the budget are spent, want each once", got)
	}
}

// A leader is killed in the middle of an automatic rollout. The next one does not
// begin it again, does not spend the window's budget anew, and finds the workload
// in sync once its controller has finished what was begun.
func TestServeIsKilledWhileItRollsOut(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	namespace, running := startOwnInjector(t, c, addsProxy("proxy:1"))
	r := newReplicas(t, c, namespace, 2)
	deployWeb(t, c, namespace, 2, "one")
	leader, follower := leads(t, r.run(t), r.run(t))

	running.Inject(holdsNewPods("proxy:2"))
	var names []string
	err := cluster.Poll(t.Context(), "a rollout under way", func(ctx context.Context) (err error) {
		if names, err = r.held(ctx); err == nil && len(names) == 0 {
			err = errors.New("no Pod is held")
		}
		return err
	}, leader.Process)
	if err != nil {
		t.Fatal(err)
	}
	leader.Kill()
	audits(t, follower, 3)
	r.checkRestarts(t, "under the next leader", map[string]int{"one": 1})
	if n := r.spent(t); n != 1 {
		t.Errorf("%d of the budget are spent, want 1", n)
	}
	if logged(t, follower, "An earlier leader had begun with a workload", "namespace="+namespace, "name=one") != 1 {
		t.Error("the next leader does not say that the workload had been begun with")
	}

	running.Inject(addsProxy("proxy:2"))
	for _, name := range names {
		_, err := c.Client().CoreV1().Pods(namespace).Patch(t.Context(), name, types.JSONPatchType,
			[]byte(`[{"op":"remove","path":"/spec/schedulingGates"}]`), metav1.PatchOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	becomes(t, 0, "sidecar_drift_ratio", nil, follower)
	r.checkRestarts(t, "after what was begun is finished", map[string]int{"one": 1})

	// What is left of the budget, one, is all that the next drift gets.
	deployWeb(t, c, namespace, 2, "two")
	running.Inject(addsProxy("proxy:3"))
	rolled := model.LabelSet{"kind": "Deployment", "result": "RolledOut"}
	becomes(t, 1, "sidecar_drift_rollouts_total", rolled, follower)
	becomes(t, 0.5, "sidecar_drift_ratio", nil, follower)
	audits(t, follower, 2)
	if n := r.restarts(t); n["one"]+n["two"] != 2 {
		t.Errorf("restarts after the window's budget of 2 is spent: %v", n)
	}
	if n := r.spent(t); n != 2 {
		t.Errorf("%d of the budget are spent, want 2", n)
	}
}

// What an injector answers to an audit and what it does to Pods is not the same:
// the drift does not go. The workload is restarted once in its life, whoever comes
// after, and whatever they forget.
func TestServeRestartsWhatDoesNotConvergeOnce(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	namespace, running := startOwnInjector(t, c, addsProxy("proxy:1"))
	r := newReplicas(t, c, namespace, 5)
	deployWeb(t, c, namespace, 2, "web")
	leader, follower := leads(t, r.run(t), r.run(t))
	once := map[string]int{"web": 1}

	running.Inject(func(r injector.Request) []injector.Operation {
		if r.DryRun {
			return addsProxy("proxy:2")(r)
		}
		return addsProxy("proxy:1")(r)
	})
	becomes(t, 1, "sidecar_drift_rollouts_total", model.LabelSet{"kind": "Deployment", "result": "NotConverging"}, leader)
	audits(t, leader, 2)
	r.checkRestarts(t, "under the first leader", once)
	leader.Kill()
	becomes(t, 1, "sidecar_drift_ratio", nil, follower)
	audits(t, follower, 2)
	r.checkRestarts(t, "under the second leader", once)

	// The third knows of no budget that is spent: the workload itself says it.
	follower.Kill()
	if _, err := c.Kubectl(t.Context(), "", "-n", namespace, "delete", "configmap", failover); err != nil {
		t.Fatal(err)
	}
	planned := func(result string) int {
		return logged(t, leader, "Planned rollout", "namespace="+namespace, "workload=web", "result="+result)
	}
	if n := planned("NotConverging"); n != 0 {
		t.Errorf("planned again %d times within a budget that is spent", n)
	}
	third := r.run(t, "--log-level", "debug") // or a plan that leaves all out is not told
	err := cluster.Poll(t.Context(), "a plan that leaves the workload alone", func(context.Context) error {
		if planned("NotConverging") == 0 {
			return errors.New("none")
		}
		return nil
	}, third.Process)
	if err != nil {
		t.Fatal(err)
	}
	audits(t, third, 2)
	r.checkRestarts(t, "under the third leader", once)
	if n := planned("Planned"); n != 1 {
		t.Errorf("it was planned to be rolled out %d times, want once", n)
	}
}
