package change

import (
	"fmt"
	"slices"
	"strings"
)

// longestSummary is the number of places that a summary spells out.
const longestSummary = 8

// shortPaths are what people call a field.
var shortPaths = map[string]string{
	"resources.requests.cpu": "cpu", "resources.requests.memory": "memory",
	"resources.limits.cpu": "cpu limit", "resources.limits.memory": "memory limit",
}

// Summary says in one line what the change is: "istio-proxy image 1.28.0 → 1.29.0, cpu
// 150m → 200m".
func (c Change) Summary() string {
	shown := slices.Clone(c.Places)
	slices.SortStableFunc(shown, compare)
	var b strings.Builder
	for i, place := range shown {
		if i == longestSummary {
			fmt.Fprintf(&b, " (+%d more)", len(shown)-i)
			break
		}
		switch {
		case i == 0:
			b.WriteString(PartName(place.Part) + " ")
		case place.Part == shown[i-1].Part:
			b.WriteString(", ")
		default:
			b.WriteString("; " + PartName(place.Part) + " ")
		}
		path := place.Path
		if short, ok := shortPaths[path]; ok {
			path = short
		}
		b.WriteString(describe(place, path))
	}
	return b.String()
}
