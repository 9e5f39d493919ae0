package verdict

import (
	"encoding/json"
	"maps"
	"strconv"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// inForce returns a Pod with the CPU and memory that its containers have, where its node
// has refused or put off a resize, or has not looked at it yet: what such a Pod asks for has
// not come to be, and may never. Without that, who dies between a resize and the node's
// answer would leave a Pod that only seems to be as it should be.
// https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-resize
func inForce(pod jsontree.Node) jsontree.Node {
	if !resizePending(pod) && !unobserved(pod) {
		return pod
	}
	var object map[string]any
	if json.Unmarshal(pod.Raw(), &object) != nil {
		return pod
	}
	spec, _ := object["spec"].(map[string]any)
	status, _ := object["status"].(map[string]any)
	for list, statuses := range map[string]string{"containers": "containerStatuses", "initContainers": "initContainerStatuses"} {
		has := map[any]map[string]any{}
		for _, each := range objects(status[statuses]) {
			if resources, said := each["resources"].(map[string]any); said {
				has[each["name"]] = resources
			}
		}
		for _, each := range objects(spec[list]) {
			if now, said := has[each["name"]]; said {
				each["resources"] = withAmounts(each["resources"], now)
			}
		}
	}
	text, err := json.Marshal(object)
	if err != nil {
		return pod
	}
	found, err := jsontree.Parse(text)
	if err != nil {
		return pod
	}
	return found
}

// resizePending reports whether the kubelet says that it cannot resize the Pod, or not now.
func resizePending(pod jsontree.Node) bool {
	for condition := range pod.Get("status", "conditions").Children() {
		if string(condition.Get("type").Text()) == "PodResizePending" {
			return string(condition.Get("status").Text()) == "True"
		}
	}
	return false
}

// unobserved reports whether the kubelet has not looked yet at what the Pod asks for now.
// Kubelets before Kubernetes 1.34 do not say.
func unobserved(pod jsontree.Node) bool {
	observed, err := generation(pod.Get("status", "observedGeneration"))
	if err != nil || observed == 0 {
		return false
	}
	wanted, err := generation(pod.Get("metadata", "generation"))
	return err == nil && observed < wanted
}

func generation(n jsontree.Node) (int64, error) { return strconv.ParseInt(string(n.Raw()), 10, 64) }

func objects(list any) (found []map[string]any) {
	items, _ := list.([]any)
	for _, item := range items {
		if object, is := item.(map[string]any); is {
			found = append(found, object)
		}
	}
	return found
}

// withAmounts is what a container is to have, but for the amounts that it has now of what
// can be resized.
func withAmounts(wanted any, now map[string]any) map[string]any {
	resources, _ := wanted.(map[string]any)
	resources = maps.Clone(resources)
	if resources == nil {
		resources = map[string]any{}
	}
	for _, kind := range []string{"requests", "limits"} {
		amounts, _ := resources[kind].(map[string]any)
		amounts = maps.Clone(amounts)
		has, _ := now[kind].(map[string]any)
		for _, unit := range []string{"cpu", "memory"} {
			amount, is := has[unit]
			switch {
			case !is:
				delete(amounts, unit)
			case amounts == nil:
				amounts = map[string]any{unit: amount}
			default:
				amounts[unit] = amount
			}
		}
		if len(amounts) == 0 {
			delete(resources, kind)
			continue
		}
		resources[kind] = amounts
	}
	return resources
}
