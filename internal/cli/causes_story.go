package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/journal"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// story is what one forwards about a workload.
type story struct {
	item    report.Item // masked
	changes []report.ChangeSummary
	// began is when they did, by their IDs, as far as one look tells; known what the daemon
	// knows, which is more.
	began map[string]journal.Interval
	known []journal.Entry
	// unseen is why nothing is known of whose they are.
	unseen error
}

// paragraph says what differs, since when, whose change it is, what happens at the next
// restart, and what to do.
func (s story) paragraph() string {
	var b strings.Builder
	say := func(format string, args ...any) {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, format, args...)
	}
	name := fmt.Sprintf("%s %s/%s", s.item.Kind, s.item.Namespace, s.item.Name)
	command := fmt.Sprintf("%s/%s --namespace %s", strings.ToLower(s.item.Kind), s.item.Name, s.item.Namespace)
	reason := ""
	for _, r := range s.item.Revisions {
		reason = cmp.Or(reason, r.Reason)
	}
	switch s.item.State {
	case verdict.Blocked:
		say("%s runs, but its Pods cannot be re-created: admission refuses a new one: %s.", name, stop(reason))
		say("At the next restart, eviction or loss of a node it lacks Pods. Have that mended first; \"sidecar-drift explain %s\" shows which webhooks and policies a new Pod passes.", command)
		return b.String()
	case verdict.Unknown, verdict.Unstable:
		say("It is not known whether a restart would change the sidecars of %s: %s.", name, stop(cmp.Or(reason, "it could not be judged")))
		say("Once that is mended, \"sidecar-drift audit %s\" says it.", command)
		return b.String()
	case verdict.InSync, verdict.NotInjected, verdict.Mutated:
		say("%s has what admission gives a new Pod of it today: a restart changes nothing that is injected, and nothing is to be done.", name)
		return b.String()
	}
	s.differs(say, name)
	s.since(say)
	s.next(say)
	if s.item.Rollout.Eligible {
		say("To have that happen at a time of your choice: \"sidecar-drift rollout %s\" plans it, and does it with --confirm; \"sidecar-drift diff %s\" shows all of it.", command, command)
	} else {
		say("A rollout leaves it alone: %s. \"sidecar-drift diff %s\" shows all that would change.", stop(s.item.Rollout.Reason), command)
	}
	return b.String()
}

// stop is a sentence without its full stop.
func stop(sentence string) string { return strings.TrimRight(sentence, ". ") }

func (s story) differs(say func(string, ...any), name string) {
	pods := 0
	for state, n := range s.item.Pods {
		if state.Drift() || state == verdict.Modified {
			pods += n
		}
	}
	what := "differ from what admission gives a new one today"
	switch s.item.State {
	case verdict.Modified:
		what = "were changed in place, and differ from what admission gives a new one"
	case verdict.Missing:
		what = "lack what admission gives a new one today"
	case verdict.Orphaned:
		what = "have what admission gives a new one no more"
	}
	say("%s of %s %s: %s.", countOf(pods, "Pod", "Pods"), name, what, strings.Join(s.summaries(), "; "))
}

func (s story) summaries() []string {
	summaries := make([]string, len(s.changes))
	for i, c := range s.changes {
		summaries[i] = c.Summary
	}
	if len(summaries) == 0 {
		return []string{"see below"}
	}
	return summaries
}

// since says since when it is so, and whose change it is: by the daemon, which was there.
func (s story) since(say func(string, ...any)) {
	if len(s.known) > 0 {
		explained := false
		for _, e := range s.known[:min(len(s.known), 3)] {
			what := "This"
			if len(s.known) > 1 {
				what = e.Summary
			}
			say("%s began %s.", what, when(e.Began))
			if e.By != "" {
				explained = true
				say("Whose change it is: %s.", stop(e.By))
			}
		}
		if !explained {
			s.whose(say)
		}
		return
	}
	for i, c := range s.changes {
		what := "This"
		if len(s.changes) > 1 {
			what = fmt.Sprintf("Change %d", i+1)
		}
		if began, ok := s.began[c.ID]; ok {
			say("%s began %s.", what, when(began))
		}
	}
	s.whose(say)
}

// whose says whose changes they are, as far as one look tells.
func (s story) whose(say func(string, ...any)) {
	if s.unseen != nil {
		say("Whose change it is could not be looked for: %s.", stop(s.unseen.Error()))
		return
	}
	for _, c := range s.changes {
		if c.By != "" {
			say("Whose change it is: %s.", stop(c.By))
		}
	}
}

// when says when something began.
func when(i journal.Interval) string {
	const minute = "2006-01-02 15:04 UTC"
	switch {
	case i.After.IsZero():
		return "before " + i.By.UTC().Format(minute)
	case i.By.Sub(i.After) < time.Minute:
		return "at " + i.By.UTC().Format(minute)
	case time.Since(i.By) < time.Minute:
		return "after " + i.After.UTC().Format(minute) + ", when the last of these Pods was created"
	}
	return "between " + i.After.UTC().Format(minute) + " and " + i.By.UTC().Format(minute)
}

// next says what happens at the next restart.
func (s story) next(say func(string, ...any)) {
	risk, reason := change.Risk(""), ""
	for _, c := range s.changes {
		if risk == "" || c.Risk.Exceeds(risk) {
			risk, reason = c.Risk, c.RiskReason
		}
	}
	what := "gets it as it is today"
	if s.item.State == verdict.Orphaned {
		what = "does without: " + strings.Join(s.loses(), ", ") + " is lost"
	}
	text := fmt.Sprintf("Whatever re-creates a Pod, a rollout, an eviction or the loss of its node, %s", what)
	if risk != "" {
		text += fmt.Sprintf("; the risk is %s (%s)", risk, reason)
	}
	say("%s.", text)
}

func (s story) loses() []string {
	var all []string
	for _, r := range s.item.Revisions {
		for _, name := range r.Loses {
			if !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	if len(all) == 0 {
		return []string{"what was injected"}
	}
	return all
}
