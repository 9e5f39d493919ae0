package doctor

import (
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestOthers(t *testing.T) {
	policies := map[string]read[admissionregistrationv1.ValidatingAdmissionPolicy]{
		dryRunPolicy:  there(manifest[admissionregistrationv1.ValidatingAdmissionPolicy](t, "dry-run-only-policy.yaml")),
		rolloutPolicy: there(manifest[admissionregistrationv1.ValidatingAdmissionPolicy](t, "rollout-only-policy.yaml")),
	}
	account := func(namespace, name string) rbacv1.Subject {
		return rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}
	}
	group := func(name string) rbacv1.Subject { return rbacv1.Subject{Kind: rbacv1.GroupKind, Name: name} }
	role := func(name string) rbacv1.RoleRef { return rbacv1.RoleRef{Kind: "ClusterRole", Name: name} }
	check(t, judgeOthers(boundBy(role(auditRole), "a", []rbacv1.Subject{account("platform-tools", auditor), account("x", rollout), group("sidecar-drift:auditors")}), policies))
	check(t, judgeOthers(boundBy(role("view"), "a", []rbacv1.Subject{group("all")}), policies))
	check(t, judgeOthers(boundBy(role(auditRole), "ClusterRoleBinding a", []rbacv1.Subject{group("platform"), {Kind: rbacv1.UserKind, Name: "anna"}, account("ci", "audit")}), policies),
		expected{Warning, "others", `Group "platform" may really create Pods: ClusterRoleBinding a gives sidecar-drift-audit`, "install.md#people"},
		expected{state: Warning, message: `User "anna"`}, expected{state: Warning, message: `ServiceAccount "audit"`})
	check(t, judgeOthers(boundBy(role(rolloutRole), "RoleBinding shop/a", []rbacv1.Subject{group("platform")}), policies),
		expected{state: Warning, message: "may change workloads in any way: RoleBinding shop/a"})
}

func TestOthersResize(t *testing.T) {
	policies := map[string]read[admissionregistrationv1.ValidatingAdmissionPolicy]{
		rolloutPolicy: there(manifest[admissionregistrationv1.ValidatingAdmissionPolicy](t, "rollout-only-policy.yaml")),
	}
	ref := rbacv1.RoleRef{Kind: "ClusterRole", Name: resizeRole}
	check(t, judgeOthers(boundBy(ref, "a", []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "x", Name: rollout}}), policies))
	check(t, judgeOthers(boundBy(ref, "ClusterRoleBinding a", []rbacv1.Subject{{Kind: rbacv1.GroupKind, Name: "platform"}}), policies),
		expected{state: Warning, message: "may resize any container: ClusterRoleBinding a gives sidecar-drift-resize"})
}

func TestHome(t *testing.T) {
	binding := there(&rbacv1.ClusterRoleBinding{Subjects: []rbacv1.Subject{
		{Kind: rbacv1.GroupKind, Name: auditor},
		{Kind: rbacv1.ServiceAccountKind, Namespace: "platform-tools", Name: auditor},
	}})
	calls := func(namespace string) read[admissionregistrationv1.MutatingWebhookConfiguration] {
		return there(&admissionregistrationv1.MutatingWebhookConfiguration{
			ObjectMeta: metav1.ObjectMeta{Name: configurationName},
			Webhooks: []admissionregistrationv1.MutatingWebhook{{
				Name:         webhookName,
				ClientConfig: admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Namespace: namespace}},
			}},
		})
	}
	for _, tt := range []struct{ got, want string }{
		{homeOf(binding, calls("other")), "platform-tools"},
		{homeOf(notAllowed[rbacv1.ClusterRoleBinding](), calls("other")), "other"},
		{homeOf(there(&rbacv1.ClusterRoleBinding{}), notThere[admissionregistrationv1.MutatingWebhookConfiguration]()), namespace},
	} {
		if tt.got != tt.want {
			t.Errorf("found in %s, want %s", tt.got, tt.want)
		}
	}
}
