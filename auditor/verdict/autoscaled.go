package verdict

import (
	"strings"

	"github.com/sidecar-drift/sidecar-drift/internal/jsontree"
)

// Autoscaler is which containers of a workload a VerticalPodAutoscaler sizes.
type Autoscaler struct {
	// Containers says it by name, "*" being those that are not named; without
	// that they are sized.
	Containers map[string]bool
}

// sizes reports whether the container is sized: where no autoscaler is known,
// each is.
func (a *Autoscaler) sizes(container string) bool {
	if a == nil {
		return true
	}
	for _, name := range []string{container, "*"} {
		if sized, named := a.Containers[name]; named {
			return sized
		}
	}
	return true
}

// sizedByAnnotation reports whether annotations alone tell that an autoscaler sizes
// the Pods. Anybody may write them into a template or on a live Pod; where it matters
// they count only if admission has just added them.
func (in Input) sizedByAnnotation() bool {
	if !in.AutoscalersKnown {
		return annotated(in.Live) || annotated(in.Fresh)
	}
	return in.Template.Exists() && annotated(in.Fresh) && !annotated(in.Template)
}

// annotated reports whether a VerticalPodAutoscaler's admission controller has
// sized the Pod: it says so in these annotations, and would size the next Pod
// differently.
// https://github.com/kubernetes/autoscaler/tree/master/vertical-pod-autoscaler
func annotated(pod jsontree.Node) bool {
	annotations := pod.Get("metadata", "annotations")
	return annotations.Get("vpaUpdates").Exists() || annotations.Get("vpaObservedContainers").Exists()
}

// isAutoscaled reports whether a change is of resources that an autoscaler sets,
// and that is not to count.
func (c *comparison) isAutoscaled(change Change) bool {
	_, container, ofContainer := strings.Cut(change.Part, "/")
	return c.moving && ofContainer && c.autoscaler.sizes(container) &&
		(change.Path == "resources" || strings.HasPrefix(change.Path, "resources."))
}
