package report

import (
	"slices"
	"time"
)

// Replace returns the report with the given workloads as a later audit of just
// those found them: workloads that it does not hold have no Pods to judge any
// more. How many Pods are not judged stays as it was.
func (r *Report) Replace(later *Report, audited func(Item) bool) *Report {
	items := slices.DeleteFunc(slices.Clone(r.Items), audited)
	next := New(r.Kind, time.Now(), append(items, later.Items...), r.Summary.NotJudged)
	next.GeneratedAt = later.GeneratedAt
	next.Notes, next.IgnoredPaths, next.Cluster = r.Notes, r.IgnoredPaths, r.Cluster
	return next
}
