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
		fence
		file string
	}{{fences()[0], "dry-run-only-policy.yaml"}, {fences()[1], "rollout-only-policy.yaml"}} {
		for _, tt := range []struct {
			name   string
			change func(*policy, *binding)
			want   []expected
		}{
			{"as in the manifests", func(*policy, *binding) {}, []expected{{state: OK}}},
			{"fails open", func(p *policy, _ *binding) { p.Spec.FailurePolicy = new(admissionregistrationv1.Ignore) }, []expected{{state: Wrong, message: "fails open"}}},
			{"for somebody else", func(p *policy, _ *binding) {
				p.Spec.MatchConditions[0].Expression = "request.userInfo.username == 'system:serviceaccount:other:sidecar-drift-auditor'"
			}, []expected{
				{state: Wrong, message: "does not name system:serviceaccount:sidecar-drift:sidecar-drift-auditor"},
				{state: Wrong, message: "does not name system:serviceaccount:sidecar-drift:sidecar-drift-rollout"},
			}},
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
				check(t, judgePolicy(f.fence, there(p), there(b)), tt.want...)
			})
		}
		check(t, judgePolicy(f.fence, notThere[policy](), there(&bindings{})), expected{Wrong, f.policy, "does not exist", "kubectl delete clusterrolebinding"})
		check(t, judgePolicy(f.fence, notAllowed[policy](), there(&bindings{})), expected{state: NotChecked})
		p := manifest[policy](t, f.file)
		check(t, judgePolicy(f.fence, there(p), notAllowed[bindings]()), expected{state: NotChecked, message: "you may not"})
	}
}
