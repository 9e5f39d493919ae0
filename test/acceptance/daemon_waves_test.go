package acceptance

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/common/model"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// inWaves is a policy by which the Deployment "last" comes after all others.
const inWaves = `
apiVersion: sidecar-drift.io/v1alpha1
kind: Configuration
interval: 5s
selection: {includeNamespaces: [%[1]s]}
autoRollout:
  enabled: true
  windows: [{start: "00:00", end: "24:00"}]
  minimumAge: 1s
  budget: 50
  waves:
  - {name: first, namespaceSelector: "kubernetes.io/metadata.name=%[1]s", selector: app!=last, soak: %[2]s}
  - {name: second}
`

// The daemon rolls out a change wave by wave: the second one waits until the first one
// has soaked, of which people can read, and afterwards of all that came of the change.
func serveRollsOutInWaves(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	namespace, setImage := ownInjector(t, c)
	deployWeb(t, c, namespace, 1, "first", "last")
	home := newHome(t, c)
	kubeconfig := home.kubeconfig(t)
	file := filepath.Join(t.TempDir(), "configuration.yaml")
	configure := func(soak string) {
		t.Helper()
		if err := os.WriteFile(file, fmt.Appendf(nil, inWaves, namespace, soak), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	says := func(command string, want ...string) {
		t.Helper()
		err := cluster.PollSeldom(t.Context(), strings.Join(want, ", "), func(ctx context.Context) error {
			out, err := exec.CommandContext(ctx, testProduct(t).CLI, command, "--kubeconfig", kubeconfig, "--installation-namespace", home.namespace).CombinedOutput()
			for _, text := range want {
				if err == nil && !strings.Contains(string(out), text) {
					err = fmt.Errorf("%q is not in %q", text, out)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	configure("1h")
	d := home.rollsOut(t, "--config", file, "--lease-duration", "10s")
	becomes(t, 0, "sidecar_drift_ratio", nil, d)
	last := podsOf(t, c, namespace, "app=last")[0].UID
	setImage("proxy:2")
	says("waves", "container/proxy:image", "first   soaking      1 of 1, until", "second  waiting      0 of 1")
	becomes(t, 0.5, "sidecar_drift_ratio", nil, d)
	if now := podsOf(t, c, namespace, "app=last"); len(now) != 1 || now[0].UID != last {
		t.Error("the second wave is rolled out while the first one soaks")
	}

	configure("1s")
	becomes(t, 0, "sidecar_drift_ratio", nil, d)
	becomes(t, 2, "sidecar_drift_rollouts_total", model.LabelSet{"kind": "Deployment", "strategy": "restart", "result": "RolledOut"}, d)
	says("waves", "No change is on its way")
	// On a busy machine the first wave is through before an audit has found both.
	says("history", "proxy image 1 → 2", "rolled out: ", "1 change, 0 of them not rolled out everywhere")
}
