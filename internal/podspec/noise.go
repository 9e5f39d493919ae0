package podspec

import (
	"bytes"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/internal/jsontree"
)

// placement reports whether a field of the Pod's spec is set by the scheduler,
// the kubelet's admission or in-tree plugins, differently for each Pod or
// cluster setting, and is no injector's doing.
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

// tokenVolume is how the ServiceAccount plugin names the volume that it adds,
// followed by a random suffix.
const tokenVolume = "kube-api-access-"

// noiseItem reports whether a list's item is the ServiceAccount plugin's.
func noiseItem(list []byte, item jsontree.Node) bool {
	switch string(list) {
	case "volumes", "volumeMounts":
		return bytes.HasPrefix(item.Get("name").Text(), []byte(tokenVolume))
	}
	return false
}

// hollow reports whether a member says nothing: null, a list that is empty but
// for noise, or a map, empty but for noise, that the API server adds and takes
// for an absent one.
func (v *View) hollow(member jsontree.Node) bool {
	switch member.Kind() {
	case jsontree.Null:
		return true
	case jsontree.Array:
		for item := range member.Children() {
			if !noiseItem(member.Name(), item) {
				return false
			}
		}
		return true
	case jsontree.Object:
		switch name := member.Name(); string(name) {
		case "limits", "requests", "resources", "securityContext", "metadata":
			return v.nothingIn(member)
		case affinity:
			return v.daemon && v.nothingIn(member)
		}
	}
	return false
}

func (v *View) nothingIn(object jsontree.Node) bool {
	for child := range object.Children() {
		if !v.hollow(child) && !v.noiseField(object.Name(), child.Name()) {
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
