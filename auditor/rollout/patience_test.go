package rollout

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// One workload's rollout ends when it makes no progress for its timeout and its
// minReadySeconds, and in the longest duration that is allowed.
func TestPatience(t *testing.T) {
	const timeout, longest = 5 * time.Minute, time.Hour
	for name, test := range map[string]struct {
		minReady int
		work     func(look int) int // every 10 seconds
		lasts    time.Duration
		want     error
	}{
		"nothing moves":              {0, func(int) int { return 4 }, timeout, errStalled},
		"nothing moves, and is slow": {60, func(int) int { return 4 }, timeout + time.Minute, errStalled},
		"Pods come and go":           {0, func(look int) int { return 3 + look%2 }, timeout, errStalled},
		"it moves, and stops":        {0, func(look int) int { return 100 - min(look, 6) }, timeout + time.Minute, errStalled},
		"it always moves":            {0, func(look int) int { return 10_000 - look }, longest, errSlow},
		"it is scaled up":            {0, func(look int) int { return 4 + look }, timeout, errStalled},
		"it takes 68 years":          {math.MaxInt32, func(int) int { return 4 }, longest, nil},
		"it takes less than nothing": {-1, func(int) int { return 4 }, timeout, errStalled},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, clock := Pace{Timeout: timeout, MaxDuration: longest}.patience(test.minReady).start(t.Context())
				defer clock.stop()
				begin := time.Now()
				for look := 0; ctx.Err() == nil; look++ {
					clock.left(test.work(look))
					pause(ctx, 10*time.Second)
				}
				if lasted := time.Since(begin); lasted != test.lasts {
					t.Errorf("lasted %s, want %s", lasted, test.lasts)
				}
				if cause := context.Cause(ctx); test.want != nil && !errors.Is(cause, test.want) {
					t.Errorf("ended with %v, want %v", cause, test.want)
				}
				err := clock.explain(ctx, ctx.Err(), "no progress within %s (%s)", "2 of 4 updated replicas are available")
				if !strings.Contains(err.Error(), "2 of 4 updated") {
					t.Errorf("ended with %v", err)
				}
			})
		})
	}
}

// Without a longest duration, a rollout that goes on is waited for.
func TestPatienceWithoutAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, clock := Pace{Timeout: time.Minute}.patience(0).start(t.Context())
		defer clock.stop()
		begin := time.Now()
		for left := 1000; ctx.Err() == nil; left = max(left-1, 0) {
			clock.left(left)
			pause(ctx, 30*time.Second)
		}
		if lasted, cause := time.Since(begin), context.Cause(ctx); lasted < 1000*30*time.Second || !errors.Is(cause, errStalled) {
			t.Errorf("lasted %s, and ended with %v", lasted, cause)
		}
	})
}

// Who interrupts it is told so, and nothing about patience.
func TestPatienceIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	waiting, clock := Pace{Timeout: time.Hour}.patience(0).start(ctx)
	defer clock.stop()
	cancel()
	<-waiting.Done()
	if err := clock.explain(waiting, waiting.Err(), "%s (%s)", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}

// What could not end in time, however healthy, is left out by the plan.
func TestGuardPatience(t *testing.T) {
	slow := func(seconds int32) func(*appsv1.Deployment) {
		return func(d *appsv1.Deployment) { d.Spec.MinReadySeconds = seconds }
	}
	slowly := func(r *appsv1.ReplicaSet) *appsv1.ReplicaSet {
		r.Spec.MinReadySeconds = 30
		return r
	}
	surge := pace(intstr.FromInt32(1), intstr.FromInt32(0))
	for name, test := range map[string]struct {
		object  runtime.Object
		longest time.Duration
		evict   int
		skipped bool
	}{
		"in no time":         {object: deployment(1000, surge), longest: 12 * time.Second},
		"above the timeout":  {object: deployment(2, surge, slow(60)), longest: 6 * time.Minute},
		"to the last second": {object: deployment(6, surge, slow(60)), longest: 6 * time.Minute},
		"a Pod too many":     {object: deployment(7, surge, slow(60)), longest: 6 * time.Minute, skipped: true},
		"two at a time":      {object: deployment(12, pace(intstr.FromInt32(1), intstr.FromInt32(1)), slow(60)), longest: 6 * time.Minute},
		"all at once": {object: deployment(100, func(d *appsv1.Deployment) {
			d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
		}, slow(60)), longest: 6 * time.Minute},
		"for 68 years":              {object: deployment(math.MaxInt32, surge, slow(math.MaxInt32)), longest: time.Hour, skipped: true},
		"less than nothing":         {object: deployment(2, surge, slow(-60)), longest: 12 * time.Second},
		"a StatefulSet, one by one": {object: statefulSet(13, func(s *appsv1.StatefulSet) { s.Spec.MinReadySeconds = 30 }), longest: 6 * time.Minute, skipped: true},
		"a DaemonSet, one by one":   {object: daemonSet(12, func(d *appsv1.DaemonSet) { d.Spec.MinReadySeconds = 30 }), longest: 6 * time.Minute},
		"evicted one by one":        {object: slowly(replicaSet(13)), longest: 6 * time.Minute, evict: 1, skipped: true},
		"evicted two by two":        {object: slowly(replicaSet(13)), longest: 6 * time.Minute, evict: 2},
		"no longest duration":       {object: deployment(1000, surge, slow(3600))},
		"a Pod takes too long":      {object: deployment(2, surge, slow(3601)), skipped: true},
		"a run that waits for ever": {object: deployment(1000, surge, slow(3600)), longest: math.MaxInt64},
	} {
		fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(test.object)
		if err != nil {
			t.Fatal(err)
		}
		opts := Options{Pace: Pace{Timeout: DefaultTimeout, MaxDuration: test.longest}}
		if test.evict > 0 {
			opts.Strategy, opts.Pace.MaxUnavailable = Evict, test.evict
		}
		object := &unstructured.Unstructured{Object: fields}
		w, err := workloadKinds[object.GetKind()].read(fields)
		if err != nil {
			t.Fatal(err)
		}
		d := guardPatience(facts{workload: w}, opts.withDefaults())
		if skipped := d.result == report.Skipped; skipped != test.skipped {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// Less and less is left of a restart, however Pods come and go.
func TestWork(t *testing.T) {
	status := func(updated, there, available int32) *appsv1.Deployment {
		return deployment(2, func(d *appsv1.Deployment) {
			d.Status.UpdatedReplicas, d.Status.Replicas, d.Status.AvailableReplicas = updated, there, available
		})
	}
	before := math.MaxInt
	for i, step := range []*appsv1.Deployment{status(0, 2, 2), status(1, 3, 2), status(1, 2, 2), status(2, 3, 2), status(2, 2, 2)} {
		fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(step)
		if err != nil {
			t.Fatal(err)
		}
		left := work(&unstructured.Unstructured{Object: fields})
		if left >= before {
			t.Errorf("step %d: %d left after %d", i, left, before)
		}
		before = left
	}
	if before != 0 {
		t.Errorf("%d left at the end", before)
	}
}
