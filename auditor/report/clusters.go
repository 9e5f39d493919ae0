package report

import (
	"fmt"
	"slices"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// Cluster is one of several that were audited side by side.
type Cluster struct {
	// Name is that of the kubeconfig's context.
	Name string `json:"name"`
	// Server is the address of its API server, where that was reached.
	Server string `json:"server,omitempty"`
	// Error is why it could not be audited; empty if it was.
	Error string `json:"error,omitempty"`
	// Summary counts what was found in it; nil if it could not be audited.
	Summary *Summary `json:"summary,omitempty"`
}

// Audit is the outcome of the audit of one of several clusters: a report, or an
// error.
type Audit struct {
	Cluster string
	Report  *Report
	Err     error
}

// unauditedKind stands in the place of a workload's kind for a cluster that could
// not be audited.
const unauditedKind = "Cluster"

// Merge makes one report of several clusters' audits, whose items it takes over:
// the audits are not to be used any more. Notes are each cluster's, with its name;
// those of clusters that could not be audited come first.
func Merge(now time.Time, audits []Audit) *Report {
	size, notJudged := 0, 0
	for _, a := range audits {
		if a.Report != nil {
			size += len(a.Report.Items)
			notJudged += a.Report.Summary.NotJudged
		}
	}
	items := make([]Item, 0, size)
	var clusters []Cluster
	var failed, notes []string
	var first Report
	for _, a := range audits {
		cluster := Cluster{Name: a.Cluster}
		if a.Err != nil {
			cluster.Error = a.Err.Error()
			clusters, failed = append(clusters, cluster), append(failed, cluster.note())
			continue
		}
		summary := a.Report.Summary
		cluster.Summary, cluster.Server = &summary, a.Report.identity().Server
		clusters = append(clusters, cluster)
		for _, item := range a.Report.Items {
			item.Cluster = a.Cluster
			items = append(items, item)
		}
		for _, note := range a.Report.Notes {
			notes = append(notes, a.Cluster+": "+note)
		}
		first = *a.Report // what was asked is the same for all
	}
	merged := New(DriftReport, now, items, notJudged)
	merged.Clusters, merged.Notes = clusters, slices.Concat(failed, notes)
	merged.DryRunAs = first.DryRunAs
	merged.Preview, merged.IgnoredPaths = first.Preview, first.IgnoredPaths
	return merged
}

// note says on one line that a cluster could not be audited, and why.
func (c Cluster) note() string {
	return sentence(fmt.Sprintf("Cluster %s could not be audited: %s", c.Name, c.Error))
}

// item stands for a cluster that could not be audited where all there is are
// workloads.
func (c Cluster) item() Item {
	return Item{
		Cluster: c.Name, Kind: unauditedKind, Name: c.Name, State: verdict.Unknown,
		Revisions: []Revision{{State: verdict.Unknown, Reason: c.Error}},
	}
}

// unaudited are the clusters that could not be audited.
func (r *Report) unaudited() []Cluster {
	return slices.DeleteFunc(slices.Clone(r.Clusters), func(c Cluster) bool { return c.Error == "" })
}

// clustered reports whether items have a cluster.
func (r *Report) clustered() bool {
	return slices.ContainsFunc(r.Items, func(item Item) bool { return item.Cluster != "" })
}

// withClusters puts a column with the clusters before the others, where items
// have one.
func (r *Report) withClusters(g grid) grid {
	if !r.clustered() {
		return g
	}
	g.titles = append([]string{"CLUSTER"}, g.titles...)
	g.named++
	for i := range g.rows {
		row := &g.rows[i]
		row.cells = append([]string{r.Items[i].Cluster}, row.cells...)
		styled := map[int]style{}
		for at, s := range row.styled {
			styled[at+1] = s
		}
		row.styled = styled
	}
	return g
}

// clustersText is said of several clusters before the numbers.
func (r *Report) clustersText(o TextOptions) string {
	all, missing := len(r.Clusters), len(r.unaudited())
	switch {
	case missing == all:
		return ""
	case missing == 0:
		return count(all, "cluster") + ": "
	}
	return o.paint(alarm, fmt.Sprintf("%d of %s", all-missing, count(all, "cluster"))) + ": "
}

// clusterLines are a line a cluster that was audited, where there are several.
func (r *Report) clusterLines(o TextOptions) []string {
	var lines []string
	for _, cluster := range r.Clusters {
		if s := cluster.Summary; s != nil && len(r.Clusters) > 1 {
			text := "no Pods to judge"
			if len(s.Pods) > 0 {
				text = o.judged(*s)
			}
			lines = append(lines, wrap(fmt.Sprintf("  %s: %s", Printable(cluster.Name), text), o.Width, 0)...)
		}
	}
	return lines
}

// driftText is the drift for a headline, which must not speak for clusters that
// could not be audited.
func (r *Report) driftText() string {
	all, missing := len(r.Clusters), len(r.unaudited())
	switch {
	case missing == 0:
		return r.Summary.percent()
	case missing == all:
		return "unknown"
	}
	return fmt.Sprintf("%s (%d of %s could not be audited)", r.Summary.percent(), missing, count(all, "cluster"))
}
