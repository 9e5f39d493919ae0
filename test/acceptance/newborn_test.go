package acceptance

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/newborn"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/auditor/watch"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

// tellsDryRuns is an injector that looks at something which no rule knows of: it tells
// dry runs apart, by a variable.
func tellsDryRuns(image string) injector.Answer {
	return func(r injector.Request) []injector.Operation {
		sidecar := corev1.Container{Name: "proxy", Image: image, Env: []corev1.EnvVar{{Name: "MODE", Value: "real"}}}
		if r.DryRun {
			sidecar.Env[0].Value = "dry"
		}
		return []injector.Operation{injector.AddContainer(sidecar)}
	}
}

// A Pod that a controller created while injection did not change is what injection
// gives: where a dry run differs from it, it is the dry run that is wrong, in this
// namespace, until its answer changes.
func TestNewbornsTellTheTruth(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	namespace, running := startOwnInjector(t, c, tellsDryRuns("proxy:1"))
	deployWeb(t, c, namespace, 2, "web", "other")
	s := startAuditor(t, auditorConfig(t, c), namespace)
	stateOf := func(r watch.Round, name string) report.Item { return itemOf(t, r.Report, "Deployment", name) }

	if r := s.round(watch.Everything); stateOf(r, "web").State != verdict.Drifted || r.Report.Biased().Workloads != 0 {
		t.Errorf("nothing is known yet: %s", details(r.Report))
	}
	replace := func() {
		t.Helper()
		pod := podsOf(t, c, namespace, "app=web")[0]
		if _, err := c.Kubectl(t.Context(), "", "-n", namespace, "delete", "pod", pod.Name); err != nil {
			t.Fatal(err)
		}
		rolledOut(t, c, namespace, "deployment/web")
	}
	replace() // too soon after the answer to prove anything
	s.until(verdict.Drifted, 2)
	time.Sleep(newborn.Settled + 2*time.Second)
	replace()
	s.until(verdict.Unknown, 2)

	r := s.round(watch.Changes)
	for _, name := range []string{"web", "other"} {
		item := stateOf(r, name)
		revision := item.Revisions[0]
		if item.State != verdict.Unknown || item.Rollout.Eligible || len(revision.Biased) != 1 || revision.Biased[0] != "container/proxy:env[MODE].value" ||
			!strings.Contains(revision.Reason, "Pods that controllers created since") {
			t.Errorf("%s: %+v", name, item)
		}
	}
	if r.Report.Biased().Workloads != 2 {
		t.Errorf("%d biased workloads, want both", r.Report.Biased().Workloads)
	}
	// What changes elsewhere is judged as ever.
	running.Inject(tellsDryRuns("proxy:2"))
	r = s.round(watch.Everything)
	for _, name := range []string{"web", "other"} {
		if item := stateOf(r, name); item.State != verdict.Drifted || len(item.Revisions[0].Changes) != 1 || len(item.Revisions[0].Biased) != 1 {
			t.Errorf("%s, after a change: %+v", name, item)
		}
	}
}
