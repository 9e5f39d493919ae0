package acceptance

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

// Pods that what was injected into them keeps from running are healed by a re-creation, by
// either strategy, where that is allowed.
func TestRolloutOfWhatInjectionMadeUnhealthy(t *testing.T) {
	c := fenced(t)
	proxy := startInjector(t, c, "proxy", "proxy:1")
	namespace := injectedNamespace(t, c, 1)
	proxy.setMore(func() []injector.Operation {
		return []injector.Operation{{Op: "add", Path: "/spec/containers/1/resources", Value: map[string]any{"requests": map[string]string{"cpu": "100000"}}}}
	})
	for _, name := range []string{"restarted", "evicted"} {
		apply(t, c, namespace, fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  replicas: 2
  selector: {matchLabels: {app: %[1]s}}
  template: {metadata: {labels: {app: %[1]s}}, spec: {containers: [{name: app, image: "app:1"}]}}
`, name))
		err := cluster.Poll(t.Context(), "the Pods of "+name, func(ctx context.Context) error {
			replicas, err := c.Kubectl(ctx, "", "-n", namespace, "get", "deployment", name, "-o", "jsonpath={.status.unavailableReplicas} {.status.updatedReplicas}")
			if err == nil && replicas != "2 2" {
				err = fmt.Errorf("unavailable and updated: %s", replicas)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	proxy.setMore(func() []injector.Operation { return nil })

	checkReasons(t, "by default", rolloutCommand(t, c, 0, "-n", namespace, "--confirm"),
		map[string]string{"Deployment/restarted": "--allow-unhealthy", "Deployment/evicted": "--allow-unhealthy"})
	plan := rolloutCommand(t, c, 0, "-n", namespace, "--allow-unhealthy")
	for _, item := range plan.Items {
		if item.Rollout.Result != report.Planned || !strings.Contains(item.Rollout.Reason, "is unhealthy: ") {
			t.Errorf("%s is %+v, want it planned, and called unhealthy", item.Name, item.Rollout)
		}
	}
	for name, strategy := range map[string]string{"restarted": "restart", "evicted": "evict"} {
		done := rolloutCommand(t, c, 0, "-n", namespace, "Deployment/"+name, "--allow-unhealthy", "--strategy", strategy, "--confirm")
		checkResults(t, done, map[string]report.Result{"Deployment/" + name: report.RolledOut})
	}
	auditNamespace(t, c, namespace, "Deployment/evicted InSync 2", "Deployment/restarted InSync 2")
}
