package acceptance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/auditor/watch"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// An injector that goes away takes back nothing that is known: drift stays drift, as
// old as it was, marked, and is not rolled out. Of what is new nothing is known.
func TestDaemonKeepsWhatItKnew(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	namespace, proxy := startOwnInjector(t, c, addsProxy("proxy:1"))
	deployWeb(t, c, namespace, 2, "web")
	daemon := startAuditor(t, auditorConfig(t, c), namespace)
	round := func() *report.Report { t.Helper(); return daemon.round(watch.Everything).Report }

	proxy.Inject(addsProxy("proxy:2"))
	if r := round(); r.Summary.Pods[verdict.Drifted] != 2 || r.Stale() != 0 {
		t.Fatalf("nothing drifted: %v, %d stale", r.Summary, r.Stale())
	}
	if err := proxy.Stop(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r := round()
		item := itemOf(t, r, "Deployment", "web")
		revision := item.Revisions[0]
		if item.State != verdict.Drifted || revision.StaleSince == nil || item.Rollout.Eligible || r.Summary.Drift() != 100 || r.Stale() != 1 ||
			!slices.ContainsFunc(r.Outages, func(o report.Outage) bool { return strings.Contains(o.Webhook, namespace) }) {
			t.Errorf("%s, stale since %v, eligible %t, drift %v, %d stale, outages %v", item.State, revision.StaleSince, item.Rollout.Eligible, r.Summary.Drift(), r.Stale(), r.Outages)
		}
		if strings.Count(revision.Reason, "as it was last known") != 1 || !strings.Contains(revision.Reason, "does not answer") || len(revision.Changes) == 0 {
			t.Errorf("reason %q, %d changes", revision.Reason, len(revision.Changes))
		}
	}
	seen := func(name string) {
		t.Helper()
		err := cluster.Poll(t.Context(), "the daemon to see "+name+" without a sidecar", func(context.Context) error {
			r := round()
			for _, item := range r.Items {
				if item.Name == name && (item.State != verdict.NotInjected || item.Revisions[0].StaleSince != nil) {
					return fmt.Errorf("%s is %s, stale since %v", name, item.State, item.Revisions[0].StaleSince)
				} else if item.Name == name {
					return nil
				}
			}
			return fmt.Errorf("no %s in the report:\n%s", name, details(r))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	// The injector is down, and fails open: this one has no sidecar to lose.
	deployWeb(t, c, namespace, 1, "new")
	seen("new")
	// Pods that come back without their sidecar are like none before.
	if _, err := c.Kubectl(t.Context(), "", "-n", namespace, "delete", "pods", "-l", "app=web", "--wait=false"); err != nil {
		t.Fatal(err)
	}
	rolledOut(t, c, namespace, "deployment/web")
	seen("web")
	if stale := daemon.round(watch.Everything).Report.Stale(); stale != 0 {
		t.Errorf("%d are stale", stale)
	}
}

// A Pod that was created is proof that none is refused any more, whatever the sweep
// has for its turn.
func TestDaemonAsksAgainWhatIsNoLongerBlocked(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	namespace := namespaceWith(t, c, nil)
	deployWeb(t, c, namespace, 1, "web")
	daemon := startAuditor(t, auditorConfig(t, c), namespace)
	policy := denyPolicy(namespace, "CREATE", `""`, "pods", "not now")
	clusterWide(t, c, policy)
	refuses(t, c, namespace, "not now")
	if r := daemon.round(watch.Everything).Report; r.Summary.Pods[verdict.Blocked] != 1 {
		t.Fatalf("not Blocked:\n%s", details(r))
	}
	if _, err := c.Kubectl(t.Context(), policy, "delete", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Kubectl(t.Context(), "", "-n", namespace, "scale", "deployment/web", "--replicas=2"); err != nil {
		t.Fatal(err)
	}
	rolledOut(t, c, namespace, "deployment/web")
	daemon.until(verdict.NotInjected, 2)
}
