package rollout

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	schedulingv1 "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

// beside is whether a new Pod can start while the old ones run, of a workload of which none
// goes before. The zero value says that nothing is in the way.
type beside struct {
	// deadlock says why none can; empty if one may.
	deadlock string
	// doubts are why perhaps none can, and what could not be found out.
	doubts []string
}

// crowd is the Pods that run of a workload, all alike, and what is read about where they are.
type crowd struct {
	namespace string
	labels    labels.Set
	spec      *corev1.PodSpec // placed, and not nil
	onNodes   []string        // of the Pods that run
	sameNode  bool            // a new Pod comes to the node of the one it replaces
	nodes     []corev1.Node
	claims    map[string]claim
	unknown   []string // what could not be read
	differing differing
}

// claim is a PersistentVolumeClaim.
type claim struct {
	onePod  bool // ReadWriteOncePod
	oneNode bool // ReadWriteOnce
}

// judge says whether one more Pod can start.
func (c crowd) judge() beside {
	var b beside
	t := exclusiveOf(c.spec)
	for _, name := range c.unknown {
		b.doubts = append(b.doubts, notChecked(name))
	}
	for _, name := range t.claims {
		if c.claims[name].onePod && len(c.onNodes) > 0 { // which the kubelet sees to, too, whoever schedules
			b.hangs(fmt.Sprintf("claim %s is ReadWriteOncePod, and an old one uses it", name), c.differing.claims)
		}
	}
	if b.deadlock != "" {
		return b
	}
	terms, unsure := c.apart(t)
	switch {
	case !c.contends(t) || len(c.onNodes) == 0:
		return b
	case !schedules(c.spec):
		b.doubts = append(b.doubts, notChecked("scheduler "+c.spec.SchedulerName+" places its Pods"))
		return b
	case c.nodes == nil:
		return b
	}
	b.doubts = append(b.doubts, unsure...)
	fit, free := c.free(t.ports, terms)
	switch {
	case len(fit) == 0:
		b.doubts = append(b.doubts, "no node takes a Pod like its own now (its nodeSelector, affinity and tolerations; cordoned nodes): a new one waits until one does")
	case len(free) == 0:
		full := c.full(fit, t.ports, terms)
		if by := c.grows(fit); by != "" {
			b.doubts = append(b.doubts, fmt.Sprintf("%s: unless a node is added, which may be by %s, no new Pod can start", full, by))
		} else {
			otherwise := c.differing.placement
			if len(t.ports) > 0 {
				otherwise = orElse(c.differing.ports, otherwise)
			}
			b.hangs(full, otherwise)
		}
	default:
		b.doubts = append(b.doubts, c.attached(t.claims, free)...)
		if len(t.ports) > 0 && !c.sameNode {
			b.doubts = append(b.doubts, fmt.Sprintf("takes port %s of a node: of %d nodes that fit, %d have no Pod of it, and others' Pods may have that port there",
				few(t.ports), len(fit), len(free)))
		}
	}
	return b
}

// hangs notes what keeps a Pod like the old ones from starting: a deadlock, unless fresh ones
// differ in that.
func (b *beside) hangs(why, otherwise string) {
	if otherwise == "" {
		b.deadlock = orElse(b.deadlock, why)
		return
	}
	b.doubts = append(b.doubts, fmt.Sprintf("%s: unless it is otherwise with fresh Pods, which differ (%s), none can start", why, otherwise))
}

// contends reports whether it matters where the old Pods are.
func (c crowd) contends(t exclusive) bool {
	terms, unsure := c.apart(t)
	return len(t.ports)+len(terms)+len(unsure) > 0 || slices.ContainsFunc(t.claims, func(name string) bool { return c.claims[name].oneNode })
}

// byNodes reports whether nodes are to be known for the judgement.
func (c crowd) byNodes() bool {
	return schedules(c.spec) && len(c.onNodes) > 0 && c.contends(exclusiveOf(c.spec))
}

// apart are the terms that keep a new Pod away from the old ones, and which may.
func (c crowd) apart(t exclusive) (terms []corev1.PodAffinityTerm, unsure []string) {
	for _, term := range t.apart {
		switch apart, sure := keepsApart(term, c.namespace, renewed(c.labels)); {
		case !apart:
		case sure:
			terms = append(terms, term)
		default:
			unsure = append(unsure, fmt.Sprintf("its anti-affinity may keep a new Pod from every %s that has an old one, by namespaces' labels", term.TopologyKey))
		}
	}
	return terms, unsure
}

