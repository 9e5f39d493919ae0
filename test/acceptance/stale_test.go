package acceptance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/sidecar-drift/sidecar-drift/auditor"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// An injector that goes away takes back nothing that is known: drift stays drift, as
// old as it was, marked, and is not rolled out. Of what is new nothing is known.
func TestDaemonKeepsWhatItKnew(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	namespace, proxy := startOwnInjector(t, c, addsProxy("proxy:1"))
	deployWeb(t, c, namespace, 2, "web")
	daemon, err := auditor.NewAuditor(auditorConfig(t, c), auditor.Options{
		Selection: inventory.Selection{Namespace: namespace}, Concurrency: 4, Log: logr.Discard(),
	}, auditor.Sweep{Interval: time.Minute, Full: 10 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { daemon.Run(ctx); close(ended) }()
	t.Cleanup(func() { stop(); <-ended })
	round := func(ctx context.Context) *report.Report {
		t.Helper()
		r, err := daemon.Round(ctx, auditor.Everything)
		if err != nil {
			t.Fatal(err)
		}
		return r.Report
	}

	proxy.Inject(addsProxy("proxy:2"))
	if r := round(t.Context()); r.Summary.Pods[verdict.Drifted] != 2 || r.Stale() != 0 {
		t.Fatalf("nothing drifted: %v, %d stale", r.Summary, r.Stale())
	}
	if err := proxy.Stop(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r := round(t.Context())
		item := itemOf(t, r, "Deployment", "web")
		revision := item.Revisions[0]
		if item.State != verdict.Drifted || revision.StaleSince == nil || item.Rollout.Eligible || r.Summary.Drift() != 100 || r.Stale() != 1 || len(r.Outages) != 1 {
			t.Errorf("%s, stale since %v, eligible %t, drift %v, %d stale, outages %v", item.State, revision.StaleSince, item.Rollout.Eligible, r.Summary.Drift(), r.Stale(), r.Outages)
		}
		if strings.Count(revision.Reason, "as it was last known") != 1 || !strings.Contains(revision.Reason, "does not answer") || len(revision.Changes) == 0 {
			t.Errorf("reason %q, %d changes", revision.Reason, len(revision.Changes))
		}
	}
	// The injector is down, and fails open: this one has no sidecar to lose.
	deployWeb(t, c, namespace, 1, "new")
	err = cluster.Poll(t.Context(), "the daemon to see what is new", func(ctx context.Context) error {
		for _, item := range round(ctx).Items {
			if item.Name == "new" && item.State == verdict.NotInjected && item.Revisions[0].StaleSince == nil {
				return nil
			}
		}
		return errors.New("not there, or not as it is")
	})
	if err != nil {
		t.Fatal(err)
	}
	// Pods that come back without their sidecar are like none before.
	if _, err := c.Kubectl(t.Context(), "", "-n", namespace, "delete", "pods", "-l", "app=web", "--wait=false"); err != nil {
		t.Fatal(err)
	}
	rolledOut(t, c, namespace, "deployment/web")
	err = cluster.Poll(t.Context(), "the daemon to see the new Pods", func(ctx context.Context) error {
		r := round(ctx)
		if item := itemOf(t, r, "Deployment", "web"); item.State != verdict.NotInjected || r.Stale() != 0 {
			return fmt.Errorf("%s, %d stale", item.State, r.Stale())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
