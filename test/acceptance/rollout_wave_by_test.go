package acceptance

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

// A run goes in waves by labels of namespaces, or of Pod templates where a namespace has no
// such label: a wave begins only if all of those before it ended well. The next run of the
// same command goes on.
func TestRolloutInWaves(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	staging, running := startOwnInjector(t, c, addsProxy("proxy:1"))
	wave := func(env string) map[string]string {
		labels := map[string]string{injector.NamespaceLabel: staging}
		if env != "" {
			labels["waves-env"] = env
		}
		return labels
	}
	production, unlabelled := namespaceWith(t, c, wave("production")), namespaceWith(t, c, wave(""))
	if _, err := c.Kubectl(t.Context(), "", "label", "namespace", staging, "waves-env=staging"); err != nil {
		t.Fatal(err)
	}
	labelled := func(namespace, name, env string) {
		t.Helper()
		apply(t, c, namespace, fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s, waves-env: %[2]s}}
    spec: {containers: [{name: app, image: "app:1"}]}
`, name, env))
		rolledOut(t, c, namespace, "deployment/"+name)
	}
	deployWeb(t, c, staging, 1, "web", "held")
	labelled(production, "a-says-staging", "staging") // which its namespace knows better
	labelled(unlabelled, "says-staging", "staging")
	deployWeb(t, c, unlabelled, 1, "a-rest")
	running.Inject(addsProxy("proxy:2"))
	pause := func(paused bool) {
		t.Helper()
		if _, err := c.Kubectl(t.Context(), "", "-n", staging, "patch", "deployment", "held", "-p", fmt.Sprintf(`{"spec":{"paused":%t}}`, paused)); err != nil {
			t.Fatal(err)
		}
	}
	run := func(exitCode int, args ...string) (results map[string]string, order []string, errOut string) {
		t.Helper()
		r := startRollout(t, c, append([]string{
			"--include-namespace", staging, "--include-namespace", production, "--include-namespace", unlabelled,
			"--wave-by", "waves-env=staging,production", "-o", "json",
		}, args...)...)
		r.end(t, exitCode)
		var done report.Report
		if err := json.Unmarshal(r.out.Bytes(), &done); err != nil {
			t.Fatal(err)
		}
		results = map[string]string{}
		for _, item := range done.Items {
			results[item.Name] = item.Rollout.Wave + " " + string(item.Rollout.Result)
			order = append(order, item.Name)
			if item.Rollout.Result == report.Interrupted && !strings.Contains(item.Rollout.Reason, "wave waves-env=staging has not ended well: Deployment "+staging+"/held is left out") {
				t.Errorf("%s: %s", item.Name, item.Rollout.Reason)
			}
		}
		return results, order, r.errOut.String()
	}
	plan, order, _ := run(0)
	if diff := cmp.Diff(map[string]string{
		"web": "waves-env=staging Planned", "held": "waves-env=staging Planned", "says-staging": "waves-env=staging Planned",
		"a-says-staging": "waves-env=production Planned", "a-rest": "the rest Planned",
	}, plan); diff != "" {
		t.Errorf("the plan (-want +got):\n%s", diff)
	}
	if got := strings.Join(order[3:], " "); got != "a-says-staging a-rest" {
		t.Errorf("after the first wave: %s", got)
	}

	// One of the first wave is left alone by a guard: no other wave begins.
	pause(true)
	first, _, errOut := run(1, "--confirm")
	if diff := cmp.Diff(map[string]string{
		"web": "waves-env=staging RolledOut", "held": "waves-env=staging Skipped", "says-staging": "waves-env=staging RolledOut",
		"a-says-staging": "waves-env=production Interrupted", "a-rest": "the rest Interrupted",
	}, first); diff != "" {
		t.Errorf("the first run (-want +got):\n%s", diff)
	}
	if want := "2 workloads are left. To go on with what still drifts:\n  sidecar-drift rollout "; !strings.Contains(errOut, want) || !strings.Contains(errOut, "--wave-by waves-env=staging,waves-env=production") {
		t.Errorf("stderr lacks %q:\n%s", want, errOut)
	}

	pause(false)
	second, _, _ := run(0, "--confirm")
	if diff := cmp.Diff(map[string]string{
		"held": "waves-env=staging RolledOut", "a-says-staging": "waves-env=production RolledOut", "a-rest": "the rest RolledOut",
	}, second); diff != "" {
		t.Errorf("the second run (-want +got):\n%s", diff)
	}
	if _, _, errOut := run(0, "--wave-by", "waves-env=stagging"); !strings.Contains(errOut, "Nothing has the label waves-env=stagging: check --wave-by") {
		t.Errorf("a wave of nothing: %s", errOut)
	}
}
