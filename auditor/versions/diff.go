package versions

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// place is where a leaf is; a whole container's has no path.
type place struct{ part, path string }

// Differences are what would become of one spec if it became the other: what a report calls
// changes, without what is a Pod's own. There are as many as may be kept of one revision.
func Differences(from, to Spec) []verdict.Change {
	if from == to {
		return nil
	}
	a, b := from.values(), to.values()
	changes := becomeNative(a, b)
	dropWhole(a, b)
	places := map[place]bool{}
	for _, side := range []map[place]json.RawMessage{a, b} {
		for at := range side {
			places[at] = true
		}
	}
	for at := range places {
		if string(a[at]) != string(b[at]) {
			changes = append(changes, verdict.Change{Part: at.part, Path: at.path, From: a[at], To: b[at]})
		}
	}
	slices.SortFunc(changes, verdict.CompareChanges)
	changes, _ = verdict.Bound(changes)
	return changes
}

// dropWhole leaves of a container that only one has nothing but that, and of one that both
// have its values.
func dropWhole(a, b map[place]json.RawMessage) {
	common := map[string]bool{}
	for at := range a {
		_, has := b[place{part: at.part}]
		common[at.part] = has
	}
	for _, side := range []map[place]json.RawMessage{a, b} {
		maps.DeleteFunc(side, func(at place, _ json.RawMessage) bool { return (at.path == "") == common[at.part] })
	}
}

// becomeNative takes containers that become native sidecars for the same containers.
func becomeNative(a, b map[place]json.RawMessage) (changes []verdict.Change) {
	for at := range maps.Clone(a) {
		kind, name, _ := strings.Cut(at.part, "/")
		native := place{part: "initContainer/" + name}
		if at.path != "" || kind != "container" || b[native] == nil || a[native] != nil {
			continue
		}
		changes = append(changes, verdict.Change{Part: native.part, Path: change.BecomesNative})
		for other, value := range maps.Clone(a) {
			if other.part == at.part {
				delete(a, other)
				a[place{native.part, other.path}] = value
			}
		}
		delete(b, place{native.part, "restartPolicy"})
	}
	return changes
}

// values are the leaves by their places, and of each container its image besides.
func (s Spec) values() map[place]json.RawMessage {
	values := map[place]json.RawMessage{}
	for _, l := range s.content().Leaves {
		values[place{l.Part, l.Path}] = l.Value
		whole := place{part: l.Part}
		if l.Path == "image" {
			values[whole] = encoded(map[string]any{"image": l.Value})
		} else if values[whole] == nil {
			values[whole] = json.RawMessage("{}")
		}
	}
	return values
}
