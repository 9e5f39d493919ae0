package verdict

import (
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec"
)

// maxPodAmounts is more than there are resources of a Pod as a whole. Containers are gone
// through for each amount.
const maxPodAmounts = 100

// derivedAmount reports whether both Pods have, at a path of the field resources, nothing or
// what an API server makes of the amounts beside it. From 1.34 to 1.36 they did so before
// webhooks; newer ones do so after them, and give limits, too
// (pkg/apis/core/v1/defaults.go, defaultPodRequests; pkg/api/pod/util.go,
// DefaultPodLevelResources).
func (c *comparison) derivedAmount(path string, live, fresh jsontree.Node) bool {
	kind, name, found := strings.Cut(strings.TrimPrefix(path, "resources."), ".")
	if !found || !ofPods(name) || c.podResources.Get(kind, name).Exists() {
		return false
	}
	return derived(c.live, kind, name, live) && derived(c.fresh, kind, name, fresh)
}

// ofPods reports whether Pods as a whole may have the resource
// (k8s.io/component-helpers/resource, IsSupportedPodLevelResource).
func ofPods(name string) bool {
	return name == "cpu" || name == "memory" || strings.HasPrefix(name, "hugepages-")
}

// derived reports whether an amount of a Pod that has some is absent or follows from others.
func derived(pod *podspec.View, kind, name string, amount jsontree.Node) bool {
	whole := pod.Pod().Get("spec", "resources")
	if !amount.Exists() {
		return whole.Exists()
	}
	is, ok := podspec.Quantity(amount)
	if !ok {
		return false
	}
	total, some, every := aggregate(pod, kind, name)
	switch kind {
	case "requests": // where no container has one, or none had one before webhooks, the limit
		limit, ok := podspec.Quantity(whole.Get("limits", name))
		return some && is.Cmp(total) == 0 || ok && is.Cmp(limit) == 0
	case "limits": // no less than the request
		if request, ok := podspec.Quantity(whole.Get("requests", name)); ok && request.Cmp(total) > 0 {
			total = request
		}
		return (every || some && strings.HasPrefix(name, "hugepages-")) && is.Cmp(total) == 0
	}
	return false
}

// aggregate is what a Pod's containers take of a resource at once, as the scheduler counts
// (k8s.io/component-helpers/resource, AggregateContainerRequests), and whether some of them
// say so, or every one.
func aggregate(pod *podspec.View, kind, name string) (total resource.Quantity, some, every bool) {
	var native, starting resource.Quantity // of native sidecars; the most while starting up
	every = true
	for _, container := range pod.Containers() { // init containers come first
		amount, ok := podspec.Quantity(container.Node.Get("resources", kind, name))
		if !ok && kind == "requests" {
			amount, ok = podspec.Quantity(container.Node.Get("resources", "limits", name))
		}
		some, every = some || ok, every && ok
		switch {
		case !container.Init:
			total.Add(amount)
		case !container.OneShot():
			total.Add(amount)
			native.Add(amount)
		default:
			amount.Add(native)
			if amount.Cmp(starting) > 0 {
				starting = amount
			}
		}
	}
	if starting.Cmp(total) > 0 {
		total = starting
	}
	return total, some, every
}
