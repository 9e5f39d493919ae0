package doctor

import (
	"context"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
)

// policyFence is one of the two policies that keep our own identities from most of what
// RBAC lets them do.
type policyFence struct {
	policy   string
	resource string // that it must cover
	forbids  string
	users    []string // whom it must be about
}

// fences of an installation in a namespace.
func fences(home string) []policyFence {
	users := []string{userOf(home, auditor), userOf(home, rollout)}
	return []policyFence{
		{dryRunPolicy, "pods", "the creation of Pods", users},
		{rolloutPolicy, "deployments", "any change of a workload but a restart", users},
	}
}

func (e *examiner) fences() []policyFence { return fences(e.home()) }

func (e *examiner) policies(context.Context) {
	for _, f := range e.fences() {
		e.add(judgePolicy(f, e.installed.policies[f.policy], e.installed.bindings)...)
	}
}

// unbind takes all that is granted to our identities in the cluster.
const unbind = "kubectl delete clusterrolebinding --ignore-not-found sidecar-drift-auditor sidecar-drift-rollout sidecar-drift-rollout-audit sidecar-drift-people sidecar-drift-controller-identity"

// judgePolicy says whether a fence stands, as far as that can be seen without
// running into it.
func judgePolicy(f policyFence, policy read[admissionregistrationv1.ValidatingAdmissionPolicy], bindings read[admissionregistrationv1.ValidatingAdmissionPolicyBindingList]) []Finding {
	t := topic{checkPolicy, f.policy}
	const remedy = applyAgain + "; until then, unbind the identities: " + unbind
	switch {
	case policy.missing():
		return []Finding{t.wrong(remedy, "does not exist: nothing keeps our identities from %s", f.forbids)}
	case policy.err != nil:
		return []Finding{t.unread(policy.err)}
	}
	var problems []Finding
	for _, hole := range holes(f, policy.value) {
		problems = append(problems, t.wrong(remedy, "%s: our identities are not kept from %s", hole, f.forbids))
	}
	switch {
	case bindings.err != nil:
		problems = append(problems, t.unread(bindings.err))
	case !slices.ContainsFunc(bindings.value.Items, func(b admissionregistrationv1.ValidatingAdmissionPolicyBinding) bool { return denies(b, f.policy) }):
		problems = append(problems, t.wrong(remedy, "no binding makes it deny everywhere (validationActions: [Deny], no matchResources): our identities are not kept from %s", f.forbids))
	}
	status := policy.value.Status
	switch {
	case status.ObservedGeneration < policy.value.Generation:
		problems = append(problems, t.notChecked("run doctor again in a moment; if it stays so, look at kube-controller-manager", "its expressions have not been type-checked yet"))
	case status.TypeChecking != nil && len(status.TypeChecking.ExpressionWarnings) > 0:
		first := status.TypeChecking.ExpressionWarnings[0]
		problems = append(problems, t.wrong(remedy, "its expressions do not type-check, %s: %s", first.FieldRef, strings.Join(strings.Fields(first.Warning), " ")))
	}
	return t.orOK(problems, "fails closed, is bound with Deny, names both identities, and its expressions type-check")
}

// holes are the ways in which a policy lets our identities pass.
func holes(f policyFence, policy *admissionregistrationv1.ValidatingAdmissionPolicy) []string {
	var found []string
	spec := policy.Spec
	if spec.FailurePolicy != nil && *spec.FailurePolicy != admissionregistrationv1.Fail {
		found = append(found, "fails open (failurePolicy)")
	}
	if len(spec.Validations) == 0 {
		found = append(found, "validates nothing")
	}
	if spec.MatchConstraints == nil || !slices.ContainsFunc(spec.MatchConstraints.ResourceRules, func(r admissionregistrationv1.NamedRuleWithOperations) bool {
		return len(r.ResourceNames) == 0 && slices.Contains(r.Resources, f.resource)
	}) {
		found = append(found, "does not cover "+f.resource)
	}
	for _, user := range f.users {
		if covered, err := covers(spec.MatchConditions, user, nil); !covered || err != nil {
			found = append(found, "is not about "+user)
		}
	}
	return found
}

// denies reports whether the binding puts the policy in force for everything.
func denies(b admissionregistrationv1.ValidatingAdmissionPolicyBinding, policy string) bool {
	r := b.Spec.MatchResources
	everywhere := r == nil || len(r.ResourceRules) == 0 && len(r.ExcludeResourceRules) == 0 && selects(r.NamespaceSelector, nil) && selects(r.ObjectSelector, nil)
	return b.Spec.PolicyName == policy && everywhere && slices.Contains(b.Spec.ValidationActions, admissionregistrationv1.Deny)
}
