package verdict

import (
	"slices"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// Autoscaler is which containers of a workload something sizes anew all the time, such as
// a VerticalPodAutoscaler.
type Autoscaler struct {
	// Containers says it by name, "*" being those that are not named; without
	// that they are sized.
	Containers map[string]bool
}

// sizes reports whether the container is sized.
func (a Autoscaler) sizes(container string) bool {
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
		return in.annotated(in.Live) || in.annotated(in.Fresh)
	}
	if annotatedBy(in.Live, in.UnreadAnnotations) || annotatedBy(in.Fresh, in.UnreadAnnotations) {
		return true
	}
	return in.Template.Exists() && in.annotated(in.Fresh) && !in.annotated(in.Template)
}

// Annotations that admission writes on Pods that it sizes, and that it would size
// differently the next time.
// https://github.com/kubernetes/autoscaler/tree/master/vertical-pod-autoscaler
// https://github.com/DataDog/datadog-agent/blob/main/pkg/clusteragent/autoscaling/workload/model/const.go
var (
	VerticalPodAutoscalerAnnotations = []string{"vpaUpdates", "vpaObservedContainers"}
	DatadogPodAutoscalerAnnotations  = []string{"autoscaling.datadoghq.com/rec-id"}

	sizingAnnotations = slices.Concat(VerticalPodAutoscalerAnnotations, DatadogPodAutoscalerAnnotations)
)

// annotated reports whether the Pod says that it was sized.
func (in Input) annotated(pod jsontree.Node) bool {
	return annotatedBy(pod, sizingAnnotations) || annotatedBy(pod, in.SizingAnnotations)
}

func annotatedBy(pod jsontree.Node, keys []string) bool {
	annotations := pod.Get("metadata", "annotations")
	return slices.ContainsFunc(keys, func(key string) bool { return annotations.Get(key).Exists() })
}

// isAutoscaled reports whether a change is of resources that an autoscaler sets,
// and that is not to count. Where none is known, an annotation tells, and each container
// is sized.
func (c *comparison) isAutoscaled(change Change) bool {
	_, container, ofContainer := strings.Cut(change.Part, "/")
	sizes := func(a Autoscaler) bool { return a.sizes(container) }
	return c.moving && ofContainer && (len(c.autoscalers) == 0 || slices.ContainsFunc(c.autoscalers, sizes)) &&
		(change.Path == "resources" || strings.HasPrefix(change.Path, "resources."))
}
