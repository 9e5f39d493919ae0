package rollout

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/kubectl/pkg/util/podutils"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/internal/kind"
)

// templateGeneration is the label of a DaemonSet's Pods that says which template they have,
// and appsv1.DeprecatedTemplateGeneration the DaemonSet's annotation for that.
const templateGeneration = "pod-template-generation"

// lostPods are a workload's Pods on nodes that are not ready. Nobody can replace them there.
type lostPods struct {
	nodes []string        // sorted
	pods  map[string]bool // by UID
	// only: nothing but these keeps the workload from being as it should be.
	only bool
	live int // Pods that are available elsewhere
	// renewed are those of the nodes where a Pod has the present template.
	renewed []string
}

func (l lostPods) none() bool { return len(l.nodes) == 0 }

// onlySince is only, for a restart that began when some nodes were lost. A new Pod on
// another one is not lost: it may have brought its node down.
func (l lostPods) onlySince(lost []string) bool {
	return l.only && !slices.ContainsFunc(l.renewed, func(node string) bool { return !slices.Contains(lost, node) })
}

func (l lostPods) where() string {
	if len(l.nodes) == 1 {
		return few(l.nodes) + ", which is not ready"
	}
	return few(l.nodes) + ", which are not ready"
}

// lost returns the Pods that the workload has on nodes that are not ready. It asks only
// where the workload's status tells that there may be some.
func (s *surroundings) lost(ctx context.Context, object *unstructured.Unstructured) (lostPods, error) {
	wanted, available := availability(object)
	_, done, _ := status(object)
	misplaced, _ := number(object, "status", "numberMisscheduled")
	if done && misplaced == 0 || object.GetKind() == kind.Rollout {
		return lostPods{}, nil
	}
	away, err := s.away(ctx)
	if err != nil {
		return lostPods{}, err
	}
	if len(away) == 0 || wanted-available > int64(len(away)) && object.GetKind() == kind.DaemonSet {
		return lostPods{}, nil
	}
	pods, err := s.cluster.pods(ctx, object)
	if err != nil && ends(ctx, err) {
		return lostPods{}, err
	}
	return lostOf(object, pods, away), nil
}

// away are the nodes that are not ready.
func (s *surroundings) away(ctx context.Context) (map[string]bool, error) {
	nodes, _, err := s.read(ctx)
	away := map[string]bool{}
	for _, node := range nodes {
		if !slices.Contains(node.Status.Conditions, corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionTrue}) {
			away[node.Name] = true
		}
	}
	return away, err
}

// lostOf are those of a workload's Pods that are on nodes that are away.
func lostOf(object *unstructured.Unstructured, pods []corev1.Pod, away map[string]bool) lostPods {
	wanted, available := availability(object)
	observed, _ := number(object, "status", "observedGeneration")
	minReady, _ := number(object, "spec", "minReadySeconds")
	generation := object.GetAnnotations()[appsv1.DeprecatedTemplateGeneration]
	l := lostPods{pods: map[string]bool{}, only: observed >= object.GetGeneration()}
	nodes, renewed, there := map[string]bool{}, map[string]bool{}, 0
	for i := range pods {
		pod := &pods[i]
		old := !onDelete(object) && pod.Labels[templateGeneration] != generation
		if away[pod.Spec.NodeName] {
			nodes[pod.Spec.NodeName], l.pods[string(pod.UID)] = true, true
			if !goes(pod) {
				there++
			}
			if !old {
				renewed[pod.Spec.NodeName] = true
			}
			continue
		}
		fine := !goes(pod) && podutils.IsPodAvailable(pod, int32(minReady), metav1.Now())
		if fine {
			l.live++
		}
		if object.GetKind() == kind.DaemonSet && (!fine || old) {
			l.only = false
		}
	}
	l.nodes, l.renewed = slices.Sorted(maps.Keys(nodes)), slices.Sorted(maps.Keys(renewed))
	if object.GetKind() == kind.DaemonSet {
		misplaced, _ := number(object, "status", "numberMisscheduled") // there, too, and not among those that are wanted
		l.only = l.only && l.live+len(l.nodes) >= int(wanted+misplaced)
	} else { // a node's Pods are created anew elsewhere, as soon as they are given up
		unhealthy, _ := healthOf(object)
		l.only = unhealthy && there >= int(wanted-available)
	}
	l.only = l.only && len(l.nodes) > 0
	return l
}

// reachable are the targets but for those of a DaemonSet that are on nodes that are not ready.
func (f facts) reachable() []report.PodRef {
	if f.lost.none() || !f.inPlace {
		return f.targets
	}
	return slices.DeleteFunc(slices.Clone(f.targets), func(p report.PodRef) bool { return f.lost.pods[p.UID] })
}

// guardLost keeps a DaemonSet from being rolled out for what is on nodes that are not
// ready, or by an update that those would stop.
func guardLost(f facts, o Options) decision {
	if f.lost.none() || !f.inPlace {
		return proceed
	}
	switch {
	case len(f.targets) > 0 && len(f.reachable()) == 0 && o.Strategy == Resize:
		return skip("the Pods that are to be resized are on %s: repair the node, or delete it", f.lost.where())
	case len(f.targets) > 0 && len(f.reachable()) == 0:
		return skip("the Pods that are to be re-created are on %s: repair the node, or delete it", f.lost.where())
	case f.hangsByLost(o):
		return skip("a restart would hang: its Pods on %s, take up all that its update strategy lets be unavailable (%d): "+
			"--strategy evict, raise that, or repair or delete the node", f.lost.where(), f.batch)
	}
	return proceed
}

// hangsByLost: the controller counts what is lost as unavailable, and takes no other Pod then.
func (f facts) hangsByLost(o Options) bool {
	return f.inPlace && !f.onDelete && o.Strategy == Restart && len(f.lost.nodes) >= f.batch
}

// keep says what the Pods on lost nodes have after a rollout.
func (l lostPods) keep() string {
	return fmt.Sprintf("its Pods on %s, keep what they have until it is back", l.where())
}

// kept adds to a reason what the Pods on lost nodes have after a rollout, of those that are
// not back by then.
func (t *task) kept(ctx context.Context, l lostPods, reason string) string {
	if l.none() {
		return reason
	}
	if away, err := newSurroundings(t.cluster, 0).away(ctx); err == nil {
		l.nodes = slices.DeleteFunc(slices.Clone(l.nodes), func(node string) bool { return !away[node] })
	}
	if l.none() {
		return reason
	}
	return strings.TrimPrefix(reason+"; "+l.keep(), "; ")
}

// enough reports whether a DaemonSet is rolled out as far as it can be, now that some of
// its nodes are not ready. It is asked of each version of one, and looks at the Pods only
// where no other node can lack a new one.
func (s *surroundings) enough(ctx context.Context, object *unstructured.Unstructured) (lostPods, bool) {
	if object.GetKind() != kind.DaemonSet {
		return lostPods{}, false
	}
	away, err := s.away(ctx)
	wanted, _ := availability(object)
	updated, _ := number(object, "status", "updatedNumberScheduled")
	observed, _ := number(object, "status", "observedGeneration")
	if err != nil || observed < object.GetGeneration() || !onDelete(object) && updated < wanted-int64(len(away)) {
		return lostPods{}, false
	}
	l, err := s.lost(ctx, object)
	return l, err == nil && l.only
}

// lostBy are the Pods that a rollout could not replace where they are.
func lostBy(r recreation) lostPods {
	switch by := r.(type) {
	case *restart:
		return by.lost
	case *eviction:
		return by.lost
	case *resizing:
		return by.lost
	}
	return lostPods{}
}
