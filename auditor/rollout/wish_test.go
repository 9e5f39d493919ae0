package rollout

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
)

// optimistic is a client whose Leases are updated as the API server does: only by who has
// read the present version.
func optimistic(objects ...runtime.Object) *fake.Clientset {
	client := fake.NewClientset(objects...)
	leases := coordinationv1.SchemeGroupVersion.WithResource("leases")
	var mu sync.Mutex
	client.PrependReactor("update", "leases", func(a clienttesting.Action) (bool, runtime.Object, error) {
		mu.Lock()
		defer mu.Unlock()
		next := a.(clienttesting.UpdateAction).GetObject().(*coordinationv1.Lease).DeepCopy()
		found, err := client.Tracker().Get(leases, next.Namespace, next.Name)
		if err != nil {
			return true, nil, err
		}
		if now := found.(*coordinationv1.Lease).ResourceVersion; now != next.ResourceVersion {
			return true, nil, apierrors.NewConflict(leases.GroupResource(), next.Name, errors.New("newer"))
		}
		version, _ := strconv.Atoi(next.ResourceVersion)
		next.ResourceVersion = strconv.Itoa(version + 1)
		return true, next, client.Tracker().Update(leases, next, next.Namespace)
	})
	return client
}

func annotationsOf(t *testing.T, client *fake.Clientset) map[string]string {
	t.Helper()
	found, err := client.CoordinationV1().Leases(lockedIn).Get(t.Context(), LeaseName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return found.Annotations
}

// A person's run is told what an automatic one finishes, has the Lease as soon as that has,
// and goes before the automatic one's next; nothing of that is left in the Lease.
func TestAnAutomaticRunGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, polite := optimistic(), &Courtesy{}
		automatic, err := acquire(t.Context(), client, Claim{Namespace: lockedIn, Automatic: polite})
		if err != nil {
			t.Fatal(err)
		}
		web := inventory.WorkloadRef{Kind: "Deployment", Namespace: "shop", Name: "web"}
		automatic.Doing([]inventory.WorkloadRef{web})
		time.Sleep(5*time.Minute + 300*time.Millisecond)
		var told [][]string
		got := make(chan *Lock)
		begin := time.Now()
		go func() {
			lock, err := acquire(t.Context(), client, Claim{Namespace: lockedIn, Patience: 15 * time.Minute, Waiting: func(held *HeldError, finishing []string) {
				if !strings.HasPrefix(held.Holder, "sidecar-drift serve as ") {
					t.Errorf("waits for %s", held.Holder)
				}
				told = append(told, finishing)
			}})
			if err != nil {
				t.Error(err)
			}
			got <- lock
		}()
		<-automatic.Wanted()
		if took := time.Since(begin); took > leaseRenewal {
			t.Errorf("known after %s", took)
		}
		time.Sleep(2 * time.Minute) // of which the Lease is renewed, and the wish, too
		if _, err := acquire(t.Context(), client, Claim{Namespace: lockedIn, Automatic: polite}); err == nil {
			t.Error("two hold it")
		}
		if err := automatic.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := acquire(t.Context(), client, Claim{Namespace: lockedIn, Automatic: polite}); err == nil || !strings.Contains(err.Error(), "waits for the Lease kube-system/sidecar-drift-rollout, and goes first") {
			t.Errorf("the next automatic run: %v", err)
		}
		released := time.Now()
		person := <-got
		if took := time.Since(released); took > 3*leaseRenewal {
			t.Errorf("taken %s after it was given up", took)
		}
		if diff := cmp.Diff([][]string{nil, {web.String()}}, told); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		if left := annotationsOf(t, client); left[wantedKey] != "" || left[finishingKey] != "" {
			t.Errorf("left in the Lease: %v", left)
		}
		if err := person.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		again, err := acquire(t.Context(), client, Claim{Namespace: lockedIn, Automatic: polite})
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Release(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Who waits for too long says so, and leaves no wish behind; two of them both get their
// turn or are told who has it.
func TestWaitingHasAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := optimistic()
		automatic, err := acquire(t.Context(), client, Claim{Namespace: lockedIn, Automatic: &Courtesy{}})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		_, err = acquire(t.Context(), client, Claim{Namespace: lockedIn, Patience: time.Minute})
		held, ok := errors.AsType[*HeldError](err)
		if took := time.Since(begin); !ok || took < time.Minute || took > time.Minute+10*time.Second || !strings.Contains(held.Error(), "wait longer with --lock-timeout") {
			t.Errorf("after %s: %v", took, err)
		}
		if left := annotationsOf(t, client)[wantedKey]; left != "" {
			t.Errorf("its wish is left: %s", left)
		}
		if _, err := acquire(t.Context(), client, Claim{Namespace: lockedIn}); err == nil || !strings.Contains(err.Error(), "rolls out in this cluster since") {
			t.Errorf("who does not wait: %v", err)
		}
		results := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := acquire(t.Context(), client, Claim{Namespace: lockedIn, Patience: time.Hour})
				results <- err
			}()
		}
		time.Sleep(time.Minute)
		if err := automatic.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		first, second := <-results, <-results
		if first != nil || second == nil || !strings.Contains(second.Error(), "rolls out in this cluster since") {
			t.Errorf("the first: %v, the second: %v", first, second)
		}
		stopAll(t, client)
	})
}

