package acceptance

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/journal"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

// The journal outlives its leader: a change that it had seen has the same ID and began at the
// same time afterwards, and is there once; of one that began while there was no leader the
// interval is from the last answer before to the first one after.
func serveHandsTheJournalOver(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	answer := func(image, level string) injector.Answer {
		return func(r injector.Request) []injector.Operation {
			proxy := corev1.Container{Name: "proxy", Image: image}
			if r.Pod.Labels["app"] == "api" && level != "" {
				proxy.Env = []corev1.EnvVar{{Name: "LEVEL", Value: level}}
			}
			return []injector.Operation{injector.AddContainer(proxy)}
		}
	}
	namespace, running := startOwnInjector(t, c, answer("proxy:1", ""))
	deployWeb(t, c, namespace, 1, "web", "api")
	home := newHome(t, c)
	args := []string{"--lease-duration", "10s", "--include-namespace", namespace, "--interval", "5s"}
	one, other := home.audits(t, args...), home.audits(t, args...)
	leader := becomes(t, 0, "sidecar_drift_ratio", nil, one, other)
	follower := one
	if leader == one {
		follower = other
	}
	keeps := func(number int, by *daemon) []journal.Entry {
		t.Helper()
		var entries []journal.Entry
		err := cluster.PollSeldom(t.Context(), fmt.Sprintf("the journal to keep %d changes", number), func(ctx context.Context) error {
			kept, err := home.history(ctx, t)
			if entries = kept.Changes; err == nil && len(entries) < number {
				err = fmt.Errorf("it keeps %+v", entries)
			}
			return err
		}, by.Process)
		if err != nil {
			t.Fatal(err)
		}
		return entries
	}

	change := func(image, level string) (within func(journal.Interval) bool) {
		from := time.Now().Truncate(time.Second) // as the journal has times
		running.Inject(answer(image, level))
		to := time.Now()
		return func(b journal.Interval) bool { return !b.After.IsZero() && !b.After.After(to) && !b.By.Before(from) }
	}

	within := change("proxy:2", "")
	before := keeps(1, leader)[0]
	if before.Summary != "proxy image 1 → 2" || !within(before.Began) {
		t.Errorf("a change is kept as %q, begun between %s and %s, when it had not", before.Summary, before.Began.After, before.Began.By)
	}

	leader.Kill()
	within = change("proxy:2", "high")
	after := keeps(2, follower)
	if len(after) != 2 {
		t.Fatalf("the next leader keeps %+v", after)
	}
	same, next := after[1], after[0] // the last that began comes first
	if same.ID != before.ID || same.Began != before.Began || same.Ended != nil || same.Open != 2 {
		t.Errorf("the change that had begun was %+v, and is %+v", before, same)
	}
	if b := next.Began; next.Open != 1 || !within(b) || b.After.Before(before.Began.After) {
		t.Errorf("a change without a leader is %q and began between %s and %s, when it had not; the one before began after %s", next.Summary, b.After, b.By, before.Began.After)
	}
}
