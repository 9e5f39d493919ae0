package verdict

import (
	"bytes"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec"
)

// appArmorAnnotation, with a container's name behind it, is where API servers before 1.30
// keep what newer ones have in the field appArmorProfile. From 1.30 on they fill the field
// from the annotation, and from 1.30 to 1.33 the annotation from the field, too
// (pkg/registry/core/pod/strategy.go, applyAppArmorVersionSkew).
// https://kubernetes.io/docs/tutorials/security/apparmor/
const appArmorAnnotation = "container.apparmor.security.beta.kubernetes.io/"

// sameAppArmor reports whether a container's difference is that one Pod says in an
// annotation what the other has in the field.
func (c *comparison) sameAppArmor(live, fresh podspec.Container, d podspec.Difference) bool {
	const field = "securityContext.appArmorProfile"
	if d.Path != field && !strings.HasPrefix(d.Path, field+".") {
		return false
	}
	ofLive, ofFresh := appArmorOf(live.Node), appArmorOf(fresh.Node)
	switch {
	case ofLive.Exists() == ofFresh.Exists():
		return false
	case ofFresh.Exists():
		return saysAppArmor(c.live, live.Name, ofFresh)
	}
	return saysAppArmor(c.fresh, fresh.Name, ofLive)
}

// followsAppArmor reports whether an annotation that one Pod alone has says what the same
// Pod has in the field.
func (c *comparison) followsAppArmor(key []byte, live, fresh jsontree.Node) bool {
	name, of := bytes.CutPrefix(key, []byte(appArmorAnnotation))
	if !of || live.Exists() && fresh.Exists() {
		return false
	}
	pod := c.live
	if fresh.Exists() {
		pod = c.fresh
	}
	for _, container := range pod.Containers() {
		if container.Name != string(name) {
			continue
		}
		profile := appArmorOf(container.Node)
		if !profile.Exists() {
			profile = appArmorOf(pod.Pod().Get("spec"))
		}
		return saysAppArmor(pod, container.Name, profile)
	}
	return false
}

// appArmorAnnotations are the profiles that a Pod's annotations give to its containers, but
// for those that the Pod as a whole has in the field.
func appArmorAnnotations(pod *podspec.View) map[string]string {
	var profiles map[string]string // nil in nearly every Pod
	whole := appArmorText(appArmorOf(pod.Pod().Get("spec")))
	for annotation := range pod.Pod().Get("metadata", "annotations").Children() {
		name, of := bytes.CutPrefix(annotation.Name(), []byte(appArmorAnnotation))
		if !of || annotation.String() == whole {
			continue
		}
		if profiles == nil {
			profiles = map[string]string{}
		}
		profiles[string(name)] = annotation.String()
	}
	return profiles
}

// appArmorOf is the field of a container or of a Pod's spec.
func appArmorOf(of jsontree.Node) jsontree.Node { return of.Get("securityContext", "appArmorProfile") }

// saysAppArmor reports whether the Pod's annotation for a container says what a field has.
func saysAppArmor(pod *podspec.View, container string, field jsontree.Node) bool {
	text := appArmorText(field)
	return text != "" && text == pod.Pod().Get("metadata", "annotations").Get(appArmorAnnotation+container).String()
}

// appArmorText is a field as the annotation has it; empty of none.
func appArmorText(field jsontree.Node) string {
	switch field.Get("type").String() {
	case "RuntimeDefault":
		return "runtime/default"
	case "Unconfined":
		return "unconfined"
	case "Localhost":
		return "localhost/" + field.Get("localhostProfile").String()
	}
	return ""
}
