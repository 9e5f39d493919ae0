package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/kind"
)

// Run audits, plans and, if that is confirmed, rolls out.
func (o *rolloutOptions) Run(ctx context.Context) error {
	o.mask = o.secrets.masker()
	config, err := o.connection.connect(ctx)
	if err != nil {
		return err
	}
	selected, err := o.selection.resolve(o.connection)
	if err != nil {
		return err
	}
	selected.StartedBefore = o.startedBefore
	if !o.confirm {
		return o.showPlan(ctx, config, selected)
	}
	// Before the audit, so that no other run changes what it finds.
	lock, err := o.steps.lock(ctx, config, rollout.Claim{
		Namespace: o.lockNamespace, Patience: o.lockTimeout, Watching: o.sayWhoIsWatched, Waiting: o.sayWhatIsWaitedFor,
	})
	if held, ok := errors.AsType[*rollout.HeldError](err); ok {
		return &outcome{code: codeFound, err: held}
	}
	if err != nil {
		return err
	}
	err = o.rollOut(ctx, config, selected, lock)
	if released := o.release(ctx, lock); err == nil {
		err = released
	}
	return err
}

func (o *rolloutOptions) sayWhoIsWatched(held *rollout.HeldError) {
	fmt.Fprintf(o.ErrOut, "The Lease %s is held by %s: watching for at most %s whether it is renewed …\n",
		held.Lease, held.Holder, rollout.LongestWatch)
}

func (o *rolloutOptions) sayWhatIsWaitedFor(held *rollout.HeldError, finishing []string) {
	what := "what runs"
	if len(finishing) > 0 {
		what = strings.Join(finishing, ", ")
	}
	fmt.Fprintf(o.ErrOut, "Automatic rollouts are under way (%s, Lease %s): waiting for them to finish %s, for at most %s in all; then this run goes first …\n",
		held.Holder, held.Lease, what, o.lockTimeout)
}

// releaseTimeout bounds how long an API server that is away delays the end.
const releaseTimeout = 10 * time.Second

func (o *rolloutOptions) release(ctx context.Context, lock rolloutLock) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	return lock.Release(ctx)
}

func (o *rolloutOptions) showPlan(ctx context.Context, config *rest.Config, selected inventory.Selection) error {
	plan, err := o.plan(ctx, config, selected)
	if err != nil {
		return err
	}
	if err := o.write(plan.Report()); err != nil {
		return err
	}
	if o.format == report.Table {
		o.sayWhatTheScriptWouldDo(plan.Audited)
		o.hints.afterPlan(o.ErrOut, plan.Planned(), *plan.Audited.Cluster)
	}
	return nil
}

func (o *rolloutOptions) plan(ctx context.Context, config *rest.Config, selected inventory.Selection) (*rollout.Plan, error) {
	bar := newProgress(o.ErrOut)
	defer bar.erase()
	log := o.logging.logger(bar)
	auditing := o.auditing()
	auditing.Selection, auditing.Progress, auditing.Log = selected, bar.count, log
	audited, err := o.steps.audit(ctx, config, auditing)
	if err != nil {
		return nil, err
	}
	audited.Cluster = new(o.connection.identity(config))
	audited.Group()
	bar.show("Planning …")
	planning := o.rollout
	planning.Log = log
	plan, err := o.steps.plan(ctx, config, audited, planning)
	if err != nil {
		return nil, err
	}
	if len(plan.UnusedWaves) > 0 {
		fmt.Fprintf(bar, "Nothing has the label %s: check --wave-by, as such a wave holds nothing up.\n", strings.Join(plan.UnusedWaves, ", "))
	}
	return plan, nil
}

// auditing is how workloads are compared, before and after.
func (o *rolloutOptions) auditing() audit.Options {
	return audit.Options{
		Restless:           &o.restless,
		Concurrency:        o.selection.concurrency,
		DryRunAs:           o.selection.dryRunAs,
		DeclaredSidecars:   o.selection.sidecarNames,
		IgnorePaths:        o.selection.ignorePaths,
		IncludeAutoscaled:  o.selection.includeAutoscaled,
		Autoscalers:        o.selection.autoscalerRules(),
		CompareAnnotations: o.selection.annotations,
	}
}

// sayWhatTheScriptWouldDo counts, for those who select as k8s-sidecar-rollout
// does, what that would have restarted for nothing.
func (o *rolloutOptions) sayWhatTheScriptWouldDo(audited *report.Report) {
	inSync := audited.Summary.Workloads[verdict.InSync]
	asTheScript := !o.startedBefore.IsZero() || len(o.selection.sidecarNames) > 0
	if inSync == 0 || o.rollout.Select.All || !asTheScript {
		return
	}
	fmt.Fprintf(o.ErrOut, "\n%s in sync and left alone (k8s-sidecar-rollout would restart them, too: --all).\n", countOf(inSync, "selected workload is", "selected workloads are"))
}

