package policies

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// setDefaults fills in what the API server does when it stores a policy
// (k8s.io/kubernetes pkg/apis/admissionregistration/v1/defaults.go).
func setDefaults(object runtime.Object) {
	switch o := object.(type) {
	case *admissionregistrationv1.MutatingAdmissionPolicy:
		defaultTo(&o.Spec.FailurePolicy, admissionregistrationv1.Fail)
		ofResources(&o.Spec.MatchConstraints)
	case *admissionregistrationv1.ValidatingAdmissionPolicy:
		defaultTo(&o.Spec.FailurePolicy, admissionregistrationv1.Fail)
		ofResources(&o.Spec.MatchConstraints)
	case *admissionregistrationv1.MutatingAdmissionPolicyBinding:
		ofBinding(o.Spec.MatchResources, o.Spec.ParamRef)
	case *admissionregistrationv1.ValidatingAdmissionPolicyBinding:
		ofBinding(o.Spec.MatchResources, o.Spec.ParamRef)
	}
}

func ofBinding(m *admissionregistrationv1.MatchResources, ref *admissionregistrationv1.ParamRef) {
	if m != nil {
		ofResources(&m)
	}
	if ref != nil {
		defaultTo(&ref.ParameterNotFoundAction, admissionregistrationv1.DenyAction)
	}
}

func ofResources(m **admissionregistrationv1.MatchResources) {
	if *m == nil {
		return // which the API server refuses: it is asked
	}
	defaultTo(&(*m).MatchPolicy, admissionregistrationv1.Equivalent)
	defaultTo(&(*m).NamespaceSelector, metav1.LabelSelector{})
	defaultTo(&(*m).ObjectSelector, metav1.LabelSelector{})
	for _, rules := range [][]admissionregistrationv1.NamedRuleWithOperations{(*m).ResourceRules, (*m).ExcludeResourceRules} {
		for i := range rules {
			defaultTo(&rules[i].Scope, admissionregistrationv1.AllScopes)
		}
	}
}

func defaultTo[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}
