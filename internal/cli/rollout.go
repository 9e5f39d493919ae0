package cli

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/restless"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/kind"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

// longestFieldManager is the API server's limit for a field manager's name.
const longestFieldManager = 128

// rolloutSteps are what a rollout consists of.
type rolloutSteps struct {
	lock  func(context.Context, *rest.Config, rollout.Claim) (rolloutLock, error)
	audit auditFunc
	// verify audits one workload that was rolled out.
	verify func(context.Context, *rest.Config, audit.Options, inventory.WorkloadRef, []byte) (*report.Item, error)
	plan   func(context.Context, *rest.Config, *report.Report, rollout.Options) (*rollout.Plan, error)
	run    func(context.Context, *rest.Config, *rollout.Plan, rollout.Options, rollout.AuditFunc) (*report.Report, error)
}

// rolloutLock is a *rollout.Lock.
type rolloutLock interface {
	Lost() <-chan struct{}
	Release(context.Context) error
}

func acquire(ctx context.Context, config *rest.Config, claim rollout.Claim) (rolloutLock, error) {
	return rollout.Acquire(ctx, config, claim)
}

// defaultLockTimeout is about as long as few workloads take.
const defaultLockTimeout = 15 * time.Minute

// rolloutOptions are those of "rollout".
type rolloutOptions struct {
	genericiooptions.IOStreams
	connection connection
	selection  selection
	logging    logging
	format     report.Format
	secrets    secrets
	mask       *mask.Masker // of this run
	hints      hints

	startedBefore time.Time
	changes       []change.ID
	confirm       bool
	strict        bool
	lockNamespace string
	lockTimeout   time.Duration
	rollout       rollout.Options
	restless      restless.Ledger // what its audits have seen to vary

	maxUnavailableGiven bool

	steps rolloutSteps
}

func newRolloutCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	return newRolloutCommandWith(name, streams, rolloutSteps{acquire, audit.Run, audit.Workload, rollout.MakePlan, rollout.Run})
}

