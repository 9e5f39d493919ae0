package rollout

import (
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestHeldBy(t *testing.T) {
	now := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	lease := func(holder string, renewed time.Duration) *coordinationv1.Lease {
		acquired, at := metav1.NewMicroTime(now.Add(-time.Hour)), metav1.NewMicroTime(now.Add(-renewed))
		return &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, AcquireTime: &acquired, RenewTime: &at}}
	}
	for name, test := range map[string]struct {
		lease *coordinationv1.Lease
		held  bool
	}{
		"new":                            {lease: &coordinationv1.Lease{}},
		"given back":                     {lease: lease("", time.Second)},
		"held":                           {lease: lease("ann@laptop", time.Second), held: true},
		"held to the last":               {lease: lease("ann@laptop", leaseDuration), held: true},
		"left behind":                    {lease: lease("ann@laptop", leaseDuration+time.Second)},
		"held, by a clock that is ahead": {lease: lease("ann@laptop", -time.Hour), held: true},
	} {
		held := heldBy(test.lease, now, "kube-system")
		if (held != nil) != test.held {
			t.Errorf("%s: %v", name, held)
		}
		if held == nil {
			continue
		}
		for _, want := range []string{"ann@laptop", "since 2026-01-02T14:04:05Z", "kube-system/sidecar-drift-rollout"} {
			if !strings.Contains(held.Error(), want) {
				t.Errorf("%s: %q lacks %q", name, held, want)
			}
		}
	}
}
