package rollout

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

const lockedIn = "kube-system"

// leaseOf is a Lease that a holder, if any, has renewed at a time, for a duration
// in seconds.
func leaseOf(holder string, renewed time.Time, seconds int32) *coordinationv1.Lease {
	at := metav1.NewMicroTime(renewed)
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: lockedIn, Name: LeaseName},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &holder, AcquireTime: &at, RenewTime: &at, LeaseDurationSeconds: &seconds},
	}
}

func holderOf(t *testing.T, client *fake.Clientset) string {
	t.Helper()
	found, err := client.CoordinationV1().Leases(lockedIn).Get(t.Context(), LeaseName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return *found.Spec.HolderIdentity
}

// renews keeps a Lease as another run would, until the test has ended.
func renews(t *testing.T, client *fake.Clientset, every time.Duration) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for pause(ctx, every) {
			held := leaseOf("ann@laptop, process 7", time.Now(), 15)
			if _, err := client.CoordinationV1().Leases(lockedIn).Update(ctx, held, metav1.UpdateOptions{}); err != nil {
				t.Error(err)
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
}

// A Lease is believed nothing of what stands in it: it is held if it is seen to be
// renewed, and free if it is not for leaseDuration.
func TestAcquireTakesWhatNobodyRenews(t *testing.T) {
	for name, lease := range map[string]func() *coordinationv1.Lease{
		"there is none":         func() *coordinationv1.Lease { return nil },
		"given back":            func() *coordinationv1.Lease { return leaseOf("", time.Now(), 1) },
		"left behind":           func() *coordinationv1.Lease { return leaseOf("ann@laptop", time.Now(), 15) },
		"left behind long ago":  func() *coordinationv1.Lease { return leaseOf("ann@laptop", time.Unix(0, 0), 15) },
		"renewed in 2099":       func() *coordinationv1.Lease { return leaseOf("x", time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC), 15) },
		"for 68 years":          func() *coordinationv1.Lease { return leaseOf("x", time.Now(), 1<<31-1) },
		"for less than nothing": func() *coordinationv1.Lease { return leaseOf("x", time.Now(), -1<<31) },
		"of a long name":        func() *coordinationv1.Lease { return leaseOf(strings.Repeat("x", 1<<20), time.Now(), 15) },
		"with nothing but a name": func() *coordinationv1.Lease {
			l := leaseOf("x", time.Now(), 15)
			l.Spec = coordinationv1.LeaseSpec{HolderIdentity: l.Spec.HolderIdentity}
			return l
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := fake.NewClientset()
				if there := lease(); there != nil {
					client = fake.NewClientset(there)
				}
				begin, watched := time.Now(), 0
				lock, err := acquire(t.Context(), client, Claim{Namespace: lockedIn, Watching: func(held *HeldError) {
					if watched++; len(held.Holder) > 4*longestName {
						t.Errorf("a holder of %d bytes is told", len(held.Holder))
					}
				}})
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(begin); took > LongestWatch || watched > 1 {
					t.Errorf("taken after %s, %d told to be watched", took, watched)
				}
				time.Sleep(time.Minute)
				if got := holderOf(t, client); got != lock.lease.Identity() {
					t.Errorf("held by %q", got)
				}
				select {
				case <-lock.Lost():
					t.Error("lost")
				default:
				}
				if err := lock.Release(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := holderOf(t, client); got != "" {
					t.Errorf("held by %q after it was released", got)
				}
			})
		})
	}
}

// Whoever renews is respected, in time, whatever the intervals: those of a
// release that renewed every four seconds, too.
func TestAcquireRespectsWhoRenews(t *testing.T) {
	for _, every := range []time.Duration{time.Second, leaseRenewal, 4 * time.Second, 10 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			client := fake.NewClientset(leaseOf("ann@laptop, process 7", time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), 1))
			renews(t, client, every)
			begin := time.Now()
			var watched *HeldError
			_, err := acquire(t.Context(), client, Claim{Namespace: lockedIn, Watching: func(held *HeldError) { watched = held }})
			held, ok := errors.AsType[*HeldError](err)
			if !ok {
				t.Fatalf("renewed every %s: %v", every, err)
			}
			if took := time.Since(begin); took > every+2*leaseRenewal+time.Second {
				t.Errorf("renewed every %s: known after %s", every, took)
			}
			for _, want := range []string{"ann@laptop, process 7", "since " + held.Since.UTC().Format(time.RFC3339), "Lease kube-system/sidecar-drift-rollout"} {
				if !strings.Contains(held.Error(), want) {
					t.Errorf("%q lacks %q", held, want)
				}
			}
			if watched == nil || watched.Holder != held.Holder {
				t.Errorf("told to be watched: %v", watched)
			}
		})
	}
}

