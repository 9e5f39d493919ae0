package rollout

import (
	"context"
	"time"

	"github.com/go-logr/logr"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// Strategy is how Pods are re-created.
type Strategy string

const (
	// Restart patches the Pod template, so that the workload's controller
	// replaces its Pods. Rolling updates do not honour PodDisruptionBudgets
	// (kubernetes#89820); the guards look at them instead.
	Restart Strategy = "restart"
	// Evict evicts the drifted Pods, one after the other, and leaves the
	// workload as it is: PodDisruptionBudgets decide the pace.
	Evict Strategy = "evict"
	// Resize gives running containers of the drifted Pods the CPU and memory that they are to
	// have, where nothing else differs. Nothing is restarted.
	Resize Strategy = "resize"
	// Auto chooses for each workload: see resolved. What is restarted and taken back is
	// evicted, and what cannot be resized after all is re-created.
	Auto Strategy = "auto"
)

// Strategies are those that there are.
var Strategies = []Strategy{Restart, Evict, Resize, Auto}

// Order is the order of a plan.
type Order string

// Orders.
const (
	ByName Order = "name" // namespace, kind, name
	ByPods Order = "pods" // the fewest Pods first
	ByAge  Order = "age"  // the workload of the oldest Pod first
)

// Defaults of Pace and Mark.
const (
	DefaultTimeout          = 300 * time.Second
	DefaultAnnotationPrefix = "sidecarRollout"
	DefaultFieldManager     = "sidecar-drift"
)

// Options of MakePlan and Run. The zero value plans with the defaults.
type Options struct {
	Strategy Strategy // Restart if empty
	Select   Filter
	Guards   Guards
	Pace     Pace
	WaveBy   WaveBy // not together with Pace.Canary
	Mark     Mark

	// Now is the clock; nil means time.Now.
	Now func() time.Time
	Log logr.Logger
	// GoesOn is who goes on with what a Run leaves; the same command if empty.
	GoesOn string
	// Progress is told what happens to each workload of a Run; nil means
	// nobody is. It is never called concurrently.
	Progress func(Event)
}

// Filter says which of the audited workloads are meant.
type Filter struct {
	// DaemonSets and StatefulSets are rolled out only when included,
	// Deployments (and Argo Rollouts with them) unless excluded.
	IncludeDaemonSet, IncludeStatefulSet, ExcludeDeployment bool
	// States to roll out; empty means Drifted and Missing, and Orphaned where
	// the guard against it is lifted.
	States []verdict.State
	// OnlySidecars narrows what counts to these sidecars' own parts; empty
	// means every difference counts.
	OnlySidecars []string
	// IncludeSidecarless rolls out what no container is injected into, but variables,
	// mounts or volumes, too.
	IncludeSidecarless bool
	// IncludeSpent rolls out what differs by nothing but how init containers ran that have
	// ended, too.
	IncludeSpent bool
	// All selects every workload that has the sidecar, drifted or not.
	All bool
	// Changes, where some are named, leave out what differs in any other, too.
	Changes change.Named
	// MaxRisk leaves out what differs in something riskier; empty sets no limit. A loss needs
	// the guard against it lifted besides.
	MaxRisk change.Risk
}

// AnyKind selects workloads of every kind that can be rolled out, by these sidecars.
func AnyKind(sidecars ...string) Filter {
	return Filter{IncludeDaemonSet: true, IncludeStatefulSet: true, OnlySidecars: sidecars}
}

// Guards says which guards a person has lifted.
type Guards struct {
	// AllowOrphaned lets a re-creation take sidecars away.
	AllowOrphaned bool
	// AllowAppImage lets a rollout bring up another image of the app than runs.
	AllowAppImage bool
	// AllowDowntime lets a rollout leave no Pod available, or hang until somebody takes one
	// away.
	AllowDowntime bool
	// AllowUnhealthy rolls out what is not available though no rollout of it is under way:
	// where its old injection is the cause, its re-creation is the cure.
	AllowUnhealthy bool
	// RestartOwned restarts by its template what another object controls, which may take
	// that back. Auto and Evict leave templates of such workloads alone.
	RestartOwned bool
	// Retry tries again what did not converge, or was taken back, last time.
	Retry bool
}

// Pace of a Run.
type Pace struct {
	// Parallel is how many workloads are rolled out at a time; 1 if not
	// positive. Two behind one PodDisruptionBudget never are, nor two that share a claim
	// which one node alone can use at a time.
	Parallel int
	// Order in which workloads are rolled out; ByName if empty.
	Order Order
	// Canary is how many workloads go first, at most one a namespace, and
	// Soak how long all of them must then stay available, with no container
	// restarted, before the others follow; likewise each wave but the last. No
	// workload does if one of them fails.
	Canary int
	Soak   time.Duration
	// MaxFailures is after how many workloads that failed or did not converge
	// nothing new starts; 1 if not positive.
	MaxFailures int
	// MaxUnavailable is how many Pods of a workload may be unavailable at once
	// for another to be evicted; 1 if not positive. Restarts go by the
	// workload's own update strategy.
	MaxUnavailable int
	// MaxUnavailablePercent of the injected Pods that were audited is how many
	// a run may make unavailable at once, by what the workloads under way
	// allow; 0 sets no limit.
	MaxUnavailablePercent int
	// Timeout is how long a workload may make no progress, besides its
	// minReadySeconds; DefaultTimeout if not positive. See patience.
	Timeout time.Duration
	// MaxDuration is how long a workload may take in all, however it goes on: it holds a
	// seat that others wait for. No bound if not positive.
	MaxDuration time.Duration
	// Drain, once closed, lets nothing new start, while what is under way is
	// waited for. (Cancelling Run's context leaves at once instead.)
	Drain <-chan struct{}
	// Yield, once closed, lets nothing new start, as Drain; but what is under way comes to
	// its end in whatever way it can.
	Yield <-chan struct{}
	// Interrupted says why Drain was closed, or Run's context ended, as a clause; nil: the run
	// was interrupted. It may be called concurrently.
	Interrupted func() string
	// Before is called before each workload that may start, and may close Drain or Yield; nil does
	// nothing. It may be called concurrently.
	Before func(context.Context)
}

// AuditFunc audits one workload, whole and unfiltered, after it has been
// rolled out. Where the workload's JSON was just seen, it need not be read again; nil
// where it was not. It returns nil if the workload has no Pods to judge.
type AuditFunc func(ctx context.Context, workload inventory.WorkloadRef, seen []byte) (*report.Item, error)

// Phase is how far a workload's rollout is.
type Phase string

// Phases, in their order.
const (
	Started   Phase = "Started"   // its Pods are being replaced
	Waiting   Phase = "Waiting"   // told again when the message changes
	Verifying Phase = "Verifying" // it has settled and is audited again
	Finished  Phase = "Finished"  // Result says how
	Soaking   Phase = "Soaking"   // the canaries are watched
)

// Event is a step in the rollout of one workload, or (Soaking) of all canaries.
type Event struct {
	Workload inventory.WorkloadRef
	Phase    Phase
	Message  string
	Result   report.Result // only when Finished
	Strategy Strategy      // only when Started
	// Done of Total planned workloads have finished.
	Done, Total int
}

// now is the time in the precision of everything that is written down.
func (o Options) now() time.Time { return o.Now().UTC().Truncate(time.Second) }

func (o Options) withDefaults() Options {
	o.Strategy = orElse(o.Strategy, Restart)
	o.Pace.Order = orElse(o.Pace.Order, ByName)
	o.Pace.Parallel = max(o.Pace.Parallel, 1)
	o.Pace.MaxFailures = max(o.Pace.MaxFailures, 1)
	o.Pace.MaxUnavailable = max(o.Pace.MaxUnavailable, 1)
	if o.Pace.Timeout <= 0 {
		o.Pace.Timeout = DefaultTimeout
	}
	o.GoesOn = orElse(o.GoesOn, "the same command")
	if o.Pace.Interrupted == nil {
		o.Pace.Interrupted = func() string { return "the run was interrupted" }
	}
	if o.Pace.Before == nil {
		o.Pace.Before = func(context.Context) {}
	}
	o.Mark.AnnotationPrefix = orElse(o.Mark.AnnotationPrefix, DefaultAnnotationPrefix)
	o.Mark.FieldManager = orElse(o.Mark.FieldManager, DefaultFieldManager)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Progress == nil {
		o.Progress = func(Event) {}
	}
	return o
}
