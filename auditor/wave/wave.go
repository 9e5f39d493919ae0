// Package wave knows which workloads a change of the injection has reached, wave by wave:
// a wave begins when those before it are rolled out, and have been for long enough. It is
// pure.
package wave

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// Wave is a share of the workloads that changes reach together.
type Wave struct {
	Name string
	// Soak is for how long a wave must have been rolled out before the next one begins.
	Soak time.Duration
	// MaxDrift is how many percent of the wave's workloads that drifted may be left. What is
	// left alone by a guard is among them, and what cannot be judged.
	MaxDrift int
}

// Change is one thing that a new injection makes different, for whichever workloads: a
// place, and what is there now.
type Change struct {
	ID    string `json:"id"` // of place and value
	Place string `json:"place"`
	Of    string `json:"-"` // the ID of the report's change that it is part of; empty: none
}

// shortestName is how long a workload's name must be to be told from other text.
const shortestName = 3

// Changes are what of a workload's changes goes in waves, each once, sorted by ID: those
// that are a reason to roll it out, its state where nothing is known of what differs, and
// one for all that a report leaves out. Its own names are no part of a value, so that two
// workloads share what differs between them by their names alone.
func Changes(item report.Item, reasons []verdict.Change) []Change {
	own := []string{}
	for _, name := range []string{item.Name, item.Namespace} {
		if len(name) >= shortestName {
			own = append(own, name, "\x00")
		}
	}
	abstract := strings.NewReplacer(own...)
	byID := map[string]Change{}
	add := func(place, value, of string) {
		id := idOf(place, value)
		byID[id] = Change{ID: id, Place: place, Of: of}
	}
	for _, c := range reasons {
		add(c.Place(), abstract.Replace(string(c.To)), c.ID)
	}
	known := false
	for _, r := range item.Revisions {
		known = known || len(r.Changes) > 0
		if r.MoreChanges > 0 {
			add("further places", "", "")
		}
	}
	if !known {
		add(string(item.State), "", "")
	}
	return slices.SortedFunc(maps.Values(byID), func(a, b Change) int { return cmp.Compare(a.ID, b.ID) })
}

// idOf is short, as many are kept: of a thousand changes two have the same one once in
// ten million times.
func idOf(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:6])
}

// Member is a workload that drifted, or of which it is not known.
type Member struct {
	Wave      string   `json:"wave"` // its name; empty: none selects it
	Namespace string   `json:"namespace"`
	Changes   []Change `json:"changes,omitempty"`
	// Unjudged: what its next Pods would be is not known, or they would be refused. A wave
	// is not rolled out while it may yet have any change.
	Unjudged bool `json:"unjudged,omitempty"`
}
