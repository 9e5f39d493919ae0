package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec"
)

// resizing gives the targets their amounts, one Pod after the other, and waits for each
// kubelet. No Pod goes, and no container is restarted.
type resizing struct {
	cluster *cluster
	pace    Pace
	targets []report.PodRef
	wanted  map[string]amounts // by UID
	// hurried: what has no room now is not waited for, as there is another way.
	hurried bool
	away    func(context.Context) (map[string]bool, error) // nodes that are not ready
	lost    lostPods                                       // which are no targets, or are none any more

	others map[string]bool // UIDs of Pods that are no targets
	done   map[string]bool // UIDs of those that were resized
}

// resizeError is that a Pod cannot be resized. It has again what it had.
type resizeError struct {
	reason string
	// refused: by the API server, and not one Pod was resized.
	refused bool
	// untouched: each Pod has what it had.
	untouched bool
	// lost is the Pod's node, which is not ready: nobody resizes the Pod there.
	lost string
	left []report.PodRef
}

func (e *resizeError) Error() string { return e.reason }

func (r *resizing) begin(ctx context.Context, workload *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	targets := uids(r.targets)
	r.others, r.done = map[string]bool{}, map[string]bool{}
	return workload, r.cluster.eachPod(ctx, workload, func(pod *corev1.Pod) {
		if !targets[string(pod.UID)] {
			r.others[string(pod.UID)] = true
		}
	})
}

func (r *resizing) fresh(pod *corev1.Pod) bool { return r.done[string(pod.UID)] }

func (r *resizing) noneFresh() string { return "" }

func (r *resizing) untouched() map[string]bool { return r.others }

func (r *resizing) finish(ctx context.Context, begun *unstructured.Unstructured, waiting func(string)) error {
	within, clock := r.pace.patience(0).start(ctx)
	defer clock.stop()
	for i, target := range r.targets {
		left := len(r.targets) - i
		clock.left(left)
		last := "Pod " + target.Name
		unfit, err := r.resize(ctx, within, begun.GetNamespace(), target, func(message string) {
			last = fmt.Sprintf("Pod %s waits for %s", target.Name, quote(message))
			waiting(fmt.Sprintf("%d Pods left to resize; %s", left, last))
		})
		switch {
		case errors.Is(err, errSlow):
			return fmt.Errorf("%w: more than %s (%s)", errSlow, clock.patience.whole, last)
		case err != nil && ctx.Err() == nil:
			return clock.explain(within, err, "no progress within %s (%s)", last)
		case err != nil:
			return err
		case unfit != nil && unfit.lost != "" && unfit.untouched:
			r.leave(target, unfit.lost)
			continue
		case unfit != nil:
			unfit.reason = fmt.Sprintf("Pod %s %s", target.Name, unfit.reason)
			unfit.refused, unfit.untouched = unfit.refused && len(r.done) == 0, (unfit.refused || unfit.untouched) && len(r.done) == 0
			unfit.left = r.targets[i:]
			return unfit
		}
		r.done[target.UID] = true
	}
	if len(r.done) == 0 && !r.lost.none() {
		return &resizeError{reason: "its Pods that were to be resized are on " + r.lost.where(), untouched: true, lost: r.lost.nodes[0], left: r.targets}
	}
	return nil
}

// leave leaves a Pod alone whose node was lost.
func (r *resizing) leave(target report.PodRef, node string) {
	nodes := append(slices.Clone(r.lost.nodes), node)
	slices.Sort(nodes)
	r.lost.nodes, r.others[target.UID] = slices.Compact(nodes), true
}

