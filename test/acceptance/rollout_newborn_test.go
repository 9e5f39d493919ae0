package acceptance

import (
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

// A workload that comes back as it was says why, and no other of its namespace that
// differs there, through the same webhooks, is restarted in vain; one that differs
// elsewhere, too, is.
func TestRolloutLearnsFromItsFirstPods(t *testing.T) {
	c := fenced(t)
	namespace, running := startOwnInjector(t, c, tellsDryRuns("proxy:1"))
	deployWeb(t, c, namespace, 1, "a", "b")
	before := podsOf(t, c, namespace, "app=b")[0].UID
	done := rolloutCommand(t, c, 1, "-n", namespace, "--confirm", "--allow-downtime", "--max-failures", "5", "--dry-run-as", "self")
	for i, want := range []string{
		"its new Pods differ from a dry run where the old ones did, at container/proxy env[MODE].value: a webhook answers its controller otherwise " +
			"(--dry-run-as controller asks as that), or tells dry runs apart",
		"Deployment/a, which differs there, too, has come back as it was: a restart would be in vain",
	} {
		if reason := itemOf(t, done, "Deployment", []string{"a", "b"}[i]).Rollout.Reason; !strings.Contains(reason, want) {
			t.Errorf("reason %q, want %q", reason, want)
		}
	}
	checkResults(t, done, map[string]report.Result{"Deployment/a": report.NotConverging, "Deployment/b": report.Skipped})
	if after := podsOf(t, c, namespace, "app=b")[0].UID; after != before {
		t.Error("the other workload was restarted")
	}
	running.Inject(tellsDryRuns("proxy:2"))
	checkResults(t, rolloutCommand(t, c, 1, "-n", namespace, "--confirm", "--allow-downtime", "--max-failures", "5", "deployment/b"),
		map[string]report.Result{"Deployment/b": report.NotConverging})
	if image := podsOf(t, c, namespace, "app=b")[0].Spec.Containers[1].Image; image != "proxy:2" {
		t.Errorf("it has %s, want what changed elsewhere", image)
	}
}

// OpenTelemetry's operator reads a Pod's ReplicaSet from a cache that may not have it
// yet: a first Pod lacks what others have. Evicting it once more is what heals.
func TestRolloutOfPodsThatCameTooEarly(t *testing.T) {
	c := fenced(t)
	var (
		mu    sync.Mutex
		early int // real Pods yet to come that lack it
	)
	soon := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		early = n
	}
	soon(1)
	namespace, _ := startOwnInjector(t, c, func(r injector.Request) []injector.Operation {
		mu.Lock()
		defer mu.Unlock()
		sidecar := corev1.Container{Name: "proxy", Image: "proxy:1"}
		if r.DryRun || early == 0 {
			sidecar.Env = []corev1.EnvVar{{Name: "OTEL_RESOURCE_ATTRIBUTES", Value: "k8s.deployment.name=web"}}
		} else {
			early--
		}
		return []injector.Operation{injector.AddContainer(sidecar)}
	})
	deployWeb(t, c, namespace, 2, "web")
	soon(1)
	restarted := rolloutCommand(t, c, 1, "-n", namespace, "--confirm")
	if reason := restarted.Items[0].Rollout.Reason; !strings.Contains(reason, "1 of its new Pods differ at container/proxy env[OTEL_RESOURCE_ATTRIBUTES], and 1 of the same revision do not") {
		t.Errorf("reason %q", reason)
	}
	checkResults(t, restarted, map[string]report.Result{"Deployment/web": report.NotConverging})
	checkResults(t, rolloutCommand(t, c, 1, "-n", namespace, "--confirm", "--strategy", "evict"), map[string]report.Result{"Deployment/web": report.NotConverging})

	soon(1)
	checkResults(t, rolloutCommand(t, c, 0, "-n", namespace, "--confirm", "--strategy", "evict", "--retry"), map[string]report.Result{"Deployment/web": report.RolledOut})
}
