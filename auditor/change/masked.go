package change

import (
	"slices"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

// Masked returns differences with masks in the place of secrets, lists that are null as
// they are.
func Masked(m *mask.Masker, changes []verdict.Change) []verdict.Change {
	masked := slices.Clone(changes)
	for i := range masked {
		c := &masked[i]
		for _, path := range secretsAt(c.Path) {
			c.From, c.To = m.At(path, c.From), m.At(path, c.To)
		}
		c.Path = m.Prose(c.Path)
	}
	return masked
}

// secretsAt are the paths that may name a secret: that of a value and, of a place inside
// of what it means, all on the way there.
func secretsAt(path string) []string {
	outer, inner, inside := strings.Cut(path, verdict.Inside)
	paths := []string{outer}
	if !inside {
		return paths
	}
	for at := range len(inner) {
		if inner[at] == '.' || inner[at] == '[' && at > 0 {
			paths = append(paths, inner[:at])
		}
	}
	return append(paths, inner)
}
