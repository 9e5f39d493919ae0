package report

import (
	"slices"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/injectors"
)

// nameWebhooks says of each change which webhook makes it, where only one can: of what
// changes Pods, one alone sees all Pods that differ so, or one alone is known to add
// containers of that name.
func (r *Report) nameWebhooks() {
	mutators := r.mutators()
	for i, c := range r.grouped {
		if slices.ContainsFunc(c.Places, onlyByAdmission) {
			r.Changes[i].Webhook = makerOf(c, mutators[i])
		}
	}
}

// mutators are, of each change, what changes Pods and sees all that differ so.
func (r *Report) mutators() [][]string {
	mutators := make([][]string, len(r.Changes))
	seen := make([]bool, len(r.Changes))
	index := r.index()
	for _, item := range r.Items {
		for _, revision := range item.Revisions {
			for _, c := range revision.Changes {
				at, ok := index[c.ID]
				switch {
				case !ok:
				case !seen[at]:
					seen[at], mutators[at] = true, slices.Clone(revision.Mutators)
				default:
					mutators[at] = slices.DeleteFunc(mutators[at], func(name string) bool { return !slices.Contains(revision.Mutators, name) })
				}
			}
		}
	}
	return mutators
}

// onlyByAdmission holds for what a webhook or a policy gives, and neither the API server by
// itself nor the absence of a webhook.
func onlyByAdmission(c verdict.Change) bool {
	if c.To == nil {
		return false
	}
	kind, _, _ := strings.Cut(c.Part, "/")
	switch kind {
	case "container", "initContainer":
		return true
	case change.App:
		return strings.HasPrefix(c.Path, "env[") || strings.HasPrefix(c.Path, "volumeMounts[")
	}
	return false
}

// makerOf is the one that makes the change; empty where several may, or where it is a policy.
func makerOf(c change.Change, mutators []string) string {
	if len(mutators) > 1 {
		mutators = slices.DeleteFunc(slices.Clone(mutators), func(name string) bool {
			return !slices.ContainsFunc(c.Places, func(p verdict.Change) bool {
				kind, container, _ := strings.Cut(p.Part, "/")
				return (kind == "container" || kind == "initContainer") && injectors.Makes(name, container)
			})
		})
	}
	if len(mutators) != 1 || !strings.Contains(mutators[0], "/") {
		return ""
	}
	return mutators[0]
}
