package verdict

import (
	"bytes"
	"slices"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec"
)

// Initialized reports whether all init containers of a Pod have ended, but for those that
// keep running beside its containers, as the kubelet says.
// https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-conditions
func Initialized(pod jsontree.Node) bool {
	for condition := range pod.Get("status", "conditions").Children() {
		if string(condition.Get("type").Text()) == "Initialized" {
			return string(condition.Get("status").Text()) == "True"
		}
	}
	return false
}

// howItRan are the fields of a container that say how it runs and not what it does. What
// has ended left nothing behind that one of them decides.
var howItRan = []string{"imagePullPolicy", "resources", "terminationMessagePath", "terminationMessagePolicy"}

// whatItWas are those that decide, too, what a container has set up beyond its own files,
// where it may: a Pod's network, parameters of a kernel.
var whatItWas = []string{"image", "securityContext"}

// isSpent reports whether nothing that still runs depends on how a field of an init
// container that has ended is.
func (c *comparison) isSpent(path string) bool {
	within := func(field string) bool { return path == field || strings.HasPrefix(path, field+".") }
	return c.ended && (slices.ContainsFunc(howItRan, within) || !c.empowered && slices.ContainsFunc(whatItWas, within))
}

// empowered reports whether a container may set up what outlives it and is no file: it is
// privileged, or has capabilities added, as Istio's that writes the Pod's iptables.
func empowered(container podspec.Container) bool {
	context := container.Node.Get("securityContext")
	for range context.Get("capabilities", "add").Children() {
		return true
	}
	return string(context.Get("privileged").Raw()) == "true"
}

// over reports whether an injected init container of the live Pod has ended and left no
// files behind that others may still read.
func (c *comparison) over(container podspec.Container) bool {
	return container.OneShot() && c.sidecars[keyOf(container)] && Initialized(c.live.Pod()) && !leavesFiles(c.live, container)
}

// withoutFiles are sources of volumes that nothing is written to, whatever a mount says.
var withoutFiles = []string{"configMap", "secret", "projected", "downwardAPI", "image"}

// leavesFiles reports whether a container may have written to a volume that is there for
// others, too: of the same Pod, or of others.
func leavesFiles(pod *podspec.View, container podspec.Container) bool {
	for range container.Node.Get("volumeDevices").Children() {
		return true
	}
	for mount := range container.Node.Get("volumeMounts").Children() {
		name := mount.Get("name").Text()
		if string(mount.Get("readOnly").Raw()) == "true" || sourced(pod, name, withoutFiles...) {
			continue
		}
		if !sourced(pod, name, "emptyDir") || slices.ContainsFunc(pod.Containers(), func(other podspec.Container) bool {
			return keyOf(other) != keyOf(container) && mounts(other, name)
		}) {
			return true
		}
	}
	return false
}

// sourced reports whether a volume of the Pod has one of the sources.
func sourced(pod *podspec.View, name []byte, sources ...string) bool {
	for volume := range pod.Pod().Get("spec", "volumes").Children() {
		if bytes.Equal(volume.Get("name").Text(), name) {
			return slices.ContainsFunc(sources, func(source string) bool { return volume.Get(source).Exists() })
		}
	}
	return false
}

func mounts(container podspec.Container, volume []byte) bool {
	for mount := range container.Node.Get("volumeMounts").Children() {
		if bytes.Equal(mount.Get("name").Text(), volume) {
			return true
		}
	}
	return false
}

// Unspent returns the changes that are not spent.
func Unspent(changes []Change) []Change {
	if !slices.ContainsFunc(changes, func(c Change) bool { return c.Spent }) {
		return changes
	}
	return slices.DeleteFunc(slices.Clone(changes), func(c Change) bool { return c.Spent })
}

// NotYet has none of the changes be spent, as of Pods of which not all are initialized.
func NotYet(changes []Change) []Change {
	changes = slices.Clone(changes)
	for i := range changes {
		changes[i].Spent = false
	}
	return changes
}
