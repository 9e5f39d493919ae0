package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// gate is what an audit fails on, for pipelines.
type gate struct {
	exitCode     bool
	failOn       []verdict.State // none, nor a risk: those that Item.Alarming has
	failOnRisk   change.Risk     // and worse; empty: none
	allowUnknown bool
}

func (g *gate) addFlags(flags *pflag.FlagSet) {
	flags.BoolVar(&g.exitCode, "exit-code", false, "Exit with 1 if a selected workload is Drifted, Missing, Orphaned or Blocked, with 2 if one is Unknown, or nothing could be judged.")
	flags.Var(&gateValue{&g.failOn, &g.failOnRisk}, "fail-on", "Exit with 1 if a workload is in one of these `states`, or differs in a change of this risk or a worse one (cosmetic, tuning, version, behaviour, loss), instead. Comma-separated. Implies --exit-code.")
	addSwitch(flags, &g.allowUnknown, "allow-unknown", "With --exit-code: workloads that are Unknown are no reason to fail.")
}

// validate checks the flags against the states that are selected.
func (g *gate) validate(selected []verdict.State) error {
	for _, state := range g.failOn {
		if len(selected) > 0 && !slices.Contains(selected, state) {
			return misuse("--fail-on %s and --state contradict each other: %s is not among the states to select", state, state)
		}
	}
	if g.allowUnknown && !g.on() {
		return misuse("--allow-unknown needs --exit-code or --fail-on")
	}
	return nil
}

func (g *gate) on() bool { return g.exitCode || len(g.failOn) > 0 || g.failOnRisk != "" }

// judge ends the command by what an audit found, and selected of that. Drift is the
// outcome even beside what is not known.
func (g *gate) judge(found, selected *report.Report, absent []string) error {
	switch {
	case !g.on():
		return nil
	case slices.ContainsFunc(selected.Items, g.fails):
		return negative()
	case len(absent) > 0:
		return fmt.Errorf("no such namespace: %s", strings.Join(absent, ", "))
	case found.Summary.Judged() == 0:
		return errors.New("nothing could be judged: check namespaces and selectors, or see the reasons of what is Unknown")
	}
	unknown := 0
	for _, item := range selected.Items {
		if item.State == verdict.Unknown {
			unknown++
		}
	}
	if unknown > 0 && !g.allowUnknown {
		return fmt.Errorf("%s could not be judged (--allow-unknown lets that pass)", countOf(unknown, "workload", "workloads"))
	}
	return nil
}

func (g *gate) fails(item report.Item) bool {
	if len(g.failOn) == 0 && g.failOnRisk == "" {
		return item.Alarming()
	}
	if slices.Contains(g.failOn, item.State) {
		return true
	}
	if g.failOnRisk == "" || !item.Differs() {
		return false
	}
	risk, _ := item.Risk()
	return !g.failOnRisk.Exceeds(risk)
}

// absentNamespaces are those of the named ones that have no Pods, as they do not
// exist. One that may not be read is taken to.
func absentNamespaces(ctx context.Context, config *rest.Config, selection inventory.Selection, found *report.Report) ([]string, error) {
	named := selection.IncludeNamespaces
	if selection.Namespace != "" {
		named = []string{selection.Namespace}
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	var absent []string
	for _, namespace := range named {
		if slices.ContainsFunc(found.Items, func(item report.Item) bool { return item.Namespace == namespace }) {
			continue
		}
		_, err := client.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if apierrors.IsNotFound(err) {
			absent = append(absent, namespace)
		}
	}
	return absent, nil
}
