package acceptance

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

// byCauses is rollsOutAlways with some patience for what does not start.
const byCauses = rollsOutAlways + `  timeout: 20s
`

// What fails in two namespaces for two causes is nothing that they share: others' workloads
// are rolled out with the same change. Where one cause recurs in another namespace, no more
// of that change is.
func serveCountsFailuresByCause(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	var mu sync.Mutex
	how := map[string]func(injector.Request) []injector.Operation{} // by namespace
	set := func(namespace string, answer injector.Answer) {
		mu.Lock()
		defer mu.Unlock()
		how[namespace] = answer
	}
	first, running := startOwnInjector(t, c, addsProxy("proxy:1"))
	namespaces := []string{first}
	for range 3 {
		namespace := namespaceWith(t, c, map[string]string{injector.NamespaceLabel: first})
		namespaces = append(namespaces, namespace)
	}
	noRoom, refused, well, noRoomEither := namespaces[0], namespaces[1], namespaces[2], namespaces[3]
	for _, namespace := range namespaces {
		deployWeb(t, c, namespace, 1, "web")
	}
	for _, namespace := range namespaces {
		set(namespace, addsProxy("proxy:1"))
	}
	running.Inject(func(r injector.Request) []injector.Operation {
		mu.Lock()
		answer := how[r.Namespace]
		mu.Unlock()
		return answer(r)
	})
	file := filepath.Join(t.TempDir(), "configuration.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, byCauses, strings.Join(namespaces, ", "), 1000), 0o644); err != nil {
		t.Fatal(err)
	}
	d := newHome(t, c).rollsOut(t, "--config", file, "--lease-duration", "10s")
	becomes(t, 0, "sidecar_drift_ratio", nil, d)

	rollouts := func(result string) model.LabelSet {
		return model.LabelSet{"kind": "Deployment", "strategy": "restart", "result": model.LabelValue(result)}
	}
	gated := func(r injector.Request) []injector.Operation {
		operations := addsProxy("proxy:2")(r)
		if !r.DryRun {
			operations = append(operations, injector.Operation{
				Op: "add", Path: "/spec/schedulingGates", Value: []corev1.PodSchedulingGate{{Name: "example.com/held"}},
			})
		}
		return operations
	}
	set(noRoom, gated)
	set(refused, func(r injector.Request) []injector.Operation {
		if !r.DryRun {
			return r.Refuse("no more of them")
		}
		return addsProxy("proxy:2")(r)
	})
	becomes(t, 2, "sidecar_drift_rollouts_total", rollouts("Failed"), d)
	set(well, addsProxy("proxy:2"))
	becomes(t, 1, "sidecar_drift_rollouts_total", rollouts("RolledOut"), d)

	set(noRoomEither, gated)
	becomes(t, 3, "sidecar_drift_rollouts_total", rollouts("Failed"), d)
	const want = "No more of a change is rolled out in this window"
	err := cluster.Poll(t.Context(), want, func(context.Context) error {
		log, err := os.ReadFile(d.LogFile())
		if err == nil && (!strings.Contains(string(log), want) || !strings.Contains(string(log), "cause=NoRoom")) {
			err = fmt.Errorf("the log does not say it")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Stop(); err != nil {
		t.Errorf("it does not stop in an orderly way: %v", err)
	}
}