// attached says of claims that one node may use that a new Pod may have to be there. Nothing is
// certain of them: that is kept by attaching the volume to a node, and not all are attached
// (NFS, host paths). One that is used on two nodes already is not.
// https://kubernetes.io/docs/concepts/storage/persistent-volumes/#access-modes
func (c crowd) attached(claims, free []string) []string {
	var doubts []string
	there := func(node string) bool { return slices.Contains(c.onNodes, node) }
	elsewhere := slices.ContainsFunc(c.onNodes, func(node string) bool { return node != c.onNodes[0] })
	for _, name := range claims {
		switch {
		case !c.claims[name].oneNode || c.claims[name].onePod || elsewhere:
		case !slices.ContainsFunc(free, there):
			doubts = append(doubts, fmt.Sprintf("claim %s is ReadWriteOnce, and none can start on %s, whose Pod uses it: none can anywhere if its volume is attached there",
				name, few(c.onNodes)))
		case slices.ContainsFunc(free, func(node string) bool { return !there(node) }):
			doubts = append(doubts, fmt.Sprintf("claim %s is ReadWriteOnce: a new Pod can start only on %s, whose Pod uses it, if its volume is attached there, and %d nodes fit",
				name, few(c.onNodes), len(free)))
		}
	}
	return doubts
}

func notChecked(why string) string {
	return "it was not checked whether a new Pod can start beside the old ones, as " + why
}

// free returns the nodes that one more Pod fits on, and those of them where none of the
// workload's own is in its way.
func (c crowd) free(ports []string, terms []corev1.PodAffinityTerm) (fit, free []string) {
	like := &corev1.Pod{Spec: *c.spec}
	taken, byName := map[string]map[string]bool{}, map[string]*corev1.Node{}
	for i := range c.nodes {
		byName[c.nodes[i].Name] = &c.nodes[i]
	}
	for _, term := range terms {
		taken[term.TopologyKey] = map[string]bool{}
		for _, name := range c.onNodes {
			if node, known := byName[name]; known {
				if domain, has := node.Labels[term.TopologyKey]; has {
					taken[term.TopologyKey][domain] = true
				}
			}
		}
	}
	for i := range c.nodes {
		node := &c.nodes[i]
		occupied := slices.Contains(c.onNodes, node.Name)
		if c.sameNode && !occupied || !c.sameNode && !fits(like, node) {
			continue
		}
		fit = append(fit, node.Name)
		apart := slices.ContainsFunc(terms, func(t corev1.PodAffinityTerm) bool { return taken[t.TopologyKey][node.Labels[t.TopologyKey]] })
		if !apart && (len(ports) == 0 || !occupied) {
			free = append(free, node.Name)
		}
	}
	return fit, free
}

// full says why no node is free.
func (c crowd) full(fit, ports []string, terms []corev1.PodAffinityTerm) string {
	var why []string
	if len(ports) > 0 {
		why = append(why, "each takes port "+few(ports)+" of its node")
	}
	for _, term := range terms {
		why = append(why, "its anti-affinity wants each on another "+term.TopologyKey)
	}
	if c.sameNode {
		return strings.Join(why, ", and ") + ", and a new one starts on the node of an old one"
	}
	return fmt.Sprintf("%s, and the old ones are on all of those that fit (%s)", strings.Join(why, ", and "), few(fit))
}

// fits reports whether the scheduler may put a Pod on a node, whatever else runs there.
func fits(pod *corev1.Pod, node *corev1.Node) bool {
	if pod.Spec.NodeName != "" {
		return pod.Spec.NodeName == node.Name
	}
	taints := node.Spec.Taints
	if node.Spec.Unschedulable {
		taints = append(slices.Clone(taints), corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule})
	}
	_, untolerated := schedulingv1.FindMatchingUntoleratedTaint(logr.Discard(), taints, pod.Spec.Tolerations, func(t *corev1.Taint) bool {
		return t.Effect == corev1.TaintEffectNoSchedule || t.Effect == corev1.TaintEffectNoExecute
	}, true)
	matches, err := nodeaffinity.GetRequiredNodeAffinity(pod).Match(node)
	return !untolerated && matches && err == nil
}

// few names the first of many.
func few(names []string) string {
	const most = 3
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}
