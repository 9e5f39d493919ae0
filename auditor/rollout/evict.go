package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/kubectl/pkg/util/podutils"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// eviction evicts the targets, a few at a time, and waits for each to be
// replaced. The workload itself stays as it is.
type eviction struct {
	cluster *cluster
	pace    Pace
	targets []report.PodRef
	// unhealthy has Pods go first that are not available, however many others are not.
	unhealthy bool
	// lost are Pods of a DaemonSet that nobody can replace where they are.
	lost lostPods

	before  map[string]bool // UIDs of the Pods that were there first
	evicted int             // evictions that were granted
	// full counts refusals, one after the other, by a budget that wanted as
	// many Pods healthy as there were.
	full int
	// budgeted: the last eviction that was asked for was refused by a budget.
	budgeted bool
}

// without leaves lost Pods alone.
func (e *eviction) without(lost lostPods) *eviction {
	e.lost = lost
	e.targets = slices.DeleteFunc(slices.Clone(e.targets), func(p report.PodRef) bool { return lost.pods[p.UID] })
	return e
}

func (e *eviction) begin(ctx context.Context, workload *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	pods, err := e.cluster.pods(ctx, workload)
	if err != nil {
		return nil, err
	}
	e.before = map[string]bool{}
	for _, pod := range pods {
		e.before[string(pod.UID)] = true
	}
	return workload, nil
}

func (e *eviction) fresh(pod *corev1.Pod) bool { return !e.before[string(pod.UID)] }

// noneFresh: an eviction that nothing allowed says so itself.
func (e *eviction) noneFresh() string { return "" }

func (e *eviction) untouched() map[string]bool {
	others := map[string]bool{}
	targets := uids(e.targets)
	for uid := range e.before {
		if !targets[uid] {
			others[uid] = true
		}
	}
	return others
}

const (
	// evictionPoll is how often the Pods of a workload are looked at.
	evictionPoll = time.Second
	// deadlockRefusals are after how many refusals in a row, some seven seconds
	// with all Pods available, a full budget is taken for one that stays so.
	deadlockRefusals = 4
	// longestRefusal is the longest pause after a PodDisruptionBudget's refusal.
	longestRefusal = 15 * time.Second
)

// deniedError is that not even the first Pod could be evicted, for good.
type deniedError struct{ error }

func (e *deniedError) Unwrap() error { return e.error }

// finish evicts one Pod after the other. The timeout begins anew with each Pod
// that goes or is replaced: a big workload takes its time.
func (e *eviction) finish(ctx context.Context, begun *unstructured.Unstructured, waiting func(string)) error {
	minReady, _ := number(begun, "spec", "minReadySeconds")
	ctx, clock := e.pace.patience(int(minReady)).start(ctx)
	defer clock.stop()
	var last string
	err := e.evictAll(ctx, begun, func(left int) {
		clock.left(left)
	}, func(message string) {
		last = message
		waiting(message)
	})
	return clock.explain(ctx, err, "no progress within %s (%s)", last)
}

// evictAll tells how much is left to be done.
func (e *eviction) evictAll(ctx context.Context, begun *unstructured.Unstructured, left func(int), waiting func(string)) error {
	var refusal time.Duration // the pause after the last refusal
	for {
		seen, err := e.observe(ctx, begun)
		if err != nil && !mayPass(err) {
			return err
		}
		var waitingFor string
		wait := evictionPoll
		switch {
		case err != nil:
			waitingFor = err.Error()
		case seen.done():
			return nil
		case len(seen.remaining) > 0 && (seen.unavailable < e.pace.MaxUnavailable || e.unhealthy && seen.down[seen.remaining[0].UID]):
			if waitingFor, err = e.evict(ctx, begun, seen.remaining[0]); err != nil {
				return err
			}
			if waitingFor == "" {
				refusal, e.full = 0, 0
				continue // another may follow at once
			}
			refusal = min(max(2*refusal, evictionPoll), longestRefusal)
			wait = refusal
		default:
			waitingFor, e.full = seen.message, 0
		}
		if ctx.Err() != nil { // which is no reason of a workload's
			return ctx.Err()
		}
		if err == nil {
			left(len(seen.remaining) + seen.unavailable)
		}
		waiting(fmt.Sprintf("%d Pods left to evict; %s", len(seen.remaining), quote(waitingFor)))
		if !pause(ctx, wait) {
			return ctx.Err()
		}
	}
}

// mayPass reports whether an error may be gone at the next attempt, as that of an
// API server that is away.
func mayPass(err error) bool {
	return !errors.Is(err, errGone) && !errors.Is(err, context.Canceled) &&
		!apierrors.IsForbidden(err) && !apierrors.IsUnauthorized(err)
}

