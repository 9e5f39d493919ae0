package watch

import (
	"fmt"
	"testing"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// jobOf is the n-th Job of a CronJob, and what is submitted for its Pods.
func jobOf(n int, image string) (inventory.Revision, []byte) {
	owner := inventory.Owner{APIVersion: "batch/v1", Kind: "Job", Name: fmt.Sprintf("tick-%d", n), UID: fmt.Sprintf("uid-%d", n)}
	r := inventory.Revision{Workload: inventory.WorkloadRef{Kind: "CronJob", Namespace: "shop", Name: "tick"}, Name: owner.Name, Owner: owner}
	return r, fmt.Appendf(nil, `{"metadata":{"generateName":"%s-","labels":{"job-name":%[1]q},"ownerReferences":[{"uid":%q}]},"spec":{"containers":[{"image":%q}]}}`, owner.Name, owner.UID, image)
}

func TestShapeOf(t *testing.T) {
	first, submitted := jobOf(1, "app:1")
	want := shapeOf(first, submitted)
	if next, submitted := jobOf(2, "app:1"); shapeOf(next, submitted) != want {
		t.Error("the next Job has another shape")
	}
	if next, submitted := jobOf(2, "app:2"); shapeOf(next, submitted) == want {
		t.Error("one of another image has the same shape")
	}
	elsewhere := first
	elsewhere.Workload.Namespace = "pay"
	if shapeOf(elsewhere, submitted) == want {
		t.Error("one of another namespace has the same shape")
	}
	alone := first
	alone.Workload.Kind = "Job"
	if shapeOf(alone, submitted) == want {
		t.Error("one of no CronJob has the same shape")
	}
	deployed := first
	deployed.Owner.Kind, deployed.Owner.APIVersion = "ReplicaSet", "apps/v1"
	if shapeOf(deployed, submitted) != (shape{}) {
		t.Error("a ReplicaSet has a shape: it lives on, and is to be asked about")
	}
}

// Only what was in sync, not long ago, is taken over, and only by Pods that are like it.
func TestWhoTakesAnAnswerOver(t *testing.T) {
	first, submitted := jobOf(1, "app:1")
	old := []inventory.Pod{numbered("tick-1-a", 1, 100)}
	ask := func(answer audit.Finding, next []inventory.Pod, newcomer bool) (audit.Finding, bool) {
		a := standingAuditor()
		a.shapes.keep(shapeOf(first, submitted), answer, nil)
		r, submitted := jobOf(2, "app:1")
		r.Pods = next
		q := &questions{Auditor: a, newcomers: map[inventory.Key]bool{r.Key: newcomer}}
		return q.shaped(r, shapeOf(r, submitted), audit.Finding{Workload: r.Workload, Submitted: submitted})
	}
	inSync := found(1, 500, old, nil)
	same, other := []inventory.Pod{numbered("tick-2-a", 1, 200)}, []inventory.Pod{numbered("tick-2-a", 2, 200)}
	got, takes := ask(inSync, same, true)
	if !takes || got.Revision.State != verdict.InSync || got.Revision.Pods != 1 || got.TakenOver.IsZero() || got.Revision.Members[verdict.InSync][0].Name != "tick-2-a" {
		t.Errorf("takes it over: %t, %+v", takes, got.Revision)
	}
	if _, takes := ask(inSync, other, true); takes {
		t.Error("a Pod that is otherwise takes it over")
	}
	if _, takes := ask(inSync, same, false); takes {
		t.Error("one whose turn it is is not asked about")
	}
	drifted := found(2, 500, old, map[byte][]verdict.Change{1: {changeAt("container/istio-proxy", "image", "v1", "v2")}})
	if _, takes := ask(drifted, same, true); takes {
		t.Error("drift is taken over")
	}
}

func TestShapesAreForgotten(t *testing.T) {
	s := shapes{{1}: {at: time.Now().Add(-time.Hour)}, {2}: {at: time.Now()}}
	s.forget(30 * time.Minute)
	if _, has := s[shape{2}]; len(s) != 1 || !has {
		t.Errorf("left: %v", s)
	}
	_, submitted := jobOf(1, "app:1")
	for n := range mostShapes + 10 {
		r, _ := jobOf(n, "")
		s.keep(shapeOf(r, fmt.Append(submitted, n*7919)), found(1, 500, []inventory.Pod{numbered("p", 1, 1)}, nil), nil)
	}
	if len(s) > mostShapes {
		t.Errorf("%d shapes", len(s))
	}
}

func TestRate(t *testing.T) {
	var r rate
	if r.add(measured-1, time.Second); r.known() || r.in(time.Minute) != 0 {
		t.Error("a few make a rate")
	}
	r.add(100, 10*time.Second)
	if got := r.in(30 * time.Second); got != 300 {
		t.Errorf("%d in half a minute, want 300", got)
	}
	if r.add(10, 10*time.Second); r.in(30*time.Second) >= 300 || r.in(30*time.Second) < 30 {
		t.Errorf("after slower ones: %d", r.in(30*time.Second))
	}
	if got := r.in(0); got != 1 {
		t.Errorf("%d in no time, want one", got)
	}
}