// stopAll takes the Lease from whoever holds it: a synctest bubble ends when all in it have.
func stopAll(t *testing.T, client *fake.Clientset) {
	t.Helper()
	if err := client.CoordinationV1().Leases(lockedIn).Delete(t.Context(), LeaseName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Minute)
}

// Whatever stands in the Lease, for however long: an automatic run goes on within bounds.
func TestNoWishStopsAnAutomaticRun(t *testing.T) {
	written := func(w string) func(time.Duration) string { return func(time.Duration) string { return w } }
	for name, test := range map[string]struct {
		wish func(time.Duration) string // after a time
		most time.Duration              // that it is kept from the Lease, of an hour
	}{
		"none":                  {written(""), 0},
		"garbage":               {written("{"), 0},
		"another kind of value": {written(`["a"]`), 0},
		"nobody's":              {written(`{"time":"2026-01-01T00:00:00Z"}`), 0},
		"too long":              {written(`{"holder":"` + strings.Repeat("x", longestNote) + `"}`), 0},
		"that of one killed":    {written(`{"holder":"ann","time":"2026-01-01T00:00:00Z"}`), time.Minute},
		"of the future":         {written(`{"holder":"ann","time":"2999-01-01T00:00:00Z"}`), time.Minute},
		"renewed for ever": {func(at time.Duration) string {
			return fmt.Sprintf(`{"holder":"ann","time":"2026-01-01T00:00:%02dZ"}`, int(at.Seconds())%60)
		}, 20 * time.Minute},
		"by another one always":  {func(at time.Duration) string { return fmt.Sprintf(`{"holder":"%d"}`, at) }, 20 * time.Minute},
		"now and then, for ever": {func(at time.Duration) string { return fmt.Sprintf(`{"holder":"ann %d"}`, at/time.Minute) }, 20 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			c, begin, kept := &Courtesy{}, time.Unix(1e9, 0), time.Duration(0)
			const round = 30 * time.Second
			for at := time.Duration(0); at < time.Hour; at += round {
				now := begin.Add(at)
				if c.wanted(test.wish(at), now) != "" {
					c.gave(now)
					kept += round
				}
			}
			if kept > test.most {
				t.Errorf("kept from the Lease for %s of an hour, want %s at most", kept, test.most)
			}
		})
	}
}

// People who take what they are given are never ignored.
func TestCourtesyToManyPeople(t *testing.T) {
	c, now := &Courtesy{}, time.Unix(1e9, 0)
	for i := range 100 {
		now = now.Add(time.Minute)
		if c.wanted(fmt.Sprintf(`{"holder":"ann %d"}`, i), now) == "" {
			t.Fatalf("the %dth is ignored", i)
		}
		c.gave(now)
		c.changedHands(2*i+1, false)
		c.changedHands(2*i+2, true)
	}
}

func TestFinishingOf(t *testing.T) {
	many := finishing{Holder: "me"}
	for i := range 10 {
		many.Workloads = append(many.Workloads, fmt.Sprint("Deployment a/", i))
	}
	long := finishing{Holder: "me", Workloads: []string{strings.Repeat("x", 2*longestNote)}}
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"nothing":       {"", nil},
		"another's":     {`{"holder":"you","workloads":["Deployment a/b"]}`, nil},
		"its own":       {`{"holder":"me","workloads":["Deployment a/b"]}`, []string{"Deployment a/b"}},
		"to a terminal": {`{"holder":"me","workloads":["\u001b[31m"]}`, []string{`\x1b[31m`}},
		"many":          {many.note(), append(append([]string{}, many.Workloads[:5]...), "5 more")},
		"too long":      {long.note(), nil},
	} {
		if diff := cmp.Diff(test.want, finishingOf(test.text, "me")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Whatever stands in the Lease is bounded and printable before anybody is shown it.
func FuzzWish(f *testing.F) {
	for _, text := range []string{`{"holder":"ann","time":"2026-01-01T00:00:00Z"}`, `{"holder":"ann","workloads":["Deployment a/b"]}`, "{", "[]", `{"holder":"\u202e"}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		w, ok := parseWish(text)
		shown := finishingOf(text, w.Holder)
		if by := (&Courtesy{}).wanted(text, time.Unix(1, 0)); (by != "") != ok {
			t.Errorf("%q: a wish %t, wanted by %q", text, ok, by)
		} else {
			shown = append(shown, by)
		}
		if len(shown) > namedWorkloads+2 {
			t.Errorf("%d are named", len(shown))
		}
		for _, name := range shown {
			if len([]rune(name)) > longestName || strings.ContainsFunc(name, unicode.IsControl) {
				t.Errorf("%q is shown as it is", name)
			}
		}
	})
}
