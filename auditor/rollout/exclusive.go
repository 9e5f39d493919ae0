package rollout

import (
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
)

// exclusive is what a Pod has that another one beside it cannot have, too.
type exclusive struct {
	ports  []string // of the node
	claims []string
	// apart are required terms of its anti-affinity.
	apart []corev1.PodAffinityTerm
}

func (t exclusive) nothing() bool {
	return len(t.ports) == 0 && len(t.claims) == 0 && len(t.apart) == 0
}

// exclusiveOf is what a Pod of the spec has. In a template, a Pod on its node's network need
// not say that its ports are the node's.
func exclusiveOf(spec *corev1.PodSpec) exclusive {
	var t exclusive
	add := func(c corev1.Container) {
		for _, p := range c.Ports {
			if p.HostPort == 0 && spec.HostNetwork {
				p.HostPort = p.ContainerPort
			}
			if p.HostPort > 0 {
				t.ports = append(t.ports, fmt.Sprintf("%d/%s", p.HostPort, orElse(p.Protocol, corev1.ProtocolTCP)))
			}
		}
	}
	for _, c := range spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			add(c)
		}
	}
	for _, c := range spec.Containers {
		add(c)
	}
	for _, v := range spec.Volumes {
		if v.PersistentVolumeClaim != nil {
			t.claims = append(t.claims, v.PersistentVolumeClaim.ClaimName)
		}
	}
	slices.Sort(t.claims)
	t.claims = slices.Compact(t.claims)
	if a := spec.Affinity; a != nil && a.PodAntiAffinity != nil {
		t.apart = a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	}
	return t
}

// placed is of a spec what says where its Pods may be, and what they have there; nil where
// any number of them may be anywhere.
func placed(spec *corev1.PodSpec) *corev1.PodSpec {
	if exclusiveOf(spec).nothing() {
		return nil
	}
	few := &corev1.PodSpec{
		NodeName: spec.NodeName, HostNetwork: spec.HostNetwork,
		NodeSelector: spec.NodeSelector, Affinity: spec.Affinity, Tolerations: spec.Tolerations,
		SchedulerName: spec.SchedulerName,
	}
	of := func(containers []corev1.Container) []corev1.Container {
		var withPorts []corev1.Container
		for _, c := range containers {
			if len(c.Ports) > 0 {
				withPorts = append(withPorts, corev1.Container{Name: c.Name, Ports: c.Ports, RestartPolicy: c.RestartPolicy})
			}
		}
		return withPorts
	}
	few.InitContainers, few.Containers = of(spec.InitContainers), of(spec.Containers)
	for _, v := range spec.Volumes {
		if v.PersistentVolumeClaim != nil {
			few.Volumes = append(few.Volumes, corev1.Volume{Name: v.Name, VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: v.PersistentVolumeClaim}})
		}
	}
	return few
}

// placedBy is that of a workload's Pod template.
func placedBy(object *unstructured.Unstructured) *corev1.PodSpec {
	raw, found, err := unstructured.NestedFieldNoCopy(object.Object, "spec", "template", "spec")
	fields, isMap := raw.(map[string]any)
	if err != nil || !found || !isMap {
		return nil
	}
	var spec corev1.PodSpec
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(fields, &spec); err != nil {
		return nil
	}
	return placed(&spec)
}

// keepPlaced leaves of a workload's Pod template what placedBy reads.
func keepPlaced(object *unstructured.Unstructured) {
	spec := placedBy(object)
	unstructured.RemoveNestedField(object.Object, "spec", "template", "spec")
	if spec == nil {
		return
	}
	if fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(spec); err == nil {
		_ = unstructured.SetNestedMap(object.Object, fields, "spec", "template", "spec")
	}
}

// renewed are the labels of a Pod that takes the place of one with these.
func renewed(set labels.Set) labels.Set {
	next := labels.Set{}
	maps.Copy(next, set)
	next[appsv1.DefaultDeploymentUniqueLabelKey], next[appsv1.ControllerRevisionHashLabelKey] = "next", "next"
	return next
}

// keepsApart reports whether a term keeps a Pod away from its successor, with the labels
// given, in the same namespace; sure is false where nobody can tell without its namespaces'
// labels. A live Pod's term has the keys in its selector that are to match.
// https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#matchlabelkeys
func keepsApart(term corev1.PodAffinityTerm, namespace string, successor labels.Set) (apart, sure bool) {
	selector, err := metav1.LabelSelectorAsSelector(term.LabelSelector)
	switch {
	case err != nil:
		return true, false
	case !selector.Matches(successor):
		return false, true
	}
	for _, key := range term.MatchLabelKeys {
		if key == appsv1.DefaultDeploymentUniqueLabelKey || key == appsv1.ControllerRevisionHashLabelKey {
			return false, true
		}
	}
	switch elsewhere := term.NamespaceSelector; {
	case len(term.Namespaces) == 0 && elsewhere == nil, slices.Contains(term.Namespaces, namespace):
		return true, true
	case elsewhere == nil:
		return false, true
	case len(elsewhere.MatchLabels)+len(elsewhere.MatchExpressions) == 0:
		return true, true
	}
	return true, false
}
