package metrics

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sidecar-drift/sidecar-drift/auditor/versions"
	"github.com/sidecar-drift/sidecar-drift/internal/injectors"
)

// mostVersions bounds the series of versions: images are the Pods' own where somebody
// declares a sidecar, so that anybody may make some.
const mostVersions = 50

var versionsDesc = prometheus.NewDesc("sidecar_drift_versions",
	"Pods by the version of a sidecar that they run, as \"sidecar-drift versions\" shows it, and whether re-created ones would get the same: those that most Pods run, 50 at most.",
	[]string{"injector", "version", "current"}, nil)

// collectVersions exports those that run. An injector that is not known is "other", as its
// name is one that anybody may give to a container.
func collectVersions(running []versions.Version, gauge func(d *prometheus.Desc, value float64, labels ...string)) {
	most := slices.SortedFunc(slices.Values(running), func(a, b versions.Version) int {
		return cmp.Or(cmp.Compare(b.Pods, a.Pods), cmp.Compare(a.ID, b.ID))
	})
	exported := map[string]bool{}
	for _, v := range most[:min(len(most), mostVersions)] {
		if exported[v.ID] {
			continue // series are told apart by it
		}
		exported[v.ID] = true
		name := v.Injector
		if !injectors.Known(name) {
			name = other
		}
		current := ""
		if v.Current != nil {
			current = strconv.FormatBool(*v.Current)
		}
		gauge(versionsDesc, float64(v.Pods), name, v.ID, current)
	}
}
