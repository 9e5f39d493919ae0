package audit

import (
	"cmp"
	"slices"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/fingerprint"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// OfSidecars returns the Pods that Selection.WithContainers selects, given
// whether the fresh Pod has such a container.
func (o Options) OfSidecars(pods []inventory.Pod, freshHas bool) []inventory.Pod {
	if len(o.Selection.WithContainers) == 0 || freshHas {
		return pods
	}
	return slices.DeleteFunc(slices.Clone(pods), func(p inventory.Pod) bool { return !p.Named })
}

// hasNamed reports whether a Pod has a container of Selection.WithContainers.
func (a *Audit) hasNamed(pod jsontree.Node) bool {
	for _, list := range []string{"containers", "initContainers"} {
		for container := range pod.Get("spec", list).Children() {
			if slices.Contains(a.opts.Selection.WithContainers, container.Get("name").String()) {
				return true
			}
		}
	}
	return false
}

// maxStamp is more than a stamp has: anybody may have written anything in its place.
const maxStamp = 80

// stampOf returns the stamp that the stamper gave a Pod or, where none
// answered, would have given it.
func stampOf(pod jsontree.Node, names []string) (string, error) {
	if stamp := pod.Get("metadata", "annotations").Get(fingerprint.StampAnnotation); stamp.Exists() {
		return verdict.Cut(stamp.String(), maxStamp), nil
	}
	injected, err := fingerprint.Of(pod, names...)
	return injected.Stamp, err
}

// stamps counts the stamps of Pods, the most frequent first.
func stamps(pods []inventory.Pod) []report.StampCount {
	counts := map[string]int{}
	for _, pod := range pods {
		counts[pod.Stamp]++
	}
	list := make([]report.StampCount, 0, len(counts))
	for stamp, n := range counts {
		list = append(list, report.StampCount{Stamp: stamp, Pods: n})
	}
	slices.SortFunc(list, func(a, b report.StampCount) int {
		return cmp.Or(cmp.Compare(b.Pods, a.Pods), cmp.Compare(a.Stamp, b.Stamp))
	})
	return list
}
