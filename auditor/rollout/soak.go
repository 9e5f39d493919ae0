package rollout

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// soakPoll is how often the canaries are looked at.
const soakPoll = 2 * time.Second

// soak watches the canaries for Pace.Soak. One that has failed, becomes
// unavailable, or has a container restarted halts the run.
func (r *run) soak(ctx context.Context, canaries []int) {
	var watched []int
	for _, i := range canaries {
		switch item := r.items[i]; {
		case item.Rollout.Result.Success():
			watched = append(watched, i)
		case item.Rollout.Result.Failure():
			r.halt(fmt.Sprintf("the %s %s is %s", r.first(), refOf(item), item.Rollout.Result))
			return
		}
	}
	if len(watched) == 0 || r.opts.Pace.Soak <= 0 {
		return
	}
	first := map[int]health{}
	for end := time.Now().Add(r.opts.Pace.Soak); ; {
		for _, i := range watched {
			now, err := r.health(ctx, i)
			if err != nil {
				continue // an API server that is away says nothing about the canary
			}
			before, known := first[i]
			if !known {
				first[i], before = now, now
			}
			if trouble := now.worseThan(before); trouble != "" {
				r.canaryFailed(i, trouble)
				return
			}
		}
		left := time.Until(end)
		if left <= 0 || r.stoppedNow(ctx) {
			return
		}
		r.tell(Event{Phase: Soaking, Message: fmt.Sprintf("watching %s for another %s", r.flock(len(watched)), left.Round(time.Second))})
		r.rest(ctx, min(left, soakPoll))
	}
}

// first is what those are that the others wait for.
func (r *run) first() string {
	if len(r.opts.WaveBy) > 0 {
		return "workload"
	}
	return "canary"
}

func (r *run) flock(n int) string {
	switch {
	case n == 1:
		return "the " + r.first()
	case len(r.opts.WaveBy) > 0:
		return fmt.Sprintf("%d workloads of a wave", n)
	}
	return fmt.Sprintf("%d canaries", n)
}

// health is how a canary is.
type health struct {
	gone              bool
	wanted, available int64
	restarts          int32 // of all containers of its Pods
}

// worseThan says what is wrong with a canary; empty if nothing is. Pods that
// are only just wanted, after it was scaled up, are not missed.
func (h health) worseThan(before health) string {
	switch {
	case h.gone:
		return "it was deleted"
	case h.available < min(h.wanted, before.available):
		return fmt.Sprintf("it became unavailable: %d of %d Pods are available", h.available, h.wanted)
	case h.restarts > before.restarts:
		return fmt.Sprintf("its containers were restarted %d times", h.restarts-before.restarts)
	}
	return ""
}

func (r *run) health(ctx context.Context, i int) (health, error) {
	object, err := r.cluster.get(ctx, refOf(r.items[i]))
	if apierrors.IsNotFound(err) {
		return health{gone: true}, nil
	}
	if err != nil {
		return health{}, err
	}
	pods, err := r.cluster.pods(ctx, object)
	if err != nil {
		return health{}, err
	}
	h := health{}
	h.wanted, h.available = availability(object)
	for _, pod := range pods {
		for _, s := range append(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses...) {
			h.restarts += s.RestartCount
		}
	}
	return h, nil
}

func (r *run) canaryFailed(i int, trouble string) {
	r.mu.Lock()
	r.items[i].Rollout.Result, r.items[i].Rollout.Cause = report.Failed, report.CauseCanary
	r.items[i].Rollout.Reason = "rolled out, but while it was watched (--soak) " + trouble
	item := r.items[i]
	r.failures++
	r.mu.Unlock()
	r.halt(fmt.Sprintf("the %s %s did not stay healthy", r.first(), refOf(item)))
	r.tell(Event{Workload: refOf(item), Phase: Finished, Message: item.Rollout.Reason, Result: report.Failed})
}

func (r *run) halt(why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.halted = why
}

func (r *run) stoppedNow(ctx context.Context) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stopped(ctx) != ""
}

// rest waits, but not longer than the run goes on.
func (r *run) rest(ctx context.Context, wait time.Duration) {
	select {
	case <-time.After(wait):
	case <-r.opts.Pace.Drain:
	case <-r.opts.Pace.Yield:
	case <-ctx.Done():
	}
}