// resize resizes one Pod, and says why it could not be. One that is gone needs nothing: what
// comes in its place is fresh. What is waited for ends with within, what is put back with ctx.
func (r *resizing) resize(ctx, within context.Context, namespace string, target report.PodRef, waiting func(string)) (*resizeError, error) {
	want := r.wanted[target.UID]
	asked, unfit, err := r.ask(ctx, within, namespace, target, waiting)
	if asked == nil {
		return unfit, err
	}
	pod, generation := asked.pod, asked.pod.Generation
	for {
		state, message := want.progress(pod, generation)
		if state == inForce {
			return nil, nil
		}
		waiting(message)
		if away, err := r.away(within); err == nil && away[pod.Spec.NodeName] && state == underWay {
			back, whole := r.putBack(ctx, namespace, target, asked.before, asked.news)
			return &resizeError{reason: "is on " + (lostPods{nodes: []string{pod.Spec.NodeName}}).where() + back, untouched: whole, lost: pod.Spec.NodeName}, nil
		}
		gaveUp := state == infeasible || state == deferred && r.hurried
		if !gaveUp && pause(within, evictionPoll) {
			next, err := r.cluster.pod(within, namespace, target)
			switch {
			case err == nil && next == nil:
				return nil, nil
			case err == nil:
				pod = next
			case !mayPass(err):
				return nil, err
			}
			continue
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		back, whole := r.putBack(ctx, namespace, target, asked.before, asked.news)
		patience := r.pace.patience(0)
		if !gaveUp && (errors.Is(context.Cause(within), errSlow) || patience.step == patience.whole) { // both ended at once
			waiting(message + back)
			return nil, errSlow
		}
		if !gaveUp {
			message = fmt.Sprintf("%s, within %s", message, patience.step)
		}
		return &resizeError{reason: "could not be resized (" + quote(message) + ")" + back, untouched: whole}, nil
	}
}

// asking is a resize that the API server has granted.
type asking struct {
	pod    *corev1.Pod // as it answered
	before amounts     // what the Pod had
	news   int         // see had
}

// ask has the API server grant a resize, and asks again for as long as it only has no answer
// now. It returns nil without an error where the Pod is gone.
func (r *resizing) ask(ctx, within context.Context, namespace string, target report.PodRef, waiting func(string)) (*asking, *resizeError, error) {
	want := r.wanted[target.UID]
	var a asking
	unclear := false // whether the Pod was resized
	for {
		pod, err := r.cluster.pod(within, namespace, target)
		switch {
		case err == nil && pod == nil:
			return nil, nil, nil
		case err == nil:
			if why := want.unfit(pod); why != "" {
				return nil, &resizeError{reason: "has changed since the audit: " + why}, nil
			}
			if !unclear {
				a.before, a.news = want.had(pod)
			}
			if a.pod, err = r.cluster.resize(within, namespace, target, want); err == nil {
				return &a, nil, nil
			}
			if forbids(err) {
				return nil, r.forbidden(within, namespace, target, err), nil
			}
			unclear = unclear || !refused(err)
		}
		if asksAgain(err) {
			waiting(err.Error())
			if pause(within, evictionPoll) {
				continue
			}
		}
		if unclear && ctx.Err() == nil {
			back, _ := r.putBack(ctx, namespace, target, a.before, a.news)
			waiting(err.Error() + back)
		}
		return nil, nil, err
	}
}

// forbids reports whether an error is the final answer to a resize: of validation, of our
// rights, of a quota or policy, or of a webhook, whose denial is a bad request if it gives
// no code.
func forbids(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err)
}

// asksAgain reports whether another answer may come: the API server is busy, or away, or the
// Pod has changed, or is gone, which the next look tells.
func asksAgain(err error) bool {
	return apierrors.IsTooManyRequests(err) || apierrors.IsConflict(err) || apierrors.IsNotFound(err) || mayPass(err) && !refused(err)
}

// forbidden is a refusal; nil if it is that of a namesake, as the Pod is gone.
func (r *resizing) forbidden(ctx context.Context, namespace string, target report.PodRef, refusal error) *resizeError {
	if pod, err := r.cluster.pod(ctx, namespace, target); err == nil && pod == nil {
		return nil
	}
	return &resizeError{reason: fmt.Sprintf("was refused: %v", refusal), refused: true}
}

// putBack gives a Pod what it had, so that the next audit sees that it still differs, and
// says how that went; whole: it has all of that again, and nothing else.
func (r *resizing) putBack(ctx context.Context, namespace string, target report.PodRef, before amounts, news int) (how string, whole bool) {
	if len(before) > 0 {
		if _, err := r.cluster.resize(ctx, namespace, target, before); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Sprintf(", and could not be given back what it had: %v", err), false
		}
	}
	if news > 0 {
		return ", and keeps the amounts that it had none of in its spec, which no API server takes away", false
	}
	return ", and has again what it had", true
}

// pod reads a Pod; nil if it is gone, or about to go.
func (c *cluster) pod(ctx context.Context, namespace string, ref report.PodRef) (*corev1.Pod, error) {
	pod, err := c.objects.CoreV1().Pods(namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && (string(pod.UID) != ref.UID || pod.DeletionTimestamp != nil) {
		return nil, nil
	}
	return pod, err
}

// resize asks for a resize of the very Pod.
func (c *cluster) resize(ctx context.Context, namespace string, ref report.PodRef, to amounts) (*corev1.Pod, error) {
	body, err := to.patch(ref.UID)
	if err != nil {
		return nil, err
	}
	return c.objects.CoreV1().Pods(namespace).Patch(ctx, ref.Name, types.StrategicMergePatchType, body, metav1.PatchOptions{FieldManager: podspec.Resizer}, "resize")
}

// servesResize reports whether the API server has the subresource.
func (c *cluster) servesResize() (bool, error) {
	list, err := c.objects.Discovery().ServerResourcesForGroupVersion("v1")
	if err != nil {
		return false, fmt.Errorf("find out what the API server serves: %w", err)
	}
	return slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == "pods/resize" }), nil
}

// inPlace looks whether the workload's Pods can be resized, those that are meant.
func (c *cluster) inPlace(ctx context.Context, workload *unstructured.Unstructured, item report.Item, targets []report.PodRef) (inPlace, error) {
	found := amountsOf(item, targets)
	if !found.can() {
		return found, nil
	}
	served, err := c.resizes()
	if err != nil {
		return inPlace{}, err
	}
	if !served {
		return inPlace{why: "the API server has no pods/resize (Kubernetes 1.33 or later)"}, nil
	}
	var why []string
	err = c.eachPod(ctx, workload, func(pod *corev1.Pod) {
		if want, meant := found.pods[string(pod.UID)]; meant && pod.DeletionTimestamp == nil {
			if unfit := want.unfit(pod); unfit != "" {
				why = append(why, unfit)
			}
		}
	})
	if err != nil {
		return inPlace{}, fmt.Errorf("its Pods could not be listed: %w", err)
	}
	if len(why) > 0 {
		return inPlace{why: slices.Min(why)}, nil
	}
	return found, nil
}

