package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
)

// admission judges every webhook and policy that the creation of Pods may pass.
func (e *examiner) admission(ctx context.Context) {
	chain, err := injection.ReadChain(ctx, e.objects.CoreV1().RESTClient())
	if e.note(err) != nil {
		for _, check := range []string{checkInjectors, checkSideEffects, checkUserInfo, checkOrder} {
			e.add(topic{check, "webhooks and policies"}.unread(err))
		}
		return
	}
	steps := chain.ForPods()
	e.add(judgeInjectors(steps))
	e.add(e.answers(ctx, steps)...)
	e.add(judgeSideEffects(steps)...)
	e.add(judgeUserInfo(steps, e.asThemselves(ctx))...)
	e.add(judgeOrder(steps)...)
}

// configurationOf is the webhook configuration that a step is from, or the policy.
func configurationOf(step injection.Step) string {
	name, _, _ := strings.Cut(step.Name, "/")
	return name
}

func ours(step injection.Step) bool {
	return step.Kind == injection.MutatingWebhook && configurationOf(step) == configurationName
}

func isWebhook(step injection.Step) bool {
	return step.Kind == injection.MutatingWebhook || step.Kind == injection.ValidatingWebhook
}

// answers finds the webhooks that change Pods and cannot answer.
func (e *examiner) answers(ctx context.Context, steps []injection.Step) []Finding {
	health := injection.NewHealth(e.objects.CoreV1().RESTClient(), e.config)
	for i, step := range steps {
		if step.Injects() {
			steps[i].Down = health.Down(ctx, step)
		}
	}
	return judgeAnswers(steps)
}

func judgeAnswers(steps []injection.Step) []Finding {
	var down []Finding
	asked := 0
	for _, step := range steps {
		if !step.Injects() {
			continue
		}
		if asked++; step.Down != "" {
			effect := "what it would inject is not known, and what differs is Unknown; it fails open, so that new Pods are created without it"
			if slices.Contains(step.Policies, "Fail") {
				effect = "no Pod that it is asked about can be created"
			}
			down = append(down, topic{checkAnswers, step.Name}.wrong("start it, or remove its webhook configuration if it is no longer meant to be there",
				"does not answer, as %s: %s", step.Down, effect))
		}
	}
	return topic{checkAnswers, "mutating webhooks"}.orOK(down, "nothing says that one of them (%d) does not answer", asked)
}

// judgeInjectors names what may change Pods, our own webhook apart.
func judgeInjectors(steps []injection.Step) Finding {
	t := topic{checkInjectors, "mutating webhooks and policies"}
	var found, policies []string
	counts := map[string]int{}
	for _, step := range steps {
		name := configurationOf(step)
		switch {
		case ours(step):
		case step.Kind == injection.MutatingPolicy:
			policies = append(policies, name)
		case step.Kind == injection.MutatingWebhook:
			if counts[name]++; counts[name] == 1 {
				found = append(found, name)
			}
		}
	}
	if len(found)+len(policies) == 0 {
		return t.warning("install the injector, or look whether its webhook configuration was deleted", "nothing here changes Pods at their creation: there is no sidecar to drift")
	}
	for i, name := range found {
		if n := counts[name]; n > 1 {
			found[i] = fmt.Sprintf("%s (%d webhooks)", name, n)
		}
	}
	message := "asked for Pods, in this order: " + list(found)
	if len(policies) > 0 {
		message = "asked for Pods: the policies " + list(policies)
		if len(found) > 0 {
			message += ", then " + list(found)
		}
	}
	return t.ok("%s", message)
}

// judgeSideEffects finds the webhooks for which the API server refuses dry runs:
// since v1 of the API none can be made, but older ones stay stored.
func judgeSideEffects(steps []injection.Step) []Finding {
	t := topic{checkSideEffects, "webhooks"}
	var blockers []Finding
	asked := 0
	for _, step := range steps {
		if !isWebhook(step) {
			continue
		}
		asked++
		if step.SideEffects == "None" || step.SideEffects == "NoneOnDryRun" {
			continue
		}
		declared := step.SideEffects
		if declared == "" {
			declared = "Unknown"
		}
		blockers = append(blockers, topic{checkSideEffects, step.Name}.wrong(
			"update what installs it: its configuration must say sideEffects: None or NoneOnDryRun",
			"declares sideEffects: %s, so that the API server refuses every dry run that it matches: audits say Unknown", declared))
	}
	if asked == 0 {
		return []Finding{t.ok("none is asked about Pods")}
	}
	return t.orOK(blockers, "each that is asked about Pods (%d) takes dry runs", asked)
}

// judgeUserInfo finds what may answer an audit otherwise than a Pod's own
// controller, where somebody's audits do not ask as that.
func judgeUserInfo(steps []injection.Step, asThemselves []string) []Finding {
	var lookers []Finding
	t := topic{checkUserInfo, "webhooks and policies"}
	for _, step := range steps {
		own := ours(step) || step.Kind == injection.ValidatingPolicy && (step.Name == dryRunPolicy || step.Name == rolloutPolicy)
		if !step.LooksAtAsker || own {
			continue
		}
		if len(asThemselves) == 0 {
			return []Finding{t.ok("some look at who creates a Pod (%s, say), and audits ask as the Pods' controllers", step.Name)}
		}
		approximate := "a Blocked by it is approximate"
		if step.Kind == injection.MutatingWebhook || step.Kind == injection.MutatingPolicy {
			approximate = "what differs is approximate where it is asked, and not rolled out"
		}
		remedy := "let audits ask as the Pods' controllers: docs/install.md#asking-as-the-controller"
		if step.Asks != "" {
			remedy += "; " + step.Asks
		}
		lookers = append(lookers, topic{checkUserInfo, step.Name}.warning(remedy,
			"looks at who creates a Pod, which for audits of %s is another one: %s", list(asThemselves), approximate))
	}
	return t.orOK(lookers, "none looks at who creates a Pod")
}

// judgeOrder finds the webhooks that may change a Pod after our last look at it.
// API servers ask webhooks in the order of their configurations' names, and once
// more, in that order, those with reinvocationPolicy IfNeeded if something has
// changed since (KEP 1027: no promise of the API, but so in all its releases).
func judgeOrder(steps []injection.Step) []Finding {
	at := slices.IndexFunc(steps, ours)
	if at < 0 {
		return nil // there is none, which the check of the webhook says
	}
	t := topic{checkOrder, configurationName}
	again := slices.Contains(steps[at].Policies, "IfNeeded")
	var unseen []Finding
	before, later := 0, 0
	for i, step := range steps {
		if step.Kind != injection.MutatingWebhook || ours(step) {
			continue
		}
		if i < at {
			before++
			continue
		}
		later++
		const remedy = "give its configuration a name that sorts before " + configurationName
		switch {
		case !again:
			unseen = append(unseen, topic{checkOrder, step.Name}.warning(remedy+", and ours reinvocationPolicy: IfNeeded",
				"is asked after ours, which is not asked again: what it changes is not in the stamp (audits compare whole specs and see it)"))
		case slices.Contains(step.Policies, "IfNeeded"):
			unseen = append(unseen, topic{checkOrder, step.Name}.warning(remedy+", or reinvocationPolicy: Never",
				"is asked after ours in the second round, too: what it changes only then is not in the stamp (audits compare whole specs and see it)"))
		}
	}
	switch {
	case later > 0:
		return t.orOK(unseen, "is asked again after those that sort later (%d)", later)
	case before == 0:
		return []Finding{t.ok("no other webhook changes Pods")}
	}
	return []Finding{t.ok("is asked last, after the others that may change Pods (%d)", before)}
}