func newRolloutCommandWith(name string, streams genericiooptions.IOStreams, steps rolloutSteps) *cobra.Command {
	o := &rolloutOptions{
		IOStreams:  streams,
		connection: newConnection(),
		logging:    logging{level: "warn", format: logText},
		format:     report.Table,
		rollout: rollout.Options{
			Strategy: rollout.Restart,
			Select:   rollout.Filter{MaxRisk: change.Loss},
			Pace:     rollout.Pace{Parallel: 1, Order: rollout.ByName, MaxUnavailable: 1, Timeout: rollout.DefaultTimeout, MaxFailures: 1},
			Mark:     rollout.Mark{AnnotationPrefix: rollout.DefaultAnnotationPrefix, FieldManager: rollout.DefaultFieldManager},
		},
		lockTimeout: defaultLockTimeout,
		steps:       steps,
	}
	o.selection.namespace = o.connection.flags.Namespace
	cmd := &cobra.Command{
		Use:   "rollout [KIND/NAME ...] [flags]",
		Short: "Re-create the Pods whose sidecars drifted, and only those",
		Long: `Audit, plan, and, with --confirm, re-create the Pods of the workloads that are Drifted
or Missing, a few workloads at a time. Each is audited again afterwards. Running the same
command again goes on with what is left.

Deployments (and Argo Rollouts) are rolled out unless excluded; DaemonSets and StatefulSets
if included, or named. Workloads that get variables, mounts or volumes alone need
--include-sidecarless, those whose app would come up with another image --allow-app-image,
those that differ only in how init containers ran that have ended --include-spent.
Where nothing but CPU and memory of injected containers differs, --strategy resize (and auto,
where the identity may) resizes the Pods in place, and re-creates none.
Workloads that are Blocked, Unstable or Unknown, Jobs and bare Pods never are.
Each workload that is left out has its reason in the report. What looks like a secret is
masked.

The first interrupt (Ctrl-C) lets nothing new start and waits for what is under way, the
second leaves at once. One run at a time rolls out in a cluster: a Lease keeps others out.
Where automatic rollouts are under way, they finish what runs and let this run go first.

Exit codes:
  0  all that was selected is rolled out and verified, or nothing was confirmed
  1  something failed, did not converge, was taken back, was interrupted or, with
     --strict, was skipped;
     or another run holds the Lease (automatic ones after --lock-timeout)
  2  an error`,
		Example: examples(name, `
# What would be rolled out? Nothing is changed
NAME rollout

# Roll out what drifted in one namespace, two workloads at a time
NAME rollout --namespace shop --parallel-rollouts 2 --confirm

# Only where istio-proxy drifted, DaemonSets too, in Pods older than a date (UTC)
NAME rollout --sidecar-container-name=istio-proxy --include-daemonset \
  --only-started-before="2026-05-01 13:00" --confirm

# Three workloads first, in as many namespaces, watched for ten minutes; then ten at a time
NAME rollout --canary 3 --soak 10m --parallel-rollouts 10 --confirm

# What is labelled for tests first, and production only if all of that ended well
NAME rollout --wave-by env=dev,staging,production --soak 10m --parallel-rollouts 10 --confirm

# What the audit shows as change 32882d92bf, and nothing else
NAME rollout --change 32882d92bf --confirm

# Only what is no riskier than another version of the sidecar
NAME rollout --max-risk version --confirm

# Pod by Pod, at the pace that PodDisruptionBudgets allow; the templates stay as they are
NAME rollout --strategy evict --confirm`),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.Complete(cmd, args); err != nil {
				return err
			}
			if err := o.Validate(); err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	o.addFlags(cmd)
	return cmd
}

func (o *rolloutOptions) addFlags(cmd *cobra.Command) {
	how := flagsOfCommand(&o.rollout, &o.lockNamespace)
	o.selection.addFlags(cmd, "Roll out workloads in these `states`, comma-separated, instead of Drifted and Missing ones.", statesToRollOut)
	group(cmd, "What to roll out", func(flags *pflag.FlagSet) {
		flags.Var((*timeValue)(&o.startedBefore), "only-started-before", "Only Pods that started before this `time`: 2006-01-02, \"2006-01-02 15:04\", \"2006-01-02 15:04:05\" or RFC 3339; UTC unless it has a zone.")
		addSwitch(flags, &o.rollout.Select.IncludeDaemonSet, "include-daemonset", "Roll out DaemonSets too.")
		addSwitch(flags, &o.rollout.Select.IncludeStatefulSet, "include-statefulset", "Roll out StatefulSets too.")
		addSwitch(flags, &o.rollout.Select.ExcludeDeployment, "exclude-deployment", "Leave Deployments out.")
		addChanges(flags, &o.changes, "Only workloads all of whose changes are named by this `ID`, as the audit has it: a re-created Pod takes over all that admission does today.")
		addSwitch(flags, &o.rollout.Select.All, "all", "Roll out every selected workload that has the sidecar, drifted or not.")
		how.addGuards(flags)
		addSwitch(flags, &o.rollout.Guards.AllowAppImage, "allow-app-image", "Also where the new Pods would have another image of the app than runs, as one that a policy resolved to another digest.")
		addSwitch(flags, &o.rollout.Guards.AllowUnhealthy, "allow-unhealthy", "Also workloads whose Pods are not available, though no rollout of them is under way, as where what was injected into them is the cause.")
		addSwitch(flags, &o.rollout.Guards.Retry, "retry", "Also what a rollout did not converge for, or was taken back of, before.")
	})
	group(cmd, "How to roll out", func(flags *pflag.FlagSet) {
		addSwitch(flags, &o.confirm, "confirm", "Do it. Without this, the plan is printed and nothing is changed. Like all switches it takes a value only behind an equals sign: --confirm=false.")
		how.addPace(flags)
		flags.Var((*waveByValue)(&o.rollout.WaveBy), "wave-by", "Go in waves, by labels of namespaces or, where the namespace has no such label, of Pod templates: first what has the first `LABEL=VALUE,…`, then what has the second, and so on; the rest goes last. A value without a label has the one before: ring=0,1,2. A wave begins when all of those before it have ended well, and have stayed so for --soak.")
		flags.DurationVar(&o.lockTimeout, "lock-timeout", o.lockTimeout, "How long to wait for automatic rollouts that are under way: they finish what runs, and start nothing before this run. With 0 nobody is waited for, as another person's run never is.")
	})
	group(cmd, "Output", func(flags *pflag.FlagSet) {
		addOutput(flags, &o.format, report.Table, report.JSON, report.YAML)
		o.secrets.addFlag(flags)
		addSwitch(flags, &o.strict, "strict", "Exit with 1 if something was skipped.")
		o.logging.addFlags(flags)
	})
	o.connection.addFlags(cmd)
	o.connection.completeWorkloads(cmd, canBeRolledOut)
	// The original script's documentation has it in the plural.
	cmd.Flags().SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "exclude-deployments" {
			name = "exclude-deployment"
		}
		return pflag.NormalizedName(name)
	})
}

