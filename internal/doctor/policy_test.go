package doctor

import (
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestPolicy(t *testing.T) {
	type (
		policy   = admissionregistrationv1.ValidatingAdmissionPolicy
		binding  = admissionregistrationv1.ValidatingAdmissionPolicyBinding
		bindings = admissionregistrationv1.ValidatingAdmissionPolicyBindingList
	)
	for _, f := range []struct {
		policyFence
		file string
	}{{fences("platform-tools")[0], "dry-run-only-policy.yaml"}, {fences("platform-tools")[1], "rollout-only-policy.yaml"}} {
		for _, tt := range []struct {
			name   string
			change func(*policy, *binding)
			want   []expected
		}{
			{"as in the manifests", func(*policy, *binding) {}, []expected{{state: OK}}},
			{"fails open", func(p *policy, _ *binding) { p.Spec.FailurePolicy = new(admissionregistrationv1.Ignore) }, []expected{{state: Wrong, message: "fails open"}}},
			{"for the accounts of another namespace", func(p *policy, _ *binding) {
				p.Spec.MatchConditions[0].Expression = `request.userInfo.username in [
					'system:serviceaccount:sidecar-drift:sidecar-drift-auditor', 'system:serviceaccount:sidecar-drift:sidecar-drift-rollout']`
			}, []expected{
				{state: Wrong, message: "is not about system:serviceaccount:platform-tools:sidecar-drift-auditor"},
				{state: Wrong, message: "is not about system:serviceaccount:platform-tools:sidecar-drift-rollout"},
			}},
			{"for one of both", func(p *policy, _ *binding) {
				p.Spec.MatchConditions[0].Expression = "request.userInfo.username.endsWith(':sidecar-drift-auditor')"
			}, []expected{{state: Wrong, message: "is not about system:serviceaccount:platform-tools:sidecar-drift-rollout"}}},
			{"for some requests", func(p *policy, _ *binding) {
				p.Spec.MatchConditions = append(p.Spec.MatchConditions, admissionregistrationv1.MatchCondition{Name: "more", Expression: "object.metadata.name == 'a'"})
			}, []expected{{state: Wrong, message: "is not about"}, {state: Wrong, message: "is not about"}}},
			{"for everybody", func(p *policy, _ *binding) { p.Spec.MatchConditions = nil }, []expected{{state: OK}}},
			{"for nothing", func(p *policy, _ *binding) { p.Spec.MatchConstraints = nil }, []expected{{state: Wrong, message: "does not cover " + f.resource}}},
			{"for one name", func(p *policy, _ *binding) {
				for i := range p.Spec.MatchConstraints.ResourceRules {
					p.Spec.MatchConstraints.ResourceRules[i].ResourceNames = []string{"web"}
				}
			}, []expected{{state: Wrong, message: "does not cover " + f.resource}}},
			{"validates nothing", func(p *policy, _ *binding) { p.Spec.Validations = nil }, []expected{{state: Wrong, message: "validates nothing"}}},
			{"not type-checked yet", func(p *policy, _ *binding) { p.Generation = 2 }, []expected{{state: NotChecked, message: "not been type-checked"}}},
			{"does not type-check", func(p *policy, _ *binding) {
				p.Status.TypeChecking = &admissionregistrationv1.TypeChecking{ExpressionWarnings: []admissionregistrationv1.ExpressionWarning{{FieldRef: "spec.validations[0]", Warning: "undefined\n field"}}}
			}, []expected{{state: Wrong, message: "spec.validations[0]: undefined field"}}},
			{"audits only", func(_ *policy, b *binding) {
				b.Spec.ValidationActions = []admissionregistrationv1.ValidationAction{admissionregistrationv1.Audit}
			}, []expected{{state: Wrong, message: "no binding makes it deny"}}},
			{"in one namespace", func(_ *policy, b *binding) {
				b.Spec.MatchResources = &admissionregistrationv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}}
			}, []expected{{state: Wrong, message: "no binding makes it deny everywhere"}}},
			{"another's binding", func(_ *policy, b *binding) { b.Spec.PolicyName = "other" }, []expected{{state: Wrong, message: "no binding"}}},
		} {
			t.Run(f.policy+"/"+tt.name, func(t *testing.T) {
				p := manifest[policy](t, f.file)
				p.Generation, p.Status.ObservedGeneration = 1, 1
				b := &bindings{Items: []binding{{Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
					PolicyName: f.policy, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
				}}}}
				tt.change(p, &b.Items[0])
				check(t, judgePolicy(f.policyFence, there(p), there(b)), tt.want...)
			})
		}
		check(t, judgePolicy(f.policyFence, notThere[policy](), there(&bindings{})), expected{Wrong, f.policy, "does not exist", "kubectl delete clusterrolebinding"})
		check(t, judgePolicy(f.policyFence, notAllowed[policy](), there(&bindings{})), expected{state: NotChecked})
		p := manifest[policy](t, f.file)
		check(t, judgePolicy(f.policyFence, there(p), notAllowed[bindings]()), expected{state: NotChecked, message: "you may not"})
	}
}
