package verdict

import (
	"maps"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec"
)

// limited returns the resources ("requests/cpu") of an app's container that are
// its namespace's defaults. The LimitRanger plugin says in an annotation which it
// set. It runs again after webhooks that changed the Pod, and then leaves only
// what it set in that round: where that was on a sidecar, all that the template
// does not declare may be its work.
// https://github.com/kubernetes/kubernetes/blob/master/plugin/pkg/admission/limitranger/admission.go
func (c *comparison) limited(live, fresh podspec.Container) map[string]bool {
	set := map[string]bool{}
	maps.Copy(set, c.live.LimitRanger(live.Name))
	maps.Copy(set, c.fresh.LimitRanger(live.Name))
	for pod, container := range map[*podspec.View]podspec.Container{c.live: live, c.fresh: fresh} {
		if !c.limitsSidecars[pod] {
			continue
		}
		for _, kind := range []string{"requests", "limits"} {
			for amount := range container.Node.Get("resources", kind).Children() {
				if !c.declared.resource(container, kind, amount.Name()) {
					set[kind+"/"+string(amount.Name())] = true
				}
			}
		}
	}
	return set
}

func (c *comparison) limitsSidecar(pod *podspec.View) bool {
	for key := range c.sidecars {
		if len(pod.LimitRanger(key.name)) > 0 {
			return true
		}
	}
	return false
}

// resource reports whether the template, or the Pod's creator, sets an amount of
// the container's resources.
func (d declared) resource(container podspec.Container, kind string, amount []byte) bool {
	if item := d.template[keyOf(container)]; item.Exists() {
		return item.Get("resources", kind, string(amount)).Exists()
	}
	return d.owned[keyOf(container)].Field([]byte("resources")).Field([]byte(kind)).Field(amount).Has()
}
