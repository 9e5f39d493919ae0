package report

import (
	"slices"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// notCounted says, for a wide table, what differs in the workload's Pods and does not
// count.
func notCounted(item Item) []string {
	var metadata []verdict.Change
	var places []string
	more := 0
	for _, revision := range item.Revisions {
		for _, c := range revision.Metadata {
			if !slices.ContainsFunc(metadata, func(other verdict.Change) bool { return keyOf(other) == keyOf(c) }) {
				metadata = append(metadata, c)
			}
		}
		more += revision.MoreMetadata
		places = append(places, revision.Undecided...)
	}
	var texts []string
	if len(metadata) > manyMetadata {
		more += len(metadata) - manyMetadata
		metadata = metadata[:manyMetadata]
	}
	if len(metadata) > 0 {
		texts = append(texts, "not counted: "+summarizeChanges(metadata, more, 0, 0))
	}
	slices.Sort(places)
	if places = slices.Compact(places); len(places) > 0 {
		texts = append(texts, "not decided: "+strings.Join(shortened(places), ", "))
	}
	return texts
}

// manyMetadata is how many labels and annotations of a workload a line shows.
const manyMetadata = 20

// shortened are as many places as a line shows.
func shortened(places []string) []string {
	short := make([]string, 0, manyNames)
	for _, place := range places[:min(len(places), manyNames)] {
		short = append(short, truncate(Printable(place), longestPlace))
	}
	return short
}