// An API server that is away gives the Lease to nobody else; another holder, and
// a Lease that is gone, mean that it is lost, and it is not taken again.
func TestLostLease(t *testing.T) {
	lost := func(l *Lock) bool {
		select {
		case <-l.Lost():
			return true
		default:
			return false
		}
	}
	leases := schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}
	for name, test := range map[string]struct {
		// happens returns how the API server answers from then on.
		happens func(*testing.T, *fake.Clientset) clienttesting.ReactionFunc
		lost    bool
	}{
		"the API server is away": {func(*testing.T, *fake.Clientset) clienttesting.ReactionFunc {
			until := time.Now().Add(time.Minute)
			return func(clienttesting.Action) (bool, runtime.Object, error) {
				return time.Now().Before(until), nil, errors.New("connection refused")
			}
		}, false},
		"another one has it": {func(t *testing.T, c *fake.Clientset) clienttesting.ReactionFunc {
			if _, err := c.CoordinationV1().Leases(lockedIn).Update(t.Context(), leaseOf("x", time.Now(), 15), metav1.UpdateOptions{}); err != nil {
				t.Error(err)
			}
			return func(a clienttesting.Action) (bool, runtime.Object, error) {
				return a.GetVerb() == "update", nil, apierrors.NewConflict(leases, LeaseName, errors.New("newer"))
			}
		}, true},
		"it is gone": {func(*testing.T, *fake.Clientset) clienttesting.ReactionFunc {
			return func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, nil, apierrors.NewNotFound(leases, LeaseName)
			}
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := fake.NewClientset()
				var answer atomic.Pointer[clienttesting.ReactionFunc]
				client.PrependReactor("*", "leases", func(a clienttesting.Action) (bool, runtime.Object, error) {
					if react := answer.Load(); react != nil {
						return (*react)(a)
					}
					return false, nil, nil
				})
				lock, err := acquire(t.Context(), client, Claim{Namespace: lockedIn})
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(11 * time.Second) // between two renewals: the fake lets the second of two writers win
				answer.Store(new(test.happens(t, client)))
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				if lost(lock) != test.lost {
					t.Errorf("lost: %t", lost(lock))
				}
				if err := lock.Release(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// What is in the way of the Lease is told at once.
func TestAcquireFails(t *testing.T) {
	leases := schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}
	for verb, test := range map[string]struct {
		err  error
		want string
	}{
		"get":    {apierrors.NewForbidden(leases, LeaseName, errors.New("no")), "roll out as one (--as=system:serviceaccount:sidecar-drift:sidecar-drift-rollout)"},
		"create": {apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, lockedIn), "not found"},
	} {
		synctest.Test(t, func(t *testing.T) {
			client := fake.NewClientset()
			client.PrependReactor(verb, "leases", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, test.err })
			begin := time.Now()
			_, err := acquire(t.Context(), client, Claim{Namespace: lockedIn})
			if err == nil || !strings.Contains(err.Error(), test.want) || time.Since(begin) > time.Second {
				t.Errorf("%s: %v after %s, want %q", verb, err, time.Since(begin), test.want)
			}
		})
	}
}

// Who does not want to wait any longer leaves nothing behind.
func TestAcquireIsInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset(leaseOf("x", time.Now(), 15))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := acquire(ctx, client, Claim{Namespace: lockedIn}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ended with %v", err)
		}
		if got := holderOf(t, client); got != "x" {
			t.Errorf("held by %q", got)
		}
	})
}

func TestSentence(t *testing.T) {
	for name, test := range map[string]struct {
		text, want string
	}{
		"short":               {"as it is", "as it is"},
		"lines":               {"a\n\tb\r\n  c", "a b c"},
		"to the last":         {strings.Repeat("x", 20), strings.Repeat("x", 20)},
		"longer":              {strings.Repeat("x", 21), strings.Repeat("x", 19) + "…"},
		"characters of three": {strings.Repeat("…", 21), strings.Repeat("…", 20)},
		"an escape sequence":  {"\x1b[31mred", `\x1b[31mred`},
		"another direction":   {"a\u202eb", `a\u202eb`},
		"no text":             {"a\xffb", "a\uFFFDb"},
		"only space":          {strings.Repeat(" ", 1000), "…"},
	} {
		if got := sentence(test.text, 20); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
	if got := sentence(fmt.Sprintf("%s end", strings.Repeat("\u202e", 1<<20)), 100); len([]rune(got)) > 100 {
		t.Errorf("%d characters", len([]rune(got)))
	}
}
