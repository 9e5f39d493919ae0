package rollout

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sidecar-drift/sidecar-drift/internal/kind"
)

// remembersTakenBack is for how long a workload is not restarted again that somebody took a
// restart of back.
const remembersTakenBack = 90 * 24 * time.Hour

// resolved are the options for one workload: where the strategy is Auto, they have the
// least invasive that works, and why says what a restart would not do.
func (o Options) resolved(f facts) (_ Options, why string) {
	if o.Strategy != Auto {
		return o, ""
	}
	evicting, restarting, resizing := o, o, o
	evicting.Strategy, restarting.Strategy, resizing.Strategy = Evict, Restart, Resize
	switch last, _ := f.last(); {
	case f.resize.can() && check(f, resizing) == proceed:
		return resizing, "nothing but CPU and memory of containers that run differs"
	case !f.restarts():
		return evicting, fmt.Sprintf("a %s does not replace its Pods when its template changes", f.kind)
	case f.onDelete:
		return evicting, "its update strategy is OnDelete"
	case f.owner != "" && f.kind != kind.Rollout:
		return evicting, fmt.Sprintf("%s controls it, and may take a change of its template back", f.owner)
	case last.TakenBack != nil && o.now().Sub(*last.TakenBack) < remembersTakenBack:
		return evicting, fmt.Sprintf("its restart at %s was taken back", last.TakenBack.Format(time.RFC3339))
	case f.hangsByLost(restarting):
		return evicting, "a restart would hang by its Pods on " + f.lost.where()
	case f.beside.deadlock != "":
		return evicting, "a restart would hang: " + f.beside.deadlock
	case guardBudgets(f, restarting) != proceed && check(f, evicting) == proceed:
		return evicting, "a restart may make more of its Pods unavailable than its PodDisruptionBudget allows"
	case len(f.targets) < f.pods && check(f, evicting) == proceed:
		return evicting, fmt.Sprintf("only %d of its %d Pods drifted", len(f.targets), f.pods)
	}
	return restarting, ""
}

// choose chooses the strategy for the workload as it is now: that of the plan, if it still works,
// as pace and rights were looked at for that; else the one that does by now, if those allow it.
func (t *task) choose(ctx context.Context, f facts) (decision, error) {
	planned := Strategy(t.item.Rollout.Strategy)
	if t.asked.Strategy != Auto || planned == "" {
		t.opts, _ = t.asked.resolved(f)
		return check(f, t.opts), nil
	}
	t.opts = t.asked
	t.opts.Strategy = planned
	if check(f, t.opts) == proceed && (planned != Restart || f.beside.deadlock == "") {
		return proceed, nil
	}
	if t.opts, _ = t.asked.resolved(f); t.opts.Strategy == planned {
		return check(f, t.opts), nil
	}
	if d := check(f, t.opts); d != proceed {
		return d, nil
	}
	if full := t.room(f.disrupts(t.opts)); full != "" {
		return skip("was planned by %s, and takes %s by now: %s", planned, t.opts.Strategy, full), nil
	}
	denied, err := newAccess(t.cluster).denied(ctx, refOf(t.item), t.opts.Strategy)
	if err != nil || denied == "" {
		return proceed, err
	}
	t.mayNot = true
	return skip("was planned by %s, and takes %s by now: %s", planned, t.opts.Strategy, denied), nil
}

// mayRestart reports whether a workload may be restarted by its template.
func (o Options) mayRestart() bool { return o.Strategy == Restart || o.Strategy == Auto }

// controllerOf names the object that controls the workload; empty without one. An
// operator's is such an owner, as Prometheus of its StatefulSets.
func controllerOf(object *unstructured.Unstructured) string {
	if owner := metav1.GetControllerOfNoCopy(object); owner != nil {
		return sentence(owner.Kind+" "+owner.Name, longestQuote)
	}
	return ""
}
