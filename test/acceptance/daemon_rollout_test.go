package acceptance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// rollsOutAlways is a policy whose window never closes.
const rollsOutAlways = `
apiVersion: sidecar-drift.io/v1alpha1
kind: Configuration
interval: 5s
selection: {includeNamespaces: [%[1]s]}
autoRollout:
  enabled: true
  windows: [{start: "00:00", end: "24:00"}]
  minimumAge: 1s
  budget: %[2]d
`

// The daemon rolls out what drifted, as much as its budget allows; a changed
// configuration is taken over, an invalid one is not; and the next replica does
// not roll out again what is done.
func serveRollsOut(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	namespace, setImage := ownInjector(t, c)
	deployWeb(t, c, namespace, 2, "one", "two")
	home := newHome(t, c)
	file := filepath.Join(t.TempDir(), "configuration.yaml")
	configure := func(format string, budget int) {
		t.Helper()
		if err := os.WriteFile(file, fmt.Appendf(nil, format, namespace, budget), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	configure(rollsOutAlways, 1)
	args := []string{"--config", file, "--lease-duration", "10s"}
	d := home.rollsOut(t, args...)
	becomes(t, 0, "sidecar_drift_ratio", nil, d)
	setImage("proxy:2")
	rolled := model.LabelSet{"kind": "Deployment", "strategy": "restart", "result": "RolledOut"}
	becomes(t, 1, "sidecar_drift_rollouts_total", rolled, d)
	becomes(t, 0.5, "sidecar_drift_ratio", nil, d)

	configure("kind: Configuration\nbudgets: %[2]d # %[1]s", 2)
	becomes(t, 0, "sidecar_drift_config_reload_success", nil, d)
	err := cluster.Poll(t.Context(), "an Event about the configuration", func(ctx context.Context) error {
		list, err := c.Client().EventsV1().Events(home.namespace).List(ctx, metav1.ListOptions{FieldSelector: "reason=InvalidConfiguration"})
		if err == nil && len(list.Items) == 0 {
			err = errors.New("none")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}

	configure(rollsOutAlways, 2)
	becomes(t, 1, "sidecar_drift_config_reload_success", nil, d)
	becomes(t, 2, "sidecar_drift_rollouts_total", rolled, d)
	becomes(t, 0, "sidecar_drift_ratio", nil, d)

	// The next one finds nothing to do.
	before := versionsIn(t, c, namespace)
	d.Kill()
	next := home.rollsOut(t, args...)
	becomes(t, 0, "sidecar_drift_ratio", nil, next)
	if _, absent, err := next.value(t.Context(), "sidecar_drift_rollouts_total", rolled); err != nil || !absent {
		t.Errorf("it rolls out again (%v)", err)
	}
	if diff := cmp.Diff(before, versionsIn(t, c, namespace)); diff != "" {
		t.Errorf("something has changed (-before +after):\n%s", diff)
	}
}
