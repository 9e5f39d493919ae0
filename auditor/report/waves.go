package report

import (
	"slices"
	"time"

	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

// Progress is how far changes of the injection are, wave by wave.
type Progress struct {
	// Places that differ, as PART:PATH.
	Places []string `json:"places"`
	// MorePlaces is how many more there are.
	MorePlaces int `json:"morePlaces,omitempty"`
	// Changes are the IDs of some of the report's changes that these are of.
	Changes []string `json:"changes,omitempty"`
	// Since is when the first workload was seen to differ so.
	Since time.Time      `json:"since"`
	Waves []WaveProgress `json:"waves"`
}

// MaskProgress returns the changes with masks in the place of secrets that are part of a
// place, as the key of a list's item may be.
func MaskProgress(m *mask.Masker, changes []Progress) []Progress {
	masked := slices.Clone(changes)
	for i := range masked {
		masked[i].Places = maskPlaces(m, masked[i].Places)
	}
	return masked
}

// WavePhase says how far a wave is.
type WavePhase string

// Phases of a wave, in their order.
const (
	WaveWaiting    WavePhase = "Waiting"    // for the waves before it
	WaveRollingOut WavePhase = "RollingOut" // its workloads may be rolled out
	WaveSoaking    WavePhase = "Soaking"    // rolled out; the next one begins at Until
	WaveOver       WavePhase = "Over"       // rolled out for long enough
)

// WavePhases returns all of them, in their order.
func WavePhases() []WavePhase { return []WavePhase{WaveWaiting, WaveRollingOut, WaveSoaking, WaveOver} }

// WaveProgress is how far changes are in one wave.
type WaveProgress struct {
	Name string `json:"name"`
	// Workloads is how many drifted by the changes, and Drifted how many still do.
	Workloads int `json:"workloads"`
	Drifted   int `json:"drifted"`
	// Unjudged is how many workloads of a wave that is rolled out are not judged, and may yet
	// have the changes.
	Unjudged int `json:"unjudged,omitempty"`
	// Namespaces of some that still drift, while the wave is rolled out.
	Namespaces []string   `json:"namespaces,omitempty"`
	Phase      WavePhase  `json:"phase"`
	Until      *time.Time `json:"until,omitempty"`
}

// Equal reports whether two are equally far.
func (p WaveProgress) Equal(o WaveProgress) bool {
	return p.Name == o.Name && p.Workloads == o.Workloads && p.Drifted == o.Drifted && p.Phase == o.Phase &&
		p.Unjudged == o.Unjudged && slices.Equal(p.Namespaces, o.Namespaces) &&
		(p.Until == nil) == (o.Until == nil) && (p.Until == nil || p.Until.Equal(*o.Until))
}
