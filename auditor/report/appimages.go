package report

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// namedImages is how many images a text names.
const namedImages = 3

// ImageChanges says which of the app's own images a re-creation would replace, as
// "app: app:1 → app:2"; empty: none.
func (item Item) ImageChanges() string {
	var texts []string
	for _, revision := range item.Revisions {
		for _, c := range revision.AppImages {
			_, container, _ := strings.Cut(c.Part, "/")
			if text := fmt.Sprintf("%s: %s → %s", container, imageOf(c.From), imageOf(c.To)); !slices.Contains(texts, text) {
				texts = append(texts, text)
			}
		}
	}
	if more := len(texts) - namedImages; more > 0 {
		texts = append(texts[:namedImages], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(texts, ", ")
}

func imageOf(value json.RawMessage) string {
	var image string
	if json.Unmarshal(value, &image) != nil || image == "" {
		return "none"
	}
	return image
}

// Sidecarless reports whether something is injected into the workload, and no container:
// variables, mounts, volumes.
func (item Item) Sidecarless() bool {
	has := func(what func(Revision) bool) bool { return slices.ContainsFunc(item.Revisions, what) }
	return has(func(r Revision) bool { return r.Injected }) && !has(func(r Revision) bool { return len(r.Sidecars) > 0 })
}
