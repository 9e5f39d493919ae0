// Package rollout re-creates the Pods whose sidecars drifted, and only those,
// by restarting their workloads.
//
// Plan turns an audit's report into an ordered plan: what would be rolled out
// and what is left out, each with a reason. It changes nothing. Run carries a
// plan out: some workloads at a time it checks every guard again, patches two
// annotations into the Pod template, waits until the workload has settled,
// audits it once more and remembers the result in an annotation of the
// workload.
//
// What decides is pure (choose, the guards, digestOf, troubleOf); cluster.go and
// watch.go are the edge.
package rollout
