package acceptance

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/common/model"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
)

// A person's run goes before the daemon's next workload: it waits for the one that is under
// way, is told which that is, and goes on by itself; then the daemon does. A wish that
// somebody left behind stops nothing for good.
func serveGivesWay(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	namespace, setImage := ownInjector(t, c)
	names := strings.Fields("a b c d e z")
	var manifests strings.Builder
	for _, name := range names {
		fmt.Fprintf(&manifests, `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  minReadySeconds: 8
  selector: {matchLabels: {app: %[1]s}}
  template: {metadata: {labels: {app: %[1]s}}, spec: {containers: [{name: app, image: "app:1"}]}}
`, name)
	}
	apply(t, c, namespace, manifests.String())
	for _, name := range names {
		rolledOut(t, c, namespace, "deployment/"+name)
	}
	home := newHome(t, c)
	file := filepath.Join(t.TempDir(), "configuration.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, rollsOutAlways, namespace, 1000), 0o644); err != nil {
		t.Fatal(err)
	}
	d := home.rollsOut(t, "--config", file, "--lease-duration", "10s")
	becomes(t, 0, "sidecar_drift_ratio", nil, d)
	setImage("proxy:2")

	awaitRestarted(t, c, namespace, 1)
	person := startRollout(t, c, "deployment/z", "-n", namespace, "--lock-namespace", home.namespace, "--confirm", "-o", "json")
	person.end(t, 0)
	var done report.Report
	if err := json.Unmarshal(person.out.Bytes(), &done); err != nil {
		t.Fatal(err)
	}
	if len(done.Items) != 1 || done.Items[0].Rollout.Result != report.RolledOut {
		t.Errorf("the person's run: %+v", done.Items)
	}
	// One was under way, and one more may have begun before the command said what it wants.
	if times := restartTimes(t, c, namespace); len(times) > 3 || times["z"] == "" {
		t.Errorf("restarted before the person's run had ended: %v", times)
	}
	for _, want := range []string{
		"Automatic rollouts are under way (sidecar-drift serve as ", "waiting for them to finish Deployment " + namespace + "/",
	} {
		if !strings.Contains(person.errOut.String(), want) {
			t.Errorf("stderr lacks %q:\n%s", want, &person.errOut)
		}
	}

	awaitRestarted(t, c, namespace, 4)
	// As one leaves it that was killed while it waited.
	if _, err := c.Kubectl(t.Context(), "", "-n", home.namespace, "annotate", "--overwrite", "lease", rollout.LeaseName,
		`sidecar-drift.io/rollout-wanted={"holder":"somebody","time":"2999-01-01T00:00:00Z"}`); err != nil {
		t.Fatal(err)
	}
	becomes(t, 0, "sidecar_drift_ratio", nil, d)
	becomes(t, 5, "sidecar_drift_rollouts_total", model.LabelSet{"kind": "Deployment", "strategy": "restart", "result": "RolledOut"}, d)
	if times := restartTimes(t, c, namespace); len(times) != len(names) {
		t.Errorf("restarted: %v, want all", times)
	}
	if err := d.Stop(); err != nil {
		t.Errorf("it does not stop in an orderly way: %v", err)
	}
}
