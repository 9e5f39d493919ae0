package acceptance

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"

	"github.com/sidecar-drift/sidecar-drift/auditor/notify"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

// tellsOfTrouble audits one namespace, and tells of what is no drift.
const tellsOfTrouble = `
apiVersion: sidecar-drift.io/v1alpha1
kind: Configuration
interval: 5s
selection: {includeNamespaces: [%[1]s]}
notify:
- {name: events, kind: webhook, url: %[2]q, events: [blocked.found, injector.down], maxMessages: 100}
`

// The daemon that only audits tells once of what cannot be re-created any more, and of an
// injector that is gone, and again when either comes back after it was well.
func serveTellsOfTrouble(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	namespace, running := startOwnInjector(t, c, addsProxy("proxy:1"))
	deployWeb(t, c, namespace, 1, "one", "two")
	told := make(chan notify.CloudEvent, 100)
	server := httptest.NewServer(takesEvents(t, told))
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "configuration.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, tellsOfTrouble, namespace, server.URL+"/"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := newHome(t, c).audits(t, "--config", file, "--lease-duration", "10s")
	becomes(t, 0, "sidecar_drift_ratio", nil, d)

	// Injectors are the cluster's: those of other tests come and go, too.
	const down, blockedFound = "io.sidecar-drift.injector.down", "io.sidecar-drift.blocked.found"
	ours := fmt.Sprintf("test-injector-%[1]s/%[1]s.injector.test", namespace)
	about := func(e notify.CloudEvent) bool {
		return e.Type != down || slices.ContainsFunc(e.Data.Webhooks, func(w notify.Webhook) bool { return w.Name == ours })
	}
	next := func() notify.CloudEvent {
		t.Helper()
		for {
			if e := nextEvent(t, told); about(e) {
				return e
			}
		}
	}

	for range 2 {
		running.Inject(func(r injector.Request) []injector.Operation { return r.Refuse("nothing gets in") })
		blocked := map[string]string{}
		for len(blocked) < 2 { // mostly in one message
			e := next()
			if e.Type != blockedFound {
				t.Fatalf("it tells of %s: %s", e.Type, e.Data.Summary)
			}
			for _, w := range e.Data.Workloads {
				if _, again := blocked[w.Name]; again || !strings.Contains(w.Reason, "nothing gets in") {
					t.Errorf("of %s (before: %t): %s", w.Name, again, w.Reason)
				}
				blocked[w.Name] = w.Namespace + " " + w.Kind + " " + w.State
			}
		}
		want := namespace + " Deployment Blocked"
		if diff := cmp.Diff(map[string]string{"one": want, "two": want}, blocked); diff != "" {
			t.Errorf("told of what is blocked (-want +got):\n%s", diff)
		}
		running.Inject(addsProxy("proxy:1"))
		becomes(t, 2, "sidecar_drift_pods", model.LabelSet{"namespace": model.LabelValue(namespace), "state": "InSync"}, d)
	}

	for range 2 {
		if err := running.Stop(); err != nil {
			t.Fatal(err)
		}
		if e := next(); e.Type != down || e.Data.Webhooks[0].Reason == "" {
			t.Errorf("it tells of %s: %+v", e.Type, e.Data)
		}
		if err := running.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		err := cluster.Poll(t.Context(), "the injector to be up", func(ctx context.Context) error {
			_, absent, err := d.value(ctx, "sidecar_drift_injector_down", model.LabelSet{"webhook": model.LabelValue(ours)})
			if err == nil && !absent {
				err = errors.New("it counts as down")
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Stop(); err != nil {
		t.Errorf("it does not stop in an orderly way: %v", err)
	}
	for range len(told) { // what was queued was sent before it ended
		if e := <-told; about(e) {
			t.Errorf("it also tells of %s: %s", e.Type, e.Data.Summary)
		}
	}
}
