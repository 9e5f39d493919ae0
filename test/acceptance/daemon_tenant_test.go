package acceptance

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
)

// memoryLimit is what the manifests give the auditor's container.
const memoryLimit = 512 << 20

// A hostile tenant's Pods come in a storm while the daemon audits and rolls out
// elsewhere: no round fails, the other namespace's numbers stay true, and what drifts
// in it is rolled out.
func serveStandsATenant(t *testing.T) {
	t.Parallel()
	n := startNeighbours(t)
	file := filepath.Join(t.TempDir(), "configuration.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, `
apiVersion: sidecar-drift.io/v1alpha1
kind: Configuration
interval: 5s
selection: {selector: "tenancy=%s"}
autoRollout:
  enabled: true
  windows: [{start: "00:00", end: "24:00"}]
  minimumAge: 1s
  budget: 50
`, n.shop), 0o644); err != nil {
		t.Fatal(err)
	}
	d := newHome(t, n.cluster).rollsOut(t, "--config", file, "--lease-duration", "10s")
	pods := func(state string) model.LabelSet {
		return model.LabelSet{"namespace": model.LabelValue(n.shop), "state": model.LabelValue(state)}
	}
	becomes(t, 3, "sidecar_drift_pods", pods("InSync"), d)

	storm := 30
	if *full {
		storm = 300
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	hostile := append(n.intruders(), n.random(rand.New(rand.NewPCG(seed, 7)), storm)...)
	for i := range storm / 10 {
		large := n.pod(fmt.Sprintf("large-%03d", i), &n.owners[0])
		large.OwnerReferences[0].APIVersion = "apps/v9"
		large.Spec.Containers[0].Env[0].Value = strings.Repeat("v", 1_200_000)
		hostile = append(hostile, large)
	}
	n.create(t, hostile...)
	n.injector.Inject(addsProxy("proxy:2"))
	n.create(t, n.pod("after-the-change", nil))
	rolled := model.LabelSet{"kind": "Deployment", "strategy": "restart", "result": "RolledOut"}
	becomes(t, 1, "sidecar_drift_rollouts_total", rolled, d)
	becomes(t, 2, "sidecar_drift_pods", pods("InSync"), d)
	becomes(t, 1, "sidecar_drift_pods", pods("Drifted"), d) // the StatefulSet is not rolled out by default

	for _, reason := range []string{"forbidden", "timeout", "unavailable", "other"} {
		value, absent, err := d.value(t.Context(), "sidecar_drift_audit_errors_total", model.LabelSet{"reason": model.LabelValue(reason)})
		if err != nil || absent || value != 0 {
			t.Errorf("%v rounds failed as %s (%v)", value, reason, err)
		}
	}
	begin := time.Now()
	checkPage(t, d.page+"report.json", http.StatusOK, n.shop)
	peak := peakOf(t, d.PID())
	t.Logf("%d Pods of the tenant; the page's data in %s; at most %d MiB", len(hostile), time.Since(begin).Round(time.Millisecond), peak>>20)
	if peak > memoryLimit {
		t.Errorf("the daemon had %d MiB resident, and its container is limited to %d", peak>>20, memoryLimit>>20)
	}
}

// peakOf is the most memory that a process had resident, in bytes.
func peakOf(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	text, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	kilobytes, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}
