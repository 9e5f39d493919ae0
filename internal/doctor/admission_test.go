package doctor

import (
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
)

func webhookStep(name string, policies ...string) injection.Step {
	return injection.Step{Kind: injection.MutatingWebhook, Name: name, Policies: policies, SideEffects: "None"}
}

var (
	istioStep = webhookStep("istio-sidecar-injector/rev.istio.io", "Fail", "Never")
	ourStep   = webhookStep("zz-sidecar-drift/stamp.sidecar-drift.io", "Ignore", "IfNeeded")
)

func TestInjectors(t *testing.T) {
	policy := injection.Step{Kind: injection.MutatingPolicy, Name: "defaults"}
	validating := injection.Step{Kind: injection.ValidatingWebhook, Name: "opa/validate"}
	for _, tt := range []struct {
		name  string
		steps []injection.Step
		want  expected
	}{
		{"none", []injection.Step{ourStep, validating}, expected{state: Warning, message: "there is no sidecar to drift"}},
		{"one", []injection.Step{istioStep, ourStep}, expected{state: OK, message: "in this order: istio-sidecar-injector"}},
		{"two, one with many webhooks", []injection.Step{istioStep, istioStep, webhookStep("linkerd/proxy"), ourStep},
			expected{state: OK, message: "istio-sidecar-injector (2 webhooks) and linkerd"}},
		{"a policy", []injection.Step{policy}, expected{state: OK, message: "the policies defaults"}},
		{"a policy and a webhook", []injection.Step{policy, istioStep}, expected{state: OK, message: "the policies defaults, then istio-sidecar-injector"}},
	} {
		t.Run(tt.name, func(t *testing.T) { check(t, []Finding{judgeInjectors(tt.steps)}, tt.want) })
	}
}

func TestSideEffects(t *testing.T) {
	declares := func(kind, sideEffects string) injection.Step {
		return injection.Step{Kind: kind, Name: "old/inject", SideEffects: sideEffects}
	}
	check(t, judgeSideEffects(nil), expected{state: OK, message: "none is asked"})
	check(t, judgeSideEffects([]injection.Step{ourStep, declares(injection.ValidatingWebhook, "NoneOnDryRun"), {Kind: injection.ValidatingPolicy, Name: "p"}}),
		expected{state: OK, message: "(2)"})
	check(t, judgeSideEffects([]injection.Step{ourStep, declares(injection.MutatingWebhook, "Some"), declares(injection.ValidatingWebhook, "")}),
		expected{Wrong, "old/inject", "sideEffects: Some", "None or NoneOnDryRun"},
		expected{Wrong, "old/inject", "sideEffects: Unknown", "None or NoneOnDryRun"})
}

func TestUserInfo(t *testing.T) {
	looks := func(kind, name string) injection.Step {
		return injection.Step{Kind: kind, Name: name, LooksAtAsker: true}
	}
	check(t, judgeUserInfo([]injection.Step{istioStep, looks(injection.ValidatingPolicy, dryRunPolicy), looks(injection.ValidatingPolicy, rolloutPolicy)}, []string{"you"}),
		expected{state: OK})
	check(t, judgeUserInfo([]injection.Step{looks(injection.MutatingPolicy, "a"), looks(injection.MutatingWebhook, "b/c"), looks(injection.ValidatingPolicy, "d"), looks(injection.ValidatingWebhook, "e/f")}, []string{"you", auditor}),
		expected{Warning, "a", "for audits of you and sidecar-drift-auditor is another one: what differs is approximate", "#asking-as-the-controller"},
		expected{Warning, "b/c", "what differs is approximate", "#asking-as-the-controller"},
		expected{Warning, "d", "a Blocked by it is approximate", "#asking-as-the-controller"},
		expected{Warning, "e/f", "a Blocked by it is approximate", "#asking-as-the-controller"})
	check(t, judgeUserInfo([]injection.Step{looks(injection.MutatingPolicy, "a")}, nil), expected{state: OK})
	dapr := looks(injection.MutatingWebhook, "dapr-sidecar-injector/sidecar-injector.dapr.io")
	dapr.Asks = "Dapr has a list"
	check(t, judgeUserInfo([]injection.Step{dapr}, []string{"you"}), expected{Warning, "dapr", "looks at who", "Dapr has a list"})
}

func TestOrder(t *testing.T) {
	later, again := webhookStep("zzz/later", "Ignore", "Never"), webhookStep("zzz/again", "Ignore", "IfNeeded")
	never := webhookStep("zz-sidecar-drift/stamp.sidecar-drift.io", "Ignore", "Never")
	validating := injection.Step{Kind: injection.ValidatingWebhook, Name: "zzzz/validate", Policies: []string{"IfNeeded"}}
	for _, tt := range []struct {
		name  string
		steps []injection.Step
		want  []expected
	}{
		{"ours is not there", []injection.Step{istioStep}, nil},
		{"alone", []injection.Step{ourStep}, []expected{{state: OK, message: "no other"}}},
		{"last", []injection.Step{istioStep, ourStep, validating}, []expected{{state: OK, message: "asked last"}}},
		{"a later one", []injection.Step{istioStep, ourStep, later}, []expected{{state: OK, message: "again after those that sort later (1)"}}},
		{"a later one that is asked again", []injection.Step{istioStep, ourStep, later, again},
			[]expected{{Warning, "zzz/again", "second round", "sorts before zz-sidecar-drift"}}},
		{"a later one, and ours is not asked again", []injection.Step{never, later}, []expected{{Warning, "zzz/later", "not asked again", "IfNeeded"}}},
	} {
		t.Run(tt.name, func(t *testing.T) { check(t, judgeOrder(tt.steps), tt.want...) })
	}
}

func TestAnswers(t *testing.T) {
	down := func(policy string) injection.Step {
		return injection.Step{Kind: injection.MutatingWebhook, Name: "otel/mpod", Policies: []string{policy}, Down: "its Service otel/webhook has no ready endpoint"}
	}
	check(t, judgeAnswers([]injection.Step{istioStep, ourStep}), expected{state: OK, message: "(1)"})
	check(t, judgeAnswers([]injection.Step{istioStep, down("Ignore")}), expected{Wrong, "otel/mpod", "no ready endpoint: what it would inject is not known", "start it"})
	check(t, judgeAnswers([]injection.Step{down("Fail")}), expected{Wrong, "otel/mpod", "no Pod that it is asked about can be created", "start it"})
}
