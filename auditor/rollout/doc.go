// Package rollout re-creates the Pods whose sidecars drifted, and only those.
//
// Plan turns an audit's report into an ordered plan: what would be rolled out
// and what is left out, each with a reason. It changes nothing. Run carries a
// plan out, some workloads at a time. For each it checks every guard again, has
// the Pods re-created by a strategy (restart, evict), or resized in place, waits
// until the workload has settled, audits it once more and remembers the result in
// an annotation of the workload. A Lease (Acquire) keeps two runs apart.
//
// Read selection.go (what the audit alone decides), facts.go and guard.go (what
// the workload itself decides), plan.go, then run.go (what may start beside what)
// and task.go (one workload's way), with the strategies in restart.go and
// evict.go, and what needs no new Pod in resizable.go (pure) and resize.go, which
// strategy.go chooses from; takenback.go is about restarts that
// somebody undoes. What decides is pure; cluster.go, objects.go and watch.go are the edge.
package rollout
