package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// summaryText is the line (or two) under the table.
func (r *Report) summaryText(o TextOptions) string {
	if r.Kind == RolloutReport {
		return r.rolloutSummary(o)
	}
	workloads, pods := total(r.Summary.Workloads), total(r.Summary.Pods)
	text := "No Pods found to judge."
	switch {
	case len(r.Clusters) > 0 && len(r.unaudited()) == len(r.Clusters):
		text = o.paint(alarm, "No cluster could be audited.")
	case workloads > 0:
		text = fmt.Sprintf("%s, %s: %s", count(workloads, "workload"), count(pods, "Pod"), o.judged(r.Summary)+r.askedText())
	case r.Summary.NotJudged > 0:
		text = fmt.Sprintf("No Pods found to judge; %s not judged (finished, being deleted or static).", count(r.Summary.NotJudged, "Pod"))
	}
	lines := append(r.identityLines(o), wrap(r.previewText(o)+r.clustersText(o)+text, o.Width, 0)...)
	lines = append(lines, r.clusterLines(o)...)
	if text := r.foreseenText(); text != "" {
		lines = append(lines, wrap(text, o.Width, 0)...)
	}
	for _, note := range r.Notes {
		lines = append(lines, wrap(sentence(note), o.Width, 0)...)
	}
	if len(r.IgnoredPaths) > 0 {
		lines = append(lines, wrap(fmt.Sprintf("Ignored: %s at %s (--ignore-path).",
			count(r.ignored(), "difference"), Printable(strings.Join(r.IgnoredPaths, ", "))), o.Width, 0)...)
	}
	if hidden := r.hidden(); total(hidden) > 0 {
		lines = append(lines, wrap(fmt.Sprintf("Not shown: %s (--state shows them).", o.byState(hidden)), o.Width, 0)...)
	}
	return strings.Join(lines, "\n") + "\n"
}

// judged says what was found of Pods.
func (o TextOptions) judged(s Summary) string {
	text := o.byState(s.Pods)
	if s.NotJudged > 0 {
		text += fmt.Sprintf("; %d not judged", s.NotJudged)
	}
	return text + "; drift " + o.paint(bold, s.percent())
}

// askedText says as whom an audit asked.
func (r *Report) askedText() string {
	switch r.DryRunAs {
	case "controller":
		return "; asked as the Pods' controllers"
	case "self":
		return "; asked as yourself"
	}
	return ""
}

// previewText introduces the numbers of a preview.
func (r *Report) previewText(o TextOptions) string {
	if r.Preview == nil {
		return ""
	}
	if r.Preview.ofCandidate() {
		return o.paint(bold, "Preview") + " of " + Printable(r.Preview.candidates()) + ": "
	}
	var added []string
	for _, of := range []struct {
		what  string
		texts map[string]string
	}{{"label", r.Preview.Labels}, {"annotation", r.Preview.Annotations}} {
		for _, key := range slices.Sorted(maps.Keys(of.texts)) {
			added = append(added, Printable(fmt.Sprintf("%s %s=%s", of.what, key, of.texts[key])))
		}
	}
	return o.paint(bold, "Preview") + " with " + strings.Join(added, ", ") + ": "
}

// ignored counts the differences that were left out on request.
func (r *Report) ignored() int {
	sum := 0
	for _, item := range r.Items {
		for _, revision := range item.Revisions {
			sum += revision.Ignored
		}
	}
	return sum
}

// hidden counts the workloads of the summary that are not among the items.
func (r *Report) hidden() map[verdict.State]int {
	hidden := map[verdict.State]int{}
	for state, workloads := range r.Summary.Workloads {
		hidden[state] = workloads
	}
	for _, item := range r.Items {
		hidden[item.State]--
	}
	return hidden
}

func (r *Report) rolloutSummary(o TextOptions) string {
	lines := r.identityLines(o)
	if len(r.Items) == 0 {
		return strings.Join(append(lines, "Nothing to roll out."), "\n") + "\n"
	}
	results := map[Result]int{}
	for _, item := range r.Items {
		results[item.Rollout.Result]++
	}
	var parts []string
	for _, result := range []Result{Failed, NotConverging, Reverted, Interrupted, RolledOut, Resized, Planned, Skipped} {
		if n := results[result]; n > 0 {
			parts = append(parts, o.paint(resultStyle(result), fmt.Sprintf("%d %s", n, result)))
		}
	}
	text := fmt.Sprintf("%s: %s", count(len(r.Items), "workload"), strings.Join(parts, ", "))
	if in := took(r.Items); in != "" {
		text += ", " + in
	}
	return strings.Join(append(lines, wrap(text, o.Width, 0)...), "\n") + "\n"
}

// took says how long it was from the first start of a rollout to the last end; empty
// where none has ended.
func took(items []Item) string {
	var first, last time.Time
	for _, item := range items {
		r := item.Rollout
		if r.StartedAt == nil || r.FinishedAt == nil {
			continue
		}
		if first.IsZero() || r.StartedAt.Before(first) {
			first = *r.StartedAt
		}
		if r.FinishedAt.After(last) {
			last = *r.FinishedAt
		}
	}
	if first.IsZero() {
		return ""
	}
	return "in " + duration.HumanDuration(last.Sub(first))
}

// byState lists what there is of each state, worst first: "3 Drifted, 9
// InSync". States that this build does not know are left out.
func (o TextOptions) byState(counts map[verdict.State]int) string {
	var parts []string
	for _, state := range verdict.States() {
		if n := counts[state]; n > 0 {
			parts = append(parts, o.paint(stateStyle(state), fmt.Sprintf("%d %s", n, state)))
		}
	}
	return strings.Join(parts, ", ")
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// percent is the drift in words.
func (s Summary) percent() string {
	if s.DriftPercent == nil {
		return "–"
	}
	return percent(*s.DriftPercent)
}

// percent never rounds a little drift down to none, nor up to all.
func percent(p float64) string {
	switch {
	case p > 0 && p < 0.1:
		return "<0.1 %"
	case p > 99.9 && p < 100:
		return ">99.9 %"
	}
	return fmt.Sprintf("%.1f %%", p)
}
