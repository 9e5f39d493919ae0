package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

type strategy string

// longestFieldManager is the API server's limit for a field manager's name.
const longestFieldManager = 128

// rolloutSteps are what a rollout consists of.
type rolloutSteps struct {
	audit auditFunc
	plan  func(context.Context, *rest.Config, *report.Report, rollout.Options) (*report.Report, error)
	run   func(context.Context, *rest.Config, *report.Report, rollout.Options, rollout.AuditFunc) (*report.Report, error)
}

// rolloutOptions are those of "rollout".
type rolloutOptions struct {
	genericiooptions.IOStreams
	connection connection
	selection  selection
	logging    logging
	// planLogging is that of the audit and the plan, logging that of the rollout.
	planLogging logging
	format      report.Format
	hints       hints

	strategy      strategy
	startedBefore time.Time
	confirm       bool
	strict        bool
	rollout       rollout.Options

	steps rolloutSteps
}

func newRolloutCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	return newRolloutCommandWith(name, streams, rolloutSteps{auditor.Audit, rollout.Plan, rollout.Run})
}

func newRolloutCommandWith(name string, streams genericiooptions.IOStreams, steps rolloutSteps) *cobra.Command {
	o := &rolloutOptions{
		IOStreams:  streams,
		connection: newConnection(),
		logging:    logging{level: "info", format: logText},
		format:     report.Table,
		strategy:   rollout.StrategyRestart,
		steps:      steps,
	}
	o.selection.namespace = o.connection.flags.Namespace
	cmd := &cobra.Command{
		Use:   "rollout [KIND/NAME ...] [flags]",
		Short: "Re-create the Pods whose sidecars drifted, and only those",
		Long: `Audit, plan, and, with --confirm, re-create the Pods of the workloads that are Drifted
or Missing, a few workloads at a time. Each is audited again afterwards. Running the same
command again goes on with what is left.

Deployments are rolled out unless excluded; DaemonSets and StatefulSets if included, or
named. Workloads that are Blocked, Unstable or Unknown, Jobs and bare Pods never are.
Each workload that is left out has its reason in the report.

Exit codes:
  0  all that was selected is rolled out and verified, or nothing was confirmed
  1  something failed, did not converge, was interrupted or, with --strict, was skipped
  2  an error`,
		Example: examples(name, `
# What would be rolled out? Nothing is changed
NAME rollout

# Roll out what drifted in one namespace, two workloads at a time
NAME rollout --namespace shop --parallel-rollouts 2 --confirm

# Only where istio-proxy drifted, DaemonSets too, in Pods older than a date (UTC)
NAME rollout --sidecar-container-name=istio-proxy --include-daemonset \
  --only-started-before="2026-05-01 13:00" --confirm`),
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
	o.selection.addFlags(cmd, "Roll out workloads in these `states`, comma-separated, instead of Drifted and Missing ones.")
	group(cmd, "What to roll out", func(flags *pflag.FlagSet) {
		flags.Var((*timeValue)(&o.startedBefore), "only-started-before", "Only Pods that started before this `time`: 2006-01-02, \"2006-01-02 15:04\", \"2006-01-02 15:04:05\" or RFC 3339; UTC unless it has a zone.")
		addSwitch(flags, &o.rollout.Select.IncludeDaemonSet, "include-daemonset", "Roll out DaemonSets too.")
		addSwitch(flags, &o.rollout.Select.IncludeStatefulSet, "include-statefulset", "Roll out StatefulSets too.")
		addSwitch(flags, &o.rollout.Select.ExcludeDeployment, "exclude-deployment", "Leave Deployments out.")
		addSwitch(flags, &o.rollout.Select.All, "all", "Roll out every selected workload that has the sidecar, drifted or not.")
		addSwitch(flags, &o.rollout.Guards.AllowOrphaned, "allow-orphaned", "Also where a sidecar would be lost. Make sure that the injector is up.")
		addSwitch(flags, &o.rollout.Guards.AllowDowntime, "allow-downtime", "Also where a restart leaves no Pod available for a while.")
		addSwitch(flags, &o.rollout.Guards.Retry, "retry", "Also what a rollout did not converge for before.")
	})
	group(cmd, "How to roll out", func(flags *pflag.FlagSet) {
		addSwitch(flags, &o.confirm, "confirm", "Do it. Without this, the plan is printed and nothing is changed. Like all switches it takes a value only behind an equals sign: --confirm=false.")
		addChoice(flags, &o.strategy, "strategy", "", "How Pods are re-created; this version has %s only: the Pod template is annotated, and the workload's controller replaces the Pods.", strategy(rollout.StrategyRestart))
		addCount(flags, &o.rollout.Pace.Parallel, "parallel-rollouts", 1, "Number of workloads that are rolled out at a time.")
		flags.DurationVar(&o.rollout.Pace.Timeout, "timeout", rollout.DefaultTimeout, "How long one workload may take.")
		addCount(flags, &o.rollout.Pace.MaxFailures, "max-failures", 1, "Start nothing new after this `number` of workloads failed.")
		flags.StringVar(&o.rollout.Mark.AnnotationPrefix, "annotation-prefix", rollout.DefaultAnnotationPrefix, "The `prefix` of the annotations PREFIX.rollout.timestamp and PREFIX.rollout.reason on the Pod template.")
		flags.StringVar(&o.rollout.Mark.Reason, "rollout-reason", "", "The `text` of the reason annotation (default \"Update sidecars NAME,…\")")
		flags.StringVar(&o.rollout.Mark.FieldManager, "field-manager", rollout.DefaultFieldManager, "The `name` that the changes are made under.")
	})
	group(cmd, "Output", func(flags *pflag.FlagSet) {
		addOutput(flags, &o.format, report.Table, report.JSON, report.YAML)
		addSwitch(flags, &o.strict, "strict", "Exit with 1 if something was skipped.")
		o.logging.addFlags(flags)
	})
	o.connection.addFlags(cmd)
}

// Complete reads the arguments. A kind that is named is included.
func (o *rolloutOptions) Complete(cmd *cobra.Command, args []string) error {
	o.hints = newHints(cmd, args)
	if err := o.selection.complete(cmd, args); err != nil {
		return err
	}
	choose := &o.rollout.Select
	for kind, include := range map[string]struct {
		flag string
		on   *bool
	}{
		"DaemonSet":   {"include-daemonset", &choose.IncludeDaemonSet},
		"StatefulSet": {"include-statefulset", &choose.IncludeStatefulSet},
	} {
		if name, named := o.firstNamed(kind); named {
			if cmd.Flags().Changed(include.flag) && !*include.on {
				return misuse("--%s=false and %s/%s contradict each other", include.flag, kind, name)
			}
			*include.on = true
		}
	}
	o.planLogging = o.logging
	if !cmd.Flags().Changed("log-level") {
		o.planLogging.level = "warn" // the report says what is planned
	}
	choose.States = o.selection.states
	choose.SidecarNames = o.selection.sidecarNames
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

// Validate checks what was given, without a look at any cluster.
func (o *rolloutOptions) Validate() error {
	if err := o.connection.validate(); err != nil {
		return err
	}
	if err := o.selection.validate(); err != nil {
		return err
	}
	if name, named := o.firstNamed("Deployment"); named && o.rollout.Select.ExcludeDeployment {
		return misuse("--exclude-deployment and Deployment/%s contradict each other", name)
	}
	if o.rollout.Select.All && len(o.rollout.Select.States) > 0 {
		return misuse("--all and --state contradict each other: --all rolls out workloads in any state")
	}
	for _, state := range o.rollout.Select.States {
		switch state {
		case verdict.Drifted, verdict.Missing, verdict.Orphaned, verdict.Modified:
		case verdict.InSync:
			return misuse("--state InSync: give --all to roll out what has not drifted")
		default:
			return misuse("--state %s: such workloads are never rolled out", state)
		}
	}
	pace, mark := o.rollout.Pace, o.rollout.Mark
	switch {
	case pace.Timeout <= 0:
		return misuse("--timeout is %s, and must be more than 0", pace.Timeout)
	case mark.FieldManager == "" || len(mark.FieldManager) > longestFieldManager:
		return misuse("--field-manager must have 1 to %d characters", longestFieldManager)
	}
	if problems := validation.IsQualifiedName(mark.AnnotationPrefix + ".rollout.timestamp"); mark.AnnotationPrefix == "" || len(problems) > 0 {
		return misuse("--annotation-prefix %q does not make an annotation's name, as sidecarRollout or example.com/sidecar does", mark.AnnotationPrefix)
	}
	return nil
}

// Run audits, plans and, if that is confirmed, rolls out. The first interrupt
// lets nothing new start; the second leaves at once.
func (o *rolloutOptions) Run(ctx context.Context) error {
	config, err := o.connection.connect(ctx)
	if err != nil {
		return err
	}
	selected, err := o.selection.resolve(o.connection)
	if err != nil {
		return err
	}
	selected.StartedBefore = o.startedBefore
	bar := newProgress(o.ErrOut, "Auditing")
	defer bar.erase()
	log := o.planLogging.logger(bar)
	audited, err := o.steps.audit(ctx, config, auditor.Options{
		Selection:    selected,
		Concurrency:  o.selection.concurrency,
		SidecarNames: o.selection.sidecarNames,
		Progress:     bar.count,
		Log:          log,
	})
	if err != nil {
		return err
	}
	planning := o.rollout
	planning.Log = log
	result, err := o.steps.plan(ctx, config, audited, planning)
	if err != nil {
		return err
	}
	if !o.confirm {
		bar.erase()
		if err := o.write(result); err != nil {
			return err
		}
		if o.format == report.Table {
			o.hints.afterPlan(o.ErrOut, countResult(result, report.Planned))
		}
		return nil
	}
	result, err = o.carryOut(ctx, config, result, bar)
	if err != nil {
		return err
	}
	bar.erase()
	if err := o.write(result); err != nil {
		return err
	}
	if slices.ContainsFunc(result.Items, o.unsuccessful) {
		return negative()
	}
	return nil
}

func (o *rolloutOptions) carryOut(ctx context.Context, config *rest.Config, plan *report.Report, bar *progress) (*report.Report, error) {
	options := o.rollout
	options.Log = o.logging.logger(bar)
	options.Pace.Drain = ctx.Done()
	options.Progress = func(e rollout.Event) {
		bar.say(fmt.Sprintf("Rolled out %d/%d; %s %s/%s: %s", e.Done, e.Total, e.Workload.Kind, e.Workload.Namespace, e.Workload.Name, eventText(e)))
	}
	leave, stop := untilNextSignal(ctx)
	defer stop()
	return o.steps.run(leave, config, plan, options, func(ctx context.Context, workload inventory.WorkloadRef) (*report.Item, error) {
		again, err := o.steps.audit(ctx, config, auditor.Options{
			Selection:    inventory.Selection{Namespace: workload.Namespace, Workloads: []inventory.WorkloadRef{workload}},
			Concurrency:  o.selection.concurrency,
			SidecarNames: o.selection.sidecarNames,
			Log:          options.Log,
		})
		if err != nil || len(again.Items) == 0 {
			return nil, err
		}
		return &again.Items[0], nil
	})
}

func eventText(e rollout.Event) string {
	if e.Phase == rollout.Finished {
		return string(e.Result)
	}
	if e.Message != "" {
		return report.Printable(e.Message)
	}
	return string(e.Phase)
}

func (o *rolloutOptions) write(r *report.Report) error {
	if err := r.Write(o.Out, o.format, textOptions(o.Out)); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// unsuccessful is what makes a confirmed rollout exit with 1.
func (o *rolloutOptions) unsuccessful(item report.Item) bool {
	switch item.Rollout.Result {
	case report.RolledOut:
		return false
	case report.Skipped:
		return o.strict
	}
	return true
}

func countResult(r *report.Report, result report.Result) int {
	n := 0
	for _, item := range r.Items {
		if item.Rollout.Result == result {
			n++
		}
	}
	return n
}
