package rollout

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// Plan is what a rollout would do about what an audit found, before anything is
// changed.
type Plan struct {
	// Audited is the report that it was made from, and Made when.
	Audited *report.Report
	Made    time.Time
	// Steps are first the workloads to roll out (Planned), in their order, then those that
	// are left out. Workloads that nothing is to be done about have none.
	Steps []Step
	// UnusedWaves are labels of Options.WaveBy that nothing has, as where one is misspelled.
	UnusedWaves []string
}

// Step is what a plan says of one workload.
type Step struct {
	// Item is the workload as it was audited.
	Item report.Item
	// Strategy by which it is rolled out; of what is Planned never Auto.
	Strategy Strategy
	// Result is Planned, Skipped, NotConverging or Reverted.
	Result report.Result
	// Reason why it is left out; of what is planned, what there is to know about it.
	Reason string
	// Budgets names the PodDisruptionBudgets that its Pods are behind, and Disrupts is how
	// many of them may be unavailable at once while it is rolled out: a run paces itself
	// by both.
	Budgets  []string
	Disrupts int
	// Claims are those of its Pods that one node alone can use at a time, and that Pods of
	// another step use, too.
	Claims []string
	claims []string // all that its template has
	// Lost names nodes of its Pods that are not ready.
	Lost []string

	// Wave by Options.WaveBy; empty without.
	Wave string
	wave int // its number

	// Unchecked: the workload could not be looked at.
	Unchecked bool
}

// Report is what is published of the plan, a RolloutReport. The Summary is the audit's.
func (p *Plan) Report() *report.Report {
	published := &report.Report{
		APIVersion:  report.APIVersion,
		Kind:        report.RolloutReport,
		GeneratedAt: p.Made,
		Summary:     p.Audited.Summary,
		Probes:      p.Audited.Probes,
		Cluster:     p.Audited.Cluster,

		IgnoredPaths: p.Audited.IgnoredPaths,
		Changes:      p.Audited.Changes,
		Items:        make([]report.Item, len(p.Steps)),
	}
	for i, s := range p.Steps {
		item := s.Item
		item.Rollout = report.Rollout{Eligible: s.Result == report.Planned, Reason: s.Reason, Strategy: string(s.Strategy), Result: s.Result, Wave: s.Wave}
		published.Items[i] = item
	}
	return published
}

// Planned is how many workloads are to be rolled out; they are the first steps.
func (p *Plan) Planned() int {
	for i, s := range p.Steps {
		if s.Result != report.Planned {
			return i
		}
	}
	return len(p.Steps)
}

// MakePlan decides about every workload of an audit's report, and changes nothing.
//
// An error means that the cluster could not be asked (ends).
func MakePlan(ctx context.Context, cfg *rest.Config, audited *report.Report, opts Options) (*Plan, error) {
	opts = opts.withDefaults()
	c, err := connect(cfg)
	if err != nil {
		return nil, err
	}
	steps := stepsOf(audited.Items, opts)
	p := newPlanner(c, steps, audited.Summary, opts)
	p.access = newAccess(c)
	if err := p.decideAll(ctx, steps); err != nil {
		return nil, fmt.Errorf("plan the rollout: %w", err)
	}
	if err := p.shareClaims(ctx, steps); err != nil {
		return nil, fmt.Errorf("plan the rollout: %w", err)
	}
	for _, s := range steps {
		opts.Log.Info("Planned rollout", "kind", s.Item.Kind, "namespace", s.Item.Namespace, "workload", s.Item.Name,
			"state", s.Item.State, "result", s.Result, "reason", s.Reason)
	}
	unused, err := opts.WaveBy.inWaves(ctx, cfg, c, steps)
	if err != nil {
		return nil, fmt.Errorf("plan the rollout: %w", err)
	}
	slices.SortStableFunc(steps, opts.Pace.inOrder)
	canariesFirst(steps, opts.Pace.Canary)
	return &Plan{Audited: audited, Made: opts.now(), Steps: steps, UnusedWaves: unused}, nil
}

// stepsOf are the workloads that there is something to say about, with what the audit
// alone decides.
func stepsOf(items []report.Item, opts Options) []Step {
	steps := []Step{}
	for _, item := range items {
		if d := choose(item, opts); d.result != "" {
			s := Step{Item: item, Strategy: opts.Strategy}
			s.decided(d)
			steps = append(steps, s)
		}
	}
	return steps
}

func (s *Step) decided(d decision) { s.Result, s.Reason = d.result, d.text() }

// inOrder puts what is rolled out first, in the order of the pace; what is left
// out by namespace, kind, name.
func (p Pace) inOrder(a, b Step) int {
	leftOut := func(s Step) int {
		if s.Result == report.Planned {
			return 0
		}
		return 1
	}
	byWave, byOrder := 0, 0
	if leftOut(a) == 0 && leftOut(b) == 0 {
		byWave = cmp.Compare(a.wave, b.wave)
		switch p.Order {
		case ByPods:
			byOrder = cmp.Compare(total(a.Item), total(b.Item))
		case ByAge:
			byOrder = started(a.Item).Compare(started(b.Item))
		}
	}
	return cmp.Or(
		cmp.Compare(leftOut(a), leftOut(b)),
		byWave,
		byOrder,
		cmp.Compare(a.Item.Namespace, b.Item.Namespace),
		cmp.Compare(a.Item.Kind, b.Item.Kind),
		cmp.Compare(a.Item.Name, b.Item.Name),
	)
}

func total(item report.Item) int {
	sum := 0
	for _, n := range item.Pods {
		sum += n
	}
	return sum
}

// started is when the workload's oldest Pod was started; now, more or less, for
// one that has none yet.
func started(item report.Item) time.Time {
	if item.OldestPod == nil {
		return time.Now()
	}
	return *item.OldestPod
}

// canariesFirst moves the canaries to the front: the first n of the plan, at
// most one a namespace.
func canariesFirst(steps []Step, n int) {
	namespaces := map[string]bool{}
	for i := range steps {
		if len(namespaces) == n || steps[i].Result != report.Planned {
			return
		}
		at := slices.IndexFunc(steps[i:], func(s Step) bool {
			return s.Result == report.Planned && !namespaces[s.Item.Namespace]
		})
		if at < 0 {
			return
		}
		canary := steps[i+at]
		copy(steps[i+1:i+at+1], steps[i:i+at])
		steps[i] = canary
		namespaces[canary.Item.Namespace] = true
	}
}

// canaries is how many of the planned steps, canaries first, are canaries.
func canaries(planned []Step, n int) int {
	namespaces := map[string]bool{}
	for i, s := range planned {
		if i == n || namespaces[s.Item.Namespace] {
			return i
		}
		namespaces[s.Item.Namespace] = true
	}
	return len(planned)
}

// unavailableLimit is how many Pods a run may make unavailable at once; less
// than 0 means any number.
func unavailableLimit(s report.Summary, percent int) int {
	if percent <= 0 {
		return -1
	}
	injected := 0
	for state, pods := range s.Pods {
		if state.Counted() {
			injected += pods
		}
	}
	return injected * percent / 100
}
