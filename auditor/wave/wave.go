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
	// MaxDrift is how many percent of the wave's workloads that drifted may be left; what is
	// left alone by a guard is among them.
	MaxDrift int
}

// Change is one thing that a new injection makes different, for whichever workloads: a
// place, and what is there now.
type Change struct {
	ID    string // of place and value
	Place string
}

// shortestName is how long a workload's name must be to be told from other text.
const shortestName = 3

// Changes are those of a drifted workload, each once, sorted by ID; its state where none
// is known. What varies from one injection to the next is none. Its own names are no part of a value, so that two
// workloads share what differs between them by their names alone.
func Changes(item report.Item) []Change {
	own := []string{}
	for _, name := range []string{item.Name, item.Namespace} {
		if len(name) >= shortestName {
			own = append(own, name, "\x00")
		}
	}
	abstract := strings.NewReplacer(own...)
	byID := map[string]Change{}
	for _, r := range item.Revisions {
		for _, c := range verdict.Stable(r.Changes) {
			change := Change{Place: c.Place()}
			change.ID = idOf(change.Place, abstract.Replace(string(c.To)))
			byID[change.ID] = change
		}
	}
	if len(byID) == 0 { // whatever it is, all that are so wait for each other
		byID[""] = Change{ID: idOf(string(item.State), ""), Place: string(item.State)}
	}
	return slices.SortedFunc(maps.Values(byID), func(a, b Change) int { return cmp.Compare(a.ID, b.ID) })
}

// idOf is short, as many are kept: of a thousand changes two have the same one once in
// ten million times.
func idOf(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:6])
}

// Member is a workload that a rollout considers, as it drifted.
type Member struct {
	Wave    string // its name; empty: none selects it
	Changes []Change
}
