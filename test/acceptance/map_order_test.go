package acceptance

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

// Vault's injector writes the secrets of a Pod in the order of a Go map. Of workloads
// with two secrets, whose order is a coin's, none is restarted in vain, whoever
// asks how often; and when the agent really changes all are found, in what changed.
func TestManyWorkloadsInTheOrderOfAMap(t *testing.T) {
	const mostProbes = 80 // how many there are does not depend on how many workloads: some 60
	workloads, cycles := 40, 1
	if *full {
		workloads, cycles = 80, 3
	}
	c := fenced(t)
	vault := startInjector(t, c, "vault", "agent:1")
	namespace := injectedNamespace(t, c, 1)
	inMapOrder := func() []string {
		return slices.Collect(maps.Keys(map[string]bool{"db": true, "api": true}))
	}
	vault.Inject(injector.VaultAgent("agent:1", "64Mi", "https://vault:8200", inMapOrder))
	var manifests strings.Builder
	for i := range workloads {
		fmt.Fprintf(&manifests, `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web-%[1]d}
spec:
  selector: {matchLabels: {app: web-%[1]d}}
  template: {metadata: {labels: {app: web-%[1]d}}, spec: {containers: [{name: app, image: "app:1"}]}}
`, i)
	}
	apply(t, c, namespace, manifests.String())
	for i := range workloads {
		rolledOut(t, c, namespace, fmt.Sprintf("deployment/web-%d", i))
	}

	probes := 0
	run := func(when string, want map[verdict.State]int, result report.Result, flags ...string) {
		t.Helper()
		r := rolloutCommand(t, c, 0, append([]string{"-n", namespace, "--parallel-rollouts", "20"}, flags...)...)
		if !maps.Equal(r.Summary.Workloads, want) {
			t.Errorf("%s: %v, want %v", when, r.Summary.Workloads, want)
		}
		for _, item := range r.Items {
			if item.State != verdict.InSync && item.Rollout.Result != result {
				t.Errorf("%s: %s: %s %s, want %s", when, item.Name, item.Rollout.Result, item.Rollout.Reason, result)
			}
		}
		if r.Probes > mostProbes {
			t.Errorf("%s: %d dry runs besides one each, want no more than %d", when, r.Probes, mostProbes)
		}
		probes += r.Probes
	}
	for range cycles {
		run("nothing has changed", map[verdict.State]int{verdict.InSync: workloads}, "", "--confirm")
	}
	vault.Inject(injector.VaultAgent("agent:2", "128Mi", "https://vault-2:8200", inMapOrder))
	r := rolloutCommand(t, c, 0, "-n", namespace)
	for _, item := range r.Items {
		var places []string
		for _, change := range verdict.Stable(item.Revisions[0].Changes) {
			outer, _, _ := strings.Cut(change.Path, verdict.Inside) // of the first no order is known to vary yet
			places = append(places, outer)
		}
		if want := []string{"env[VAULT_CONFIG].value", "image", "resources.limits.memory", "resources.requests.memory"}; !slices.Equal(places, want) {
			t.Errorf("%s differs at %q, want %q", item.Name, places, want)
		}
	}
	run("the agent has changed", map[verdict.State]int{verdict.Drifted: workloads}, report.RolledOut, "--confirm")
	for range cycles {
		run("after the rollout", map[verdict.State]int{verdict.InSync: workloads}, "", "--confirm")
	}
	t.Logf("%d workloads: %d dry runs besides one each, in %d runs", workloads, probes, 2*cycles+1)
}