// scene is how far an eviction is.
type scene struct {
	remaining   []report.PodRef // targets still to be evicted
	down        map[string]bool // UIDs of Pods that are not available
	unavailable int             // Pods that the workload wants and that are not available
	settled     bool
	message     string // what is waited for
}

func (s scene) done() bool { return len(s.remaining) == 0 && s.unavailable == 0 && s.settled }

// observe reads the workload and its Pods.
func (e *eviction) observe(ctx context.Context, begun *unstructured.Unstructured) (scene, error) {
	object, err := e.cluster.get(ctx, refTo(begun))
	if apierrors.IsNotFound(err) || err == nil && object.GetUID() != begun.GetUID() {
		return scene{}, errGone
	}
	if err != nil {
		return scene{}, err
	}
	pods, err := e.cluster.pods(ctx, object)
	if err != nil {
		return scene{}, err
	}
	w, err := workloadKinds[object.GetKind()].read(object.Object)
	if err != nil {
		return scene{}, err
	}
	minReady, _ := number(object, "spec", "minReadySeconds")
	available, wanted := 0, w.replicas
	if !e.lost.none() {
		wanted = e.lost.live
	}
	there, down := map[string]bool{}, map[string]bool{}
	for i := range pods {
		if pods[i].DeletionTimestamp != nil || e.lost.pods[string(pods[i].UID)] {
			continue
		}
		there[string(pods[i].UID)] = true
		if podutils.IsPodAvailable(&pods[i], int32(minReady), metav1.Now()) {
			available++
		} else {
			down[string(pods[i].UID)] = true
		}
	}
	s := scene{unavailable: max(wanted-available, 0), down: down}
	for _, target := range e.targets {
		if there[target.UID] {
			s.remaining = append(s.remaining, target)
		}
	}
	if e.unhealthy {
		slices.SortStableFunc(s.remaining, func(a, b report.PodRef) int {
			switch {
			case down[a.UID] == down[b.UID]:
				return 0
			case down[a.UID]:
				return -1
			}
			return 1
		})
	}
	if s.message, s.settled, err = status(object); err != nil {
		return scene{}, err
	}
	if !e.lost.none() {
		s.settled = true // as far as it can be
	}
	if s.unavailable > 0 {
		s.message = fmt.Sprintf("waiting for %d Pods to be available", s.unavailable)
	}
	return s, nil
}

// evict asks for one eviction. It returns what refused it for now, or an error
// if it can never be.
func (e *eviction) evict(ctx context.Context, workload *unstructured.Unstructured, pod report.PodRef) (blocked string, err error) {
	err = e.cluster.evict(ctx, workload.GetNamespace(), pod)
	e.budgeted = apierrors.IsTooManyRequests(err)
	switch {
	case err == nil:
		e.evicted++
		return "", nil
	case apierrors.IsNotFound(err):
		return "", nil
	case apierrors.IsConflict(err): // it, or its namesake, is to be looked at again
		return fmt.Sprintf("Pod %s, which has just changed", pod.Name), nil
	case apierrors.IsTooManyRequests(err):
		return e.refusedBy(ctx, workload, err)
	case e.evicted == 0 && (apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err)):
		return "", &deniedError{fmt.Errorf("evict Pod %s: %w", pod.Name, err)}
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsInternalError(err) && strings.Contains(err.Error(), "more than one PodDisruptionBudget"):
		return "", fmt.Errorf("evict Pod %s: %w", pod.Name, err)
	}
	return err.Error(), nil
}

// refusedBy names the budget that refused, which is an error if it can never
// allow an eviction: waiting would not help.
func (e *eviction) refusedBy(ctx context.Context, workload *unstructured.Unstructured, refusal error) (string, error) {
	budgets, unknown := e.cluster.budgets(ctx, workload.GetNamespace())
	if unknown != nil {
		budgets = nil // then the refusal itself must do
	}
	w, err := workloadKinds[workload.GetKind()].read(workload.Object)
	if err != nil {
		return "", err
	}
	for _, b := range budgets {
		switch {
		case !b.selector.Matches(w.template):
		case b.never:
			return "", errors.New(b.deadlock())
		case b.full:
			if e.full++; e.full >= deadlockRefusals {
				return "", errors.New(b.deadlock())
			}
			return "PodDisruptionBudget " + b.name, nil
		case b.allows == 0:
			e.full = 0
			return "PodDisruptionBudget " + b.name, nil
		}
	}
	return refusal.Error(), nil
}
