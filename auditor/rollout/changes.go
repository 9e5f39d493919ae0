package rollout

import (
	"fmt"
	"slices"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// exceeds is why a workload is left out by what it differs in: by a change that is not named,
// or one that is too risky; empty where neither is. A re-created Pod takes over all that
// admission does today, so that all of its changes count, those of other sidecars too.
func (s Filter) exceeds(item report.Item) string {
	if !item.Differs() {
		return ""
	}
	if s.Changes.Any() && !item.Covered(s.Changes) {
		return s.unnamed(item)
	}
	if s.MaxRisk == "" {
		return ""
	}
	if risk, reason := item.Risk(); risk.Exceeds(s.MaxRisk) {
		return fmt.Sprintf("what would change is %s (%s), and --max-risk is %s", risk, reason, s.MaxRisk)
	}
	return ""
}

// unnamed says what of a workload is in no change that is named, where the audit knows.
func (s Filter) unnamed(item report.Item) string {
	var other []verdict.Change // the first place of each
	places := map[string][]string{}
	has := false
	for _, r := range item.Revisions {
		for _, c := range verdict.Stable(r.Changes) {
			switch {
			case s.Changes.Has(c.ID):
				has = true
				continue
			case c.ID == "" || slices.Contains(places[c.ID], c.Place()):
				continue
			case places[c.ID] == nil:
				other = append(other, c)
			}
			places[c.ID] = append(places[c.ID], c.Place())
		}
	}
	if place := unstable(item); len(other) == 0 && place != "" {
		return fmt.Sprintf("also differs in %s, which varies from one injection to the next and is part of no change: a re-created Pod gets it, one way or another", place)
	}
	if len(other) == 0 {
		return "it is not known whether it differs in more than the changes that --change names"
	}
	also := "differs in"
	if has {
		also = "also differs in"
	}
	more := ""
	if n := len(other) - 1; n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	at := other[0].Place()
	if n := len(places[other[0].ID]) - 1; n > 0 {
		at += fmt.Sprintf(" and %d more", n)
	}
	return fmt.Sprintf("%s change %s%s (%s), which --change does not name: a re-created Pod takes over all that admission does today",
		also, other[0].ID, more, at)
}

// unstable is the first place at which injections of a workload differ among themselves.
func unstable(item report.Item) string {
	for _, r := range item.Revisions {
		for _, c := range r.Changes {
			if c.Unstable {
				return c.Place()
			}
		}
	}
	return ""
}
