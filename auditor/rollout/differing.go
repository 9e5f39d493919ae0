package rollout

import (
	"slices"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// differing is where fresh Pods may not have what keeps them from starting beside the old ones;
// empty where they have the same, or more of it.
type differing struct {
	ports, claims string
	placement     string // where a Pod may be
}

// differingOf is what the audit found.
func differingOf(item report.Item) differing {
	var d differing
	for _, r := range item.Revisions {
		for _, c := range verdict.Stable(r.Changes) {
			if of := d.field(c); of != nil && *of == "" {
				*of = sentence(c.Place(), longestQuote)
			}
		}
	}
	if slices.ContainsFunc(item.Revisions, func(r report.Revision) bool { return r.MoreChanges > 0 }) {
		const more = "more than an audit keeps"
		d = differing{orElse(d.ports, more), orElse(d.claims, more), orElse(d.placement, more)}
	}
	return d
}

// placing are fields of a Pod that say where it may be.
var placing = []string{"affinity", "nodeSelector", "schedulerName", "tolerations"}

// field is where a change is noted; nil if it matters to nothing here.
func (d *differing) field(c verdict.Change) *string {
	cut := strings.Contains(string(c.From), " bytes, sha256 ")
	has := func(what string) bool { return cut || strings.Contains(c.Path+string(c.From), what) }
	at := func(field string) bool {
		rest, begins := strings.CutPrefix(c.Path, field)
		return begins && (rest == "" || strings.ContainsRune(".[ ", rune(rest[0])))
	}
	part, _, _ := strings.Cut(c.Part, "/")
	switch {
	case part == "pod" && slices.ContainsFunc(placing, at):
		return &d.placement
	case c.From == nil: // a fresh Pod only has more
	case part == "pod" && at("hostNetwork"), part == "initContainer" && at("restartPolicy"):
		return &d.ports
	case (part == "container" || part == "initContainer" || part == "app") && (at("ports") || c.Path == "" && has("hostPort")):
		return &d.ports
	case part == "volumes" && has("persistentVolumeClaim"):
		return &d.claims
	}
	return nil
}
