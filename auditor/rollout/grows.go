package rollout

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// growing are beginnings of labels and annotations of a node that an autoscaler may add more of.
// Those of pools say what may be scaled, and not that it is: nothing on a node tells that.
// eks.amazonaws.com/compute-type is none of them: nodes of EKS Auto Mode have Karpenter's label,
// and those of Fargate and hybrid ones are not added for a Pod like the others.
var growing = []string{
	"karpenter.sh/nodepool",             // https://karpenter.sh/docs/concepts/scheduling/
	"cluster-autoscaler.kubernetes.io/", // https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/FAQ.md
	"eks.amazonaws.com/nodegroup",       // https://docs.aws.amazon.com/eks/latest/userguide/managed-node-groups.html
	"cloud.google.com/gke-nodepool",     // https://cloud.google.com/kubernetes-engine/docs/concepts/node-pools
	"kubernetes.azure.com/agentpool",    // https://learn.microsoft.com/azure/aks/use-labels
}

func isGrowing(key string) bool {
	return slices.ContainsFunc(growing, func(beginning string) bool { return strings.HasPrefix(key, beginning) })
}

// keepGrowing leaves of a node's annotations those.
func keepGrowing(annotations map[string]string) map[string]string {
	var few map[string]string
	for key, value := range annotations {
		if isGrowing(key) {
			if few == nil {
				few = map[string]string{}
			}
			few[key] = value
		}
	}
	return few
}

// grows says by what an autoscaler may add a node to those that fit; empty if nothing says so,
// or none that is added could help.
func (c crowd) grows(fit []string) string {
	if c.sameNode || c.spec.NodeName != "" {
		return ""
	}
	for i := range c.nodes {
		node := &c.nodes[i]
		if !slices.Contains(fit, node.Name) {
			continue
		}
		for _, of := range []map[string]string{node.Labels, node.Annotations} {
			for _, key := range slices.Sorted(maps.Keys(of)) {
				if isGrowing(key) {
					return key + " of " + node.Name
				}
			}
		}
	}
	return ""
}

// schedules reports whether it is Kubernetes' own scheduler that places a Pod.
func schedules(spec *corev1.PodSpec) bool {
	return spec.SchedulerName == "" || spec.SchedulerName == corev1.DefaultSchedulerName
}