// Complete reads the arguments. A kind that is named is included.
func (o *rolloutOptions) Complete(cmd *cobra.Command, args []string) error {
	o.hints = newHints(cmd, args)
	if err := o.selection.complete(cmd, args); err != nil {
		return err
	}
	choose := &o.rollout.Select
	for name, include := range map[string]struct {
		flag string
		on   *bool
	}{
		kind.DaemonSet:   {"include-daemonset", &choose.IncludeDaemonSet},
		kind.StatefulSet: {"include-statefulset", &choose.IncludeStatefulSet},
	} {
		if workload, named := o.firstNamed(name); named {
			if cmd.Flags().Changed(include.flag) && !*include.on {
				return misuse("--%s=false and %s/%s contradict each other", include.flag, name, workload)
			}
			*include.on = true
		}
	}
	o.maxUnavailableGiven = cmd.Flags().Changed("max-unavailable")
	o.rollout.Guards.RestartOwned = cmd.Flags().Changed("strategy") && o.rollout.Strategy == rollout.Restart
	choose.States, choose.Changes = o.selection.states, change.Name(o.changes...)
	choose.OnlySidecars = o.selection.sidecarNames
	return nil
}

func (o *rolloutOptions) firstNamed(kind string) (string, bool) {
	for _, workload := range o.selection.workloads {
		if workload.Kind == kind {
			return workload.Name, true
		}
	}
	return "", false
}

// statesToRollOut are those that may be asked for.
var statesToRollOut = []verdict.State{verdict.Drifted, verdict.Missing, verdict.Orphaned, verdict.Modified}

// Validate checks what was given, without a look at any cluster.
func (o *rolloutOptions) Validate() error {
	if err := o.connection.validate(); err != nil {
		return err
	}
	if err := o.selection.validateAsker(o.connection); err != nil {
		return err
	}
	if err := o.selection.validate(); err != nil {
		return err
	}
	for _, of := range []string{kind.Deployment, kind.Rollout} {
		if name, named := o.firstNamed(of); named && o.rollout.Select.ExcludeDeployment {
			return misuse("--exclude-deployment and %s/%s contradict each other", of, name)
		}
	}
	if o.rollout.Select.All && len(o.rollout.Select.States) > 0 {
		return misuse("--all and --state contradict each other: --all rolls out workloads in any state")
	}
	if o.rollout.Select.All && len(o.changes) > 0 {
		return misuse("--all and --change contradict each other: --all rolls out what differs in nothing, too")
	}
	for _, state := range o.rollout.Select.States {
		switch {
		case slices.Contains(statesToRollOut, state):
		case state == verdict.InSync:
			return misuse("--state InSync: give --all to roll out what has not drifted")
		default:
			return misuse("--state %s: such workloads are never rolled out", state)
		}
	}
	return o.validatePace()
}

func (o *rolloutOptions) validatePace() error {
	pace, mark := o.rollout.Pace, o.rollout.Mark
	switch {
	case pace.Timeout <= 0:
		return misuse("--timeout is %s, and must be more than 0", pace.Timeout)
	case pace.Soak < 0:
		return misuse("--soak is %s, and must not be negative", pace.Soak)
	case pace.Soak > 0 && pace.Canary == 0 && len(o.rollout.WaveBy) == 0:
		return misuse("--soak without --canary or --wave-by: say which workloads go first")
	case pace.Canary > 0 && len(o.rollout.WaveBy) > 0:
		return misuse("--canary and --wave-by contradict each other: the first wave goes first")
	case pace.MaxDuration < 0:
		return misuse("--max-duration is %s, and must not be negative", pace.MaxDuration)
	case o.maxUnavailableGiven && o.rollout.Strategy == rollout.Restart:
		return misuse("--max-unavailable without --strategy evict or auto: a restart goes by the workload's own update strategy")
	case o.lockTimeout < 0:
		return misuse("--lock-timeout is %s, and must not be negative", o.lockTimeout)
	case o.lockNamespace != "" && len(validation.IsDNS1123Label(o.lockNamespace)) > 0:
		return misuse("--lock-namespace %q cannot be a namespace's name", o.lockNamespace)
	case mark.FieldManager == "" || len(mark.FieldManager) > longestFieldManager:
		return misuse("--field-manager must have 1 to %d characters", longestFieldManager)
	}
	if err := rollout.CheckAnnotationPrefix(mark.AnnotationPrefix); err != nil {
		return misuse("--annotation-prefix %v", err)
	}
	if err := rollout.CheckReason(mark.Reason); err != nil {
		return misuse("--rollout-reason %v", err)
	}
	return nil
}