// resizing looks whether a workload's Pods can be resized, where that may be chosen.
func (p *planner) resizing(ctx context.Context, object *unstructured.Unstructured, item report.Item, f facts) (inPlace, error) {
	if p.opts.Strategy != Auto && p.opts.Strategy != Resize {
		return inPlace{}, nil
	}
	if p.opts.Strategy == Auto && amountsOf(item, f.reachable()).can() {
		denied, err := p.denied(ctx, refOf(item), Resize)
		if err != nil || denied != "" {
			return inPlace{why: denied}, err
		}
	}
	return p.cluster.inPlace(ctx, object, item, f.reachable())
}

// resizing is that for a workload that is about to be begun with: where the strategy may be
// chosen, what the plan has chosen may be.
func (t *task) resizing(ctx context.Context, object *unstructured.Unstructured, f facts) (inPlace, error) {
	if t.asked.Strategy == Resize || t.asked.Strategy == Auto && t.item.Rollout.Strategy == string(Resize) {
		return t.cluster.inPlace(ctx, object, t.item, f.reachable())
	}
	return inPlace{}, nil
}

func resizeRight(namespace string) authorizationv1.ResourceAttributes {
	return authorizationv1.ResourceAttributes{Namespace: namespace, Verb: "patch", Version: "v1", Resource: "pods", Subresource: "resize"}
}

// leastRest of a workload's longest duration is worth to begin to re-create its Pods.
const leastRest = 30 * time.Second

// recreateInstead goes on, where the strategy may be chosen, by the one that comes next with
// Pods that could not be resized. It returns what became of that, or why it was not begun
// with.
func (t *task) recreateInstead(ctx context.Context, b begun, unfit *resizeError) (begun, decision, error) {
	asked := t.opts
	end := func(format string, args ...any) decision {
		t.opts = asked
		text := unfit.reason + fmt.Sprintf(format, args...)
		if unfit.refused || unfit.untouched && (t.mayNot || unfit.lost != "") {
			return skip("not started, as %s", text)
		}
		return failed("%s", text)
	}
	if t.asked.Strategy != Auto {
		return b, end(": --strategy auto, evict or restart re-creates its Pods"), nil
	}
	if t.drained() && unfit.untouched {
		t.opts = asked
		return b, skip("not started, as %s; its Pods were not re-created, as %s", unfit.reason, t.drainedBy()), nil
	}
	if t.drained() {
		return b, end("; its Pods were not re-created, as %s", t.drainedBy()), nil
	}
	if rest := t.pace(b.at); rest.MaxDuration > 0 && rest.MaxDuration < leastRest {
		return b, decision{report.Interrupted, unfit.reason + "; its Pods were not re-created, as hardly any time is left of --max-duration: " + asked.GoesOn + " goes on with it"}, nil
	}
	t.item.Rollout.Strategy = "" // which is not to be chosen again
	return t.goOn(ctx, b, instead{
		event: "Re-create what could not be resized", reason: unfit.reason,
		end:  func(why string) decision { return end("; its Pods were not re-created%s", why) },
		stay: func() { t.opts = asked },
		by: func(f facts) (recreation, error) {
			if t.opts.Strategy == Evict {
				f.targets = among(f.targets, unfit.left)
			}
			note, err := lastRollout{Digest: f.digest, Time: t.opts.now(), Result: report.Interrupted, TakenBack: b.takenBack}.annotation()
			t.opts.Pace = t.pace(b.at)
			return t.recreation(f, note), err
		},
	})
}

// convergedInPlace judges the audit of a workload whose Pods were resized: what is spent is
// left as it was.
func convergedInPlace(item report.Item, opts Options, untouched map[string]bool) outcome {
	if revision, ok := unjudged(item, verdict.Unstable); ok {
		return outcome{decision: failed("resized, but cannot be verified, as it is now %s: %s", revision.State, orElse(revision.Reason, "the audit gives no reason"))}
	}
	all := opts.Select.differences(item)
	left, _ := newPods(item, untouched)
	changes, why := verdict.Unspent(all), ""
	if opts.Select.onlySpent(item) {
		why = fmt.Sprintf("what is spent stays as it is: %s", places(all))
	}
	switch {
	case !item.State.Drift() || len(changes) == 0:
		return outcome{decision: decision{report.Resized, why}}
	case len(untouched) > 0 && len(left) == 0:
		return outcome{decision: decision{report.Resized, "Pods that were not to be resized still drift: left as they are"}}
	}
	return outcome{decision: decision{report.NotConverging, fmt.Sprintf("resized, yet still %s at %s: left alone until injection changes; --retry tries again",
		item.State, places(changes))}}
}
