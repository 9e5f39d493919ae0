package report

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/meaning"
)

const (
	// becomesNative is the path of a change that is shown in the place of two: a container
	// that goes, and an init container of its name that comes and keeps running.
	becomesNative = "becomes a native sidecar"
	// maxSpelled is how many places of a value are shown; where more differ, all of it is.
	maxSpelled = 20
)

// spelledOut returns changes as people are shown them: of a list of arguments, JSON, YAML
// or certificates what changed in it, and a container that becomes a native sidecar as
// one change, and what else of it does; the most telling first. Values are masked already.
func spelledOut(changes []verdict.Change) []verdict.Change {
	native := nativeSidecars(changes)
	shown := make([]verdict.Change, 0, len(changes))
	for _, c := range changes {
		kind, name, _ := strings.Cut(c.Part, "/")
		was, becomes := native[name]
		switch {
		case becomes && c.Path == "" && kind == "container":
		case becomes && c.Path == "" && kind == "initContainer":
			shown = append(shown, verdict.Change{Part: c.Part, Path: becomesNative})
			for _, d := range differences(was, c.To) {
				if d.Path != "restartPolicy" {
					shown = append(shown, verdict.Change{Part: c.Part, Path: d.Path, From: d.From, To: d.To})
				}
			}
		default:
			shown = append(shown, inside(c)...)
		}
	}
	slices.SortStableFunc(shown, mostTellingFirst)
	return shown
}

// nativeSidecars are the containers that become one, as they were, by name.
func nativeSidecars(changes []verdict.Change) map[string]json.RawMessage {
	var native map[string]json.RawMessage
	for _, c := range changes {
		name, isInit := strings.CutPrefix(c.Part, "initContainer/")
		if !isInit || c.Path != "" || c.From != nil || !runs(c.To) {
			continue
		}
		for _, other := range changes {
			if other.Part == "container/"+name && other.Path == "" && other.To == nil {
				if native == nil {
					native = map[string]json.RawMessage{}
				}
				native[name] = other.From
			}
		}
	}
	return native
}

// runs reports whether an init container is a sidecar.
func runs(container json.RawMessage) bool {
	var of struct {
		RestartPolicy string `json:"restartPolicy"`
	}
	return json.Unmarshal(container, &of) == nil && of.RestartPolicy == "Always"
}

// inside is a change as what differs inside of the value, or as it is.
func inside(c verdict.Change) []verdict.Change {
	whole := []verdict.Change{c}
	if c.Unstable || c.Part == "order" || c.From == nil || c.To == nil || len(c.From) <= longestValue && len(c.To) <= longestValue {
		return whole
	}
	into := c.Path
	if c.From[0] == '"' {
		into += verdict.Inside // what a text means has places of its own
	}
	var shown []verdict.Change
	for _, d := range differences(c.From, c.To) {
		switch {
		case d.Path == "":
			return whole
		case d.Path[0] != '[' && into == c.Path && into != "":
			d.Path = "." + d.Path
		}
		shown = append(shown, verdict.Change{Part: c.Part, Path: into + d.Path, From: d.From, To: d.To, OneShot: c.OneShot, Spent: c.Spent})
	}
	if len(shown) == 0 || len(shown) > maxSpelled {
		return whole
	}
	return shown
}

func differences(from, to json.RawMessage) []meaning.Difference {
	a, b := meaning.Of(from), meaning.Of(to)
	if !a.Decoded() || !b.Decoded() {
		return nil
	}
	found, _ := meaning.Diff(a, b, meaning.Variation{})
	return found
}
