package doctor

import (
	"context"
	"fmt"
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// bound is somebody whom a role of ours is bound to.
type bound struct {
	role, binding string // as "ClusterRoleBinding a" or "RoleBinding n/a"
	subject       rbacv1.Subject
}

// others looks for people and accounts to whom our roles are bound, and whom the
// policies do not keep from the rest of what these allow.
func (e *examiner) others(ctx context.Context) {
	t := topic{checkAccess, "others"}
	everywhere, err := e.objects.RbacV1().ClusterRoleBindings().List(ctx, metav1.ListOptions{})
	if e.note(err) != nil {
		e.add(t.unread(err))
		return
	}
	within, err := e.objects.RbacV1().RoleBindings(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if e.note(err) != nil {
		e.add(t.unread(err))
		return
	}
	var all []bound
	for _, b := range everywhere.Items {
		all = append(all, boundBy(b.RoleRef, "ClusterRoleBinding "+b.Name, b.Subjects)...)
	}
	for _, b := range within.Items {
		all = append(all, boundBy(b.RoleRef, "RoleBinding "+b.Namespace+"/"+b.Name, b.Subjects)...)
	}
	e.add(judgeOthers(all, e.installed.policies)...)
}

func boundBy(ref rbacv1.RoleRef, binding string, subjects []rbacv1.Subject) []bound {
	if ref.Kind != "ClusterRole" || !slices.Contains([]string{auditRole, rolloutRole, resizeRole}, ref.Name) {
		return nil
	}
	var all []bound
	for _, s := range subjects {
		all = append(all, bound{ref.Name, binding, s})
	}
	return all
}

// judgeOthers judges those whom the policies could be about.
func judgeOthers(all []bound, policies map[string]read[admissionregistrationv1.ValidatingAdmissionPolicy]) []Finding {
	t := topic{checkAccess, "others"}
	var found []Finding
	for _, b := range all {
		policy, allows := policies[dryRunPolicy], "really create Pods"
		switch b.role {
		case rolloutRole:
			policy, allows = policies[rolloutPolicy], "change workloads in any way"
		case resizeRole:
			policy, allows = policies[rolloutPolicy], "resize any container"
		}
		if policy.err != nil {
			continue // which another check says
		}
		user, groups := b.subject.Name, []string(nil)
		switch b.subject.Kind {
		case rbacv1.ServiceAccountKind:
			user = userOf(b.subject.Namespace, b.subject.Name)
		case rbacv1.GroupKind:
			user, groups = "", []string{b.subject.Name}
		}
		if covered, err := covers(policy.value.Spec.MatchConditions, user, groups); err == nil && covered {
			continue
		}
		found = append(found, t.warning("see docs/install.md#people", "%s %s may %s: %s gives %s, and the policies are not about them",
			b.subject.Kind, fmt.Sprintf("%.100q", b.subject.Name), allows, b.binding, b.role))
	}
	return found
}