func countOf(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// rollOut plans and carries the plan out.
func (o *rolloutOptions) rollOut(ctx context.Context, config *rest.Config, selected inventory.Selection, lock rolloutLock) error {
	plan, err := o.plan(ctx, config, selected)
	if err != nil {
		return err
	}
	if o.format == report.Table && plan.Planned() > 0 {
		if err := plan.Report().Masked(o.mask).Write(o.ErrOut, report.Table, textOptions(o.ErrOut)); err != nil {
			return fmt.Errorf("write the plan: %w", err)
		}
		o.sayWhatTheScriptWouldDo(plan.Audited)
		fmt.Fprintf(o.ErrOut, "\nRolling out %s in %s.\n\n", countOf(plan.Planned(), "workload", "workloads"), *plan.Audited.Cluster)
	}
	result, err := o.carryOut(ctx, config, plan, lock)
	if err != nil {
		return err
	}
	if o.format == report.Table && plan.Planned() > 0 {
		fmt.Fprintln(o.ErrOut)
	}
	if err := o.write(result); err != nil {
		return err
	}
	o.sayHowToUndo(result)
	o.hints.afterRollout(o.ErrOut, countResult(result, report.Interrupted))
	if slices.ContainsFunc(result.Items, o.unsuccessful) {
		return negative()
	}
	return nil
}

// carryOut runs the plan. The first interrupt, or the loss of the Lease, lets
// nothing new start; the second interrupt leaves at once.
func (o *rolloutOptions) carryOut(ctx context.Context, config *rest.Config, plan *rollout.Plan, lock rolloutLock) (*report.Report, error) {
	board := newRolloutDisplay(o.ErrOut, plan.Planned())
	defer board.close()
	drain, stopDraining := context.WithCancel(context.WithoutCancel(ctx))
	over := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		defer stopDraining()
		select {
		case <-ctx.Done():
			sayInterrupted(board)
		case <-lock.Lost():
			fmt.Fprintln(board, "Another run has taken the Lease: nothing new starts.")
		case <-over:
		}
	})
	defer watching.Wait()
	defer close(over)

	options := o.rollout
	options.Log = o.logging.logger(board)
	options.Pace.Drain = drain.Done()
	options.Progress = func(e rollout.Event) {
		e.Message = o.mask.Prose(e.Message)
		board.event(e)
	}
	leave, stop := untilNextSignal(ctx)
	defer stop()
	verifying := o.auditing()
	verifying.Log, verifying.Surroundings = options.Log, &audit.Surroundings{}
	return o.steps.run(leave, config, plan, options, func(ctx context.Context, workload inventory.WorkloadRef, seen []byte) (*report.Item, error) {
		return o.steps.verify(ctx, config, verifying, workload, seen)
	})
}

func sayInterrupted(b *rolloutDisplay) {
	names := b.names()
	if names == "" {
		fmt.Fprintln(b, "Interrupted: nothing new starts.")
		return
	}
	fmt.Fprintf(b, "Interrupted: nothing new starts; waiting for %s. Interrupt again to leave at once.\n", names)
}

// sayHowToUndo gives the command for each restart that failed, and says what
// it does not do.
func (o *rolloutOptions) sayHowToUndo(result *report.Report) {
	var commands []string
	for _, item := range result.Items {
		r := item.Rollout
		of, _ := kind.Of(item.Kind)
		undoable := of.Undone && r.Strategy == string(rollout.Restart)
		if undoable && r.StartedAt != nil && r.Result == report.Failed {
			commands = append(commands, fmt.Sprintf("  kubectl rollout undo %s/%s -n %s", strings.ToLower(item.Kind), item.Name, item.Namespace))
		}
	}
	if len(commands) == 0 {
		return
	}
	_, _ = io.WriteString(o.ErrOut, "\nTo take a failed restart back (this brings back the old template, not the old sidecar, which\n"+
		"injection decides; a StatefulSet whose Pod is stuck also needs that Pod deleted):\n"+strings.Join(commands, "\n")+"\n")
}

func (o *rolloutOptions) write(r *report.Report) error {
	if err := r.Masked(o.mask).Write(o.Out, o.format, textOptions(o.Out)); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// unsuccessful is what makes a confirmed rollout exit with 1.
func (o *rolloutOptions) unsuccessful(item report.Item) bool {
	switch item.Rollout.Result {
	case report.RolledOut, report.Resized:
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
