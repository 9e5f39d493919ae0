package podspec

import (
	"bytes"
	"iter"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// placement reports whether a field of the Pod's spec may be set by the scheduler,
// controllers or in-tree plugins, differently for each Pod or cluster setting. A stamp
// leaves it out, as it follows from the Pod alone; see [View.Placement] of what is
// compared.
func placement(field []byte) bool {
	switch string(field) {
	case "nodeName", "priority", "priorityClassName", "preemptionPolicy", "tolerations",
		"overhead", "nodeSelector", "serviceAccount", "serviceAccountName", "imagePullSecrets",
		"enableServiceLinks", "hostname", "subdomain",
		"schedulingGates": // gone from every Pod that runs
		return true
	}
	return false
}

// section reports whether a field of the Pod's spec is looked at by itself, or
// (ephemeral containers) never comes from an injector.
func section(field []byte) bool {
	switch string(field) {
	case "containers", "initContainers", "ephemeralContainers", "volumes":
		return true
	}
	return false
}

// TokenVolume is how the ServiceAccount plugin names the volume that it adds,
// followed by a random suffix.
const TokenVolume = "kube-api-access-"

// noiseItem reports whether a list's item is the ServiceAccount plugin's, a
// requirement that the API server merged into a label selector, or says no more than its
// absence does.
func (v *View) noiseItem(list []byte, item jsontree.Node) bool {
	switch string(list) {
	case "volumes", "volumeMounts":
		return bytes.HasPrefix(item.Get("name").Text(), []byte(TokenVolume))
	case "matchExpressions":
		return v.merged[item]
	case "resizePolicy":
		// API servers from 1.27 to 1.32 added it where the gate InPlacePodVerticalScaling was on
		// (pkg/apis/core/v1/defaults.go, SetDefaults_Pod); kubelets take it as what is absent.
		return string(item.Get("restartPolicy").Text()) == "NotRequired"
	case "tolerations":
		return v.standingToleration(item)
	case "imagePullSecrets":
		return v.registryOfOpenShift(item)
	}
	return false
}

// Items yields the items of a list in their order, without noise.
func (v *View) Items(m Member) iter.Seq[jsontree.Node] { return v.items(m.Field, m.Node) }

// items yields the items of a list without noise.
func (v *View) items(list []byte, array jsontree.Node) iter.Seq[jsontree.Node] {
	return func(yield func(jsontree.Node) bool) {
		for item := range array.Children() {
			if !v.noiseItem(list, item) && !yield(item) {
				return
			}
		}
	}
}

// mergedRequirements returns the requirements that the API server merges into
// label selectors, as it does in Pod affinity since Kubernetes 1.31 and in
// topology spread constraints since 1.34 (KEP-3633, KEP-3243): matchLabelKeys
// and mismatchLabelKeys beside the selector name labels of the Pod, whose values
// other Pods must, or must not, share. They say nothing that the keys do not.
func mergedRequirements(pod, spec jsontree.Node) map[jsontree.Node]bool {
	type requirement struct{ key, operator string }
	var (
		labels map[string]string
		merged map[jsontree.Node]bool // nil in nearly every Pod
	)
	for constraint := range labelConstraints(spec) {
		if labels == nil {
			labels = textsIn(pod.Get("metadata", "labels"))
		}
		derived := map[requirement]string{} // → its only value
		for field, operator := range map[string]string{"matchLabelKeys": "In", "mismatchLabelKeys": "NotIn"} {
			for key := range constraint.Get(field).Children() {
				if value, ok := labels[key.String()]; ok {
					derived[requirement{key.String(), operator}] = value
				}
			}
		}
		for node := range constraint.Get("labelSelector", "matchExpressions").Children() {
			value, ok := derived[requirement{node.Get("key").String(), node.Get("operator").String()}]
			if ok && holdsOnly(node.Get("values"), value) {
				if merged == nil {
					merged = map[jsontree.Node]bool{}
				}
				merged[node] = true
			}
		}
	}
	return merged
}

func textsIn(object jsontree.Node) map[string]string {
	texts := map[string]string{}
	for member := range object.Children() {
		texts[string(member.Name())] = member.String()
	}
	return texts
}

func holdsOnly(list jsontree.Node, text string) bool {
	items := 0
	for item := range list.Children() {
		if items++; items > 1 || item.String() != text {
			return false
		}
	}
	return items == 1
}

// labelConstraints yields the topology spread constraints and the terms of Pod
// affinity and anti-affinity.
func labelConstraints(spec jsontree.Node) iter.Seq[jsontree.Node] {
	return func(yield func(jsontree.Node) bool) {
		for constraint := range spec.Get("topologySpreadConstraints").Children() {
			if !yield(constraint) {
				return
			}
		}
		pods := spec.Get(affinity)
		for _, kind := range [...]string{"podAffinity", "podAntiAffinity"} {
			terms := pods.Get(kind)
			for term := range terms.Get("requiredDuringSchedulingIgnoredDuringExecution").Children() {
				if !yield(term) {
					return
				}
			}
			for weighted := range terms.Get("preferredDuringSchedulingIgnoredDuringExecution").Children() {
				if !yield(weighted.Get("podAffinityTerm")) {
					return
				}
			}
		}
	}
}

// hollowDepth is how deep maps that say nothing are nested in a Pod: limits in
// resources. To look deeper from every level would cost the square of a forged
// document's depth.
const hollowDepth = 2

// hollow reports whether a member says nothing: null, a list that is empty but
// for noise, or a map, empty but for noise, that the API server adds and takes
// for an absent one.
func (v *View) hollow(member jsontree.Node) bool { return v.hollowWithin(member, hollowDepth) }

func (v *View) hollowWithin(member jsontree.Node, depth int) bool {
	switch member.Kind() {
	case jsontree.Null:
		return true
	case jsontree.Array:
		for item := range member.Children() {
			if !v.noiseItem(member.Name(), item) {
				return false
			}
		}
		return true
	case jsontree.Object:
		if depth == 0 {
			return false
		}
		switch name := member.Name(); string(name) {
		case "limits", "requests", "resources", "securityContext", "metadata":
			return v.nothingIn(member, depth-1)
		case affinity:
			return v.daemon && v.nothingIn(member, depth-1)
		}
	}
	return false
}

func (v *View) nothingIn(object jsontree.Node, depth int) bool {
	for child := range object.Children() {
		if !v.hollowWithin(child, depth) && !v.noiseField(object.Name(), child.Name()) {
			return false
		}
	}
	return true
}

const (
	affinity     = "affinity"
	nodeAffinity = "nodeAffinity"
)

// noiseField reports whether a field of a map is a resource to be ignored, or
// the affinity by which the DaemonSet controller pins a Pod to its node.
func (v *View) noiseField(parent, name []byte) bool {
	if len(v.ignored) > 0 && v.ignored[string(parent)+"/"+string(name)] {
		return true
	}
	return v.daemon && string(parent) == affinity && string(name) == nodeAffinity
}

// limitRangerAnnotation is written by the LimitRanger plugin, as in
// "LimitRanger plugin set: cpu, memory request for container a; cpu limit for
// init container b" (k8s.io/kubernetes plugin/pkg/admission/limitranger).
const limitRangerAnnotation = "kubernetes.io/limit-ranger"

// limited is what LimitRanger set on one container: "requests" and "limits"
// followed by a slash and the resource.
type limited map[string]map[string]bool

func parseLimitRanger(annotation string) limited {
	_, list, found := strings.Cut(annotation, ": ")
	if !found {
		return nil
	}
	set := limited{}
	for _, clause := range strings.Split(list, "; ") {
		what, container, found := strings.Cut(clause, " for ")
		if !found {
			continue
		}
		container = strings.TrimPrefix(strings.TrimPrefix(container, "init "), "container ")
		names, kind, found := cutLast(what, " ")
		if !found {
			continue
		}
		if set[container] == nil {
			set[container] = map[string]bool{}
		}
		for _, name := range strings.Split(names, ", ") {
			set[container][kind+"s/"+name] = true
		}
	}
	return set
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
