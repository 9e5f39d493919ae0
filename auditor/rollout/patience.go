package rollout

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sidecar-drift/sidecar-drift/internal/kind"
)

// longestReady is how many times Pace.Timeout minReadySeconds may be, in which no progress
// can be seen: a workload holds a seat that others wait for.
const longestReady = 12

var (
	errStalled = errors.New("no progress")
	errSlow    = errors.New("takes long")
)

// patience is how long a workload's rollout is waited for: step without any
// progress, whole in all.
type patience struct{ step, whole time.Duration }

// patience with a workload. A Pod counts as available only after minReadySeconds,
// during which nothing is seen of it.
func (p Pace) patience(minReadySeconds int) patience {
	whole := p.whole()
	step := p.Timeout + min(seconds(minReadySeconds), math.MaxInt64-p.Timeout)
	return patience{step: min(step, whole), whole: whole}
}

// whole is how long one workload may take.
func (p Pace) whole() time.Duration {
	if p.MaxDuration > 0 {
		return p.MaxDuration
	}
	return math.MaxInt64
}

func seconds(n int) time.Duration { return time.Duration(max(n, 0)) * time.Second }

// least is the time that a rollout takes at least: minReadySeconds, again and
// again until the last Pods are available. The largest that a Duration holds
// stands for what is longer.
func (w workload) least(o Options) time.Duration {
	if o.Strategy == Resize {
		return 0
	}
	rounds := math.Ceil(float64(w.replicas) / float64(max(w.atOnce(o), 1)))
	if nanoseconds := rounds * float64(seconds(w.minReadySeconds)); nanoseconds < math.MaxInt64 {
		return time.Duration(nanoseconds)
	}
	return math.MaxInt64
}

// atOnce is how many Pods are replaced at the same time.
func (w workload) atOnce(o Options) int {
	if o.Strategy == Evict {
		return o.Pace.MaxUnavailable
	}
	return w.batch
}

// clock ends a wait when patience does.
type clock struct {
	patience
	end   context.CancelCauseFunc
	whole *time.Timer

	mu    sync.Mutex
	step  *time.Timer
	least int // work left at the best moment so far; less than 0: not known
}

// start returns a context that ends with one of errStalled and errSlow as its
// cause, unless stop is called first.
func (p patience) start(ctx context.Context) (context.Context, *clock) {
	ctx, end := context.WithCancelCause(ctx)
	c := &clock{patience: p, end: end, least: -1}
	c.whole = time.AfterFunc(p.whole, func() { end(errSlow) })
	c.step = time.AfterFunc(p.step, func() { end(errStalled) })
	return ctx, c
}

func (c *clock) stop() {
	c.whole.Stop()
	c.step.Stop()
	c.end(context.Canceled)
}

// left tells how much is left to be done. Only less than ever before is
// progress: Pods that come and go make none.
func (c *clock) left(work int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.least >= 0 && work >= c.least {
		return
	}
	c.least = work
	c.step.Reset(c.patience.step)
}

// again has work that was done before count anew.
func (c *clock) again() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.least = -1
}

// explain turns the end of a wait into an error that says what was waited for;
// stalled has places for how long without progress, and for that.
func (c *clock) explain(ctx context.Context, err error, stalled, last string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(context.Cause(ctx), errStalled):
		return fmt.Errorf(stalled, c.patience.step, last)
	case errors.Is(context.Cause(ctx), errSlow):
		return fmt.Errorf("%w: more than %s (%s)", errSlow, c.patience.whole, last)
	}
	return err
}

// work is how much of a rollout is left: Pods that have not been created, Pods
// that are still to go, and Pods that are not available.
func work(object *unstructured.Unstructured) int {
	wanted, available := availability(object)
	updated, there := wanted, wanted
	switch object.GetKind() {
	case kind.DaemonSet:
		updated, _ = number(object, "status", "updatedNumberScheduled")
		there = max(wanted, updated)
	case kind.ReplicaSet:
		there, _ = number(object, "status", "replicas")
		updated = there
	case kind.Rollout: // its restart replaces Pods of one revision
	default:
		updated, _ = number(object, "status", "updatedReplicas")
		there, _ = number(object, "status", "replicas")
	}
	return int(max(wanted-updated, 0) + max(there-updated, 0) + max(wanted-available, 0))
}
