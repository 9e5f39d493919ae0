package cli

import (
	"time"

	"github.com/spf13/pflag"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/config"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
)

// rolloutFlags point to what the flags that say how to roll out set, for "rollout" and
// "serve" alike. What is there when they are added is their default.
type rolloutFlags struct {
	strategy                        *rollout.Strategy
	parallel                        *int
	order                           *rollout.Order
	canary                          *int
	soak                            *time.Duration
	maxUnavailable, percent         *int
	timeout, maxDuration            *time.Duration
	maxFailures                     *int
	prefix, reason, manager, lockIn *string
	includeSidecarless              *bool
	includeSpent                    *bool
	allowOrphaned, allowDowntime    *bool
	maxRisk                         *change.Risk
}

func flagsOfCommand(o *rollout.Options, lockNamespace *string) rolloutFlags {
	return rolloutFlags{
		strategy: &o.Strategy,
		parallel: &o.Pace.Parallel, order: &o.Pace.Order, canary: &o.Pace.Canary, soak: &o.Pace.Soak,
		maxUnavailable: &o.Pace.MaxUnavailable, percent: &o.Pace.MaxUnavailablePercent,
		timeout: &o.Pace.Timeout, maxDuration: &o.Pace.MaxDuration, maxFailures: &o.Pace.MaxFailures,
		prefix: &o.Mark.AnnotationPrefix, reason: &o.Mark.Reason, manager: &o.Mark.FieldManager, lockIn: lockNamespace,
		includeSidecarless: &o.Select.IncludeSidecarless, includeSpent: &o.Select.IncludeSpent,
		allowOrphaned: &o.Guards.AllowOrphaned, allowDowntime: &o.Guards.AllowDowntime,
		maxRisk: &o.Select.MaxRisk,
	}
}

func flagsOfConfiguration(a *config.AutoRollout) rolloutFlags {
	return rolloutFlags{
		strategy: &a.Strategy,
		parallel: &a.ParallelRollouts, order: &a.OrderBy, canary: &a.Canary, soak: &a.Soak.Duration,
		maxUnavailable: &a.MaxUnavailable, percent: &a.MaxUnavailablePercent,
		timeout: &a.Timeout.Duration, maxDuration: &a.MaxDuration.Duration, maxFailures: &a.MaxFailures,
		prefix: &a.AnnotationPrefix, reason: &a.RolloutReason, manager: &a.FieldManager, lockIn: &a.LockNamespace,
		includeSidecarless: &a.IncludeSidecarless, includeSpent: &a.IncludeSpent,
		allowOrphaned: &a.AllowOrphaned, allowDowntime: &a.AllowDowntime,
		maxRisk: &a.MaxRisk,
	}
}

func (h rolloutFlags) addGuards(flags *pflag.FlagSet) {
	addSwitch(flags, h.includeSidecarless, "include-sidecarless", "Also workloads into which no container is injected, but variables, mounts or volumes.")
	addSwitch(flags, h.includeSpent, "include-spent", "Also workloads that differ only in how init containers ran that have ended.")
	addSwitch(flags, h.allowOrphaned, "allow-orphaned", "Also where a sidecar would be lost. Make sure that the injector is up.")
	addSwitch(flags, h.allowDowntime, "allow-downtime", "Also where a restart leaves no Pod available for a while, or hangs until one goes.")
	addChoice(flags, h.maxRisk, "max-risk", "", "Leave out what differs in something riskier than this, %s, by the rules of docs/changes.md; the last sets no limit, and still needs --allow-orphaned.", change.Risks()...)
}

func (h rolloutFlags) addPace(flags *pflag.FlagSet) {
	addChoice(flags, h.strategy, "strategy", "", "How Pods are re-created, %s: by annotations of the Pod template, for which the workload's controller replaces them; one by one by eviction, which honours PodDisruptionBudgets and leaves the template alone; not at all, by resizing running containers in place where nothing but their CPU and memory differs; or by what is less invasive for each workload.", rollout.Strategies...)
	addCount(flags, h.parallel, "parallel-rollouts", *h.parallel, "Number of workloads that are rolled out at a time. Two behind one PodDisruptionBudget never are.")
	addChoice(flags, h.order, "order-by", "", "Which go first: by %s (the fewest Pods, the oldest Pods first).", rollout.ByName, rollout.ByPods, rollout.ByAge)
	addCount(flags, h.canary, "canary", *h.canary, "Roll out this `number` of workloads first, at most one a namespace; the others follow only if all of them succeed.")
	flags.DurationVar(h.soak, "soak", *h.soak, "How long the canaries must stay available, with no container restarted, before the others follow.")
	addCount(flags, h.maxUnavailable, "max-unavailable", *h.maxUnavailable, "With --strategy evict or auto: evict another Pod of a workload only while fewer than this `number` are unavailable.")
	addPercent(flags, h.percent, "max-unavailable-percent", "Start no workload whose rollout could bring the unavailable Pods over this `percentage` of the injected Pods that were audited.")
	flags.DurationVar(h.timeout, "timeout", *h.timeout, "How long a workload may make no progress, besides its minReadySeconds: no Pod of it is created, becomes available or goes.")
	flags.DurationVar(h.maxDuration, "max-duration", *h.maxDuration, "How long a workload may take in all, however it goes on; 0 sets no limit.")
	addCount(flags, h.maxFailures, "max-failures", *h.maxFailures, "Start nothing new after this `number` of workloads failed, did not converge or were taken back.")
	flags.StringVar(h.prefix, "annotation-prefix", *h.prefix, "The `prefix`, without a slash, of the annotations PREFIX.rollout.timestamp and PREFIX.rollout.reason on the Pod template.")
	flags.StringVar(h.reason, "rollout-reason", *h.reason, "The `text` of the reason annotation, at most 1024 printable characters (default \"Update sidecars NAME,…\")")
	flags.StringVar(h.manager, "field-manager", *h.manager, "The `name` that the changes are made under.")
	flags.StringVar(h.lockIn, "lock-namespace", *h.lockIn, "The `namespace` of the Lease that keeps other runs out (default sidecar-drift if it exists, else kube-system)")
}
