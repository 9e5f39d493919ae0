package report

import (
	"io"
	"slices"

	openreports "github.com/openreports/reports-api/apis/openreports.io/v1alpha1"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

// Shown is a report as outputs show it. Whatever is rendered is rendered from one,
// and the only way to it is [Report.Masked]: an output cannot forget to mask.
type Shown struct{ report *Report }

// Masked returns the report with masks in the place of secrets: in the values of
// changes, in what was previewed, and in reasons and notes, which quote others.
// [mask.Off] leaves all as it is, but for what is told of changes. The report itself stays
// as it is; where changes were not looked for, they are.
func (r *Report) Masked(m *mask.Masker) Shown {
	masked := *r
	if masked.Changes == nil {
		masked.Group()
	}
	masked.Items = slices.Clone(masked.Items)
	for i := range masked.Items {
		item := &masked.Items[i]
		item.Rollout.Reason = m.Prose(item.Rollout.Reason)
		item.Revisions = slices.Clone(item.Revisions)
		for j := range item.Revisions {
			revision := &item.Revisions[j]
			revision.Reason = m.Prose(revision.Reason)
			revision.Changes = change.Masked(m, revision.Changes)
			revision.Autoscaled = change.Masked(m, revision.Autoscaled)
			revision.Metadata = change.Masked(m, revision.Metadata)
			revision.Candidate = revision.Candidate.masked(m)
			revision.Biased, revision.Varies, revision.Undecided = maskPlaces(m, revision.Biased), maskPlaces(m, revision.Varies), maskPlaces(m, revision.Undecided)
		}
	}
	masked.Notes = slices.Clone(r.Notes)
	for i, note := range masked.Notes {
		masked.Notes[i] = m.Prose(note)
	}
	masked.Clusters = slices.Clone(r.Clusters)
	for i := range masked.Clusters {
		masked.Clusters[i].Error = m.Prose(masked.Clusters[i].Error)
	}
	if p := r.Preview; p != nil {
		of := *p
		of.Labels, of.Annotations = maskTexts(m, p.Labels), maskTexts(m, p.Annotations)
		of.Webhooks = slices.Clone(p.Webhooks)
		for i := range of.Webhooks {
			of.Webhooks[i].Candidate = m.Prose(of.Webhooks[i].Candidate)
		}
		masked.Preview = &of
	}
	return Shown{&masked}
}

func (c *Candidate) masked(m *mask.Masker) *Candidate {
	if c == nil {
		return nil
	}
	masked := *c
	masked.Changes, masked.Reason = orEmpty(change.Masked(m, c.Changes)), m.Prose(c.Reason)
	return &masked
}

func maskPlaces(m *mask.Masker, places []string) []string {
	masked := slices.Clone(places)
	for i, place := range masked {
		masked[i] = m.Prose(place)
	}
	return masked
}

func maskTexts(m *mask.Masker, texts map[string]string) map[string]string {
	if texts == nil {
		return nil
	}
	masked := make(map[string]string, len(texts))
	for name, text := range texts {
		masked[name] = m.Value(name, text)
	}
	return masked
}

// Items are the workloads as they are shown. They are not to be changed.
func (s Shown) Items() []Item { return s.report.Items }

// Write renders the report in one of the formats; it fails on an unknown one
// and when w does.
func (s Shown) Write(w io.Writer, format Format, o TextOptions) error {
	return s.report.write(w, format, o)
}

// WriteDiff renders every change as the lines that a re-creation would remove
// and add, by workload, revision and part, and then the summary.
func (s Shown) WriteDiff(w io.Writer, o TextOptions) error { return s.report.writeDiff(w, o) }

// OpenReports returns the report as objects of openreports.io, by namespace: one
// result a workload, sorted by kind and name. The object of a namespace is named
// sidecar-drift; where that would grow too large to be stored, the rest follows
// in sidecar-drift-2 and so on.
func (s Shown) OpenReports() []openreports.Report { return s.report.openReports() }
