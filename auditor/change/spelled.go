package change

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/meaning"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec"
)

const (
	// BecomesNative is the path of a change that is shown in the place of two: a container
	// that goes, and an init container of its name that comes and keeps running.
	BecomesNative = "becomes a native sidecar"
	// MaxSpelled is how many places of a value are shown; where more differ, all of it is.
	MaxSpelled = 20
	// shortValue is the number of bytes up to which a value is shown as it is.
	shortValue = 24
)

// Spelled returns changes as people are shown them: of a list of arguments, JSON, YAML
// or certificates what changed in it, and a container that becomes a native sidecar as
// one change, and what else of it does; the most telling first. Values are masked already.
func Spelled(changes []verdict.Change) []verdict.Change {
	native := nativeSidecars(changes)
	shown := make([]verdict.Change, 0, len(changes))
	for _, c := range changes {
		kind, name, _ := strings.Cut(c.Part, "/")
		was, becomes := native[name]
		switch {
		case becomes && c.Path == "" && kind == "container":
		case becomes && c.Path == "" && kind == "initContainer":
			shown = append(shown, verdict.Change{Part: c.Part, Path: BecomesNative, ID: c.ID})
			for _, d := range whenNative(was, c.To) {
				shown = append(shown, verdict.Change{Part: c.Part, Path: d.Path, From: d.From, To: d.To, ID: c.ID})
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

// whenNative is in what else a native sidecar differs from the container that it was: not in
// what makes it one, nor in what the API server gives each container as it likes.
func whenNative(was, is json.RawMessage) []meaning.Difference {
	if !meaning.Of(was).Decoded() {
		was = json.RawMessage("{}")
	}
	return slices.DeleteFunc(differences(was, is), func(d meaning.Difference) bool {
		has := func(text string) bool {
			return strings.Contains(d.Path, text) || bytes.Contains(d.From, []byte(text)) || bytes.Contains(d.To, []byte(text))
		}
		resize := strings.HasPrefix(d.Path, "resizePolicy") && !has("RestartContainer")
		return d.Path == "restartPolicy" || resize || strings.HasPrefix(d.Path, "volumeMounts") && has(podspec.TokenVolume)
	})
}

// inside is a change as what differs inside of the value, or as it is.
func inside(c verdict.Change) []verdict.Change {
	whole := []verdict.Change{c}
	if c.Unstable || c.Part == "order" || c.From == nil || c.To == nil || len(c.From) <= shortValue && len(c.To) <= shortValue {
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
		shown = append(shown, verdict.Change{Part: c.Part, Path: into + d.Path, From: d.From, To: d.To, OneShot: c.OneShot, Spent: c.Spent, ID: c.ID})
	}
	if len(shown) == 0 || len(shown) > MaxSpelled {
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

func mostTellingFirst(a, b verdict.Change) int {
	return cmp.Or(
		cmp.Compare(partRank(a), partRank(b)),
		cmp.Compare(a.Part, b.Part),
		UnstableLast(a, b),
		cmp.Compare(pathRank(a.Path), pathRank(b.Path)),
	)
}

// UnstableLast orders changes by whether they are stable alone.
func UnstableLast(a, b verdict.Change) int {
	switch {
	case a.Unstable == b.Unstable:
		return 0
	case a.Unstable:
		return 1
	}
	return -1
}

// partRank puts what keeps running before what has ended.
func partRank(c verdict.Change) int {
	kind, _, _ := strings.Cut(c.Part, "/")
	if kind == "initContainer" && c.OneShot {
		kind = "oneShot"
	}
	return slices.Index([]string{"container", "initContainer", "oneShot", "app", "pod", "metadata", "volumes", "order"}, kind)
}

func pathRank(path string) int {
	switch {
	case path == BecomesNative:
		return -1
	case path == "", path == "image":
		return 0
	case strings.HasPrefix(path, "resources."):
		return 1
	}
	return 2
}
