package doctor

import (
	"cmp"
	"context"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// installation is what there is of the product in the cluster.
type installation struct {
	home          string // its namespace; empty before it was looked for
	namespace     read[corev1.Namespace]
	configuration read[admissionregistrationv1.MutatingWebhookConfiguration]
	policies      map[string]read[admissionregistrationv1.ValidatingAdmissionPolicy]
	bindings      read[admissionregistrationv1.ValidatingAdmissionPolicyBindingList]
	deployments   map[string]read[appsv1.Deployment]
	service       read[corev1.Service]
	pods          read[corev1.PodList]
	rollout       read[corev1.ServiceAccount] // the identity that may roll out
	auditor       read[rbacv1.ClusterRoleBinding]
}

func (e *examiner) installation(ctx context.Context) {
	admission, core := e.objects.AdmissionregistrationV1(), e.objects.CoreV1()
	get, list := metav1.GetOptions{}, metav1.ListOptions{}
	i := &e.installed
	binding, err := e.objects.RbacV1().ClusterRoleBindings().Get(ctx, auditor, get)
	i.auditor = as(e, binding, err)
	configuration, err := admission.MutatingWebhookConfigurations().Get(ctx, configurationName, get)
	i.configuration = as(e, configuration, err)
	i.home = homeOf(i.auditor, i.configuration)
	found, err := core.Namespaces().Get(ctx, i.home, get)
	i.namespace = as(e, found, err)
	i.policies = map[string]read[admissionregistrationv1.ValidatingAdmissionPolicy]{}
	for _, name := range []string{dryRunPolicy, rolloutPolicy} {
		policy, err := admission.ValidatingAdmissionPolicies().Get(ctx, name, get)
		i.policies[name] = as(e, policy, err)
	}
	if i.nothing() {
		e.add(judgeInstallation(*i))
		return
	}
	bindings, err := admission.ValidatingAdmissionPolicyBindings().List(ctx, list)
	i.bindings = as(e, bindings, err)
	i.deployments = map[string]read[appsv1.Deployment]{}
	for _, name := range []string{stamper, auditor, certificate} {
		deployment, err := e.objects.AppsV1().Deployments(i.home).Get(ctx, name, get)
		i.deployments[name] = as(e, deployment, err)
	}
	service, err := core.Services(i.home).Get(ctx, stamper, get)
	i.service = as(e, service, err)
	pods, err := core.Pods(i.home).List(ctx, list)
	i.pods = as(e, pods, err)
	account, err := core.ServiceAccounts(i.home).Get(ctx, rollout, get)
	i.rollout = as(e, account, err)
	e.add(judgeInstallation(*i))
}

// homeOf is the namespace that the installation is in, by objects of the cluster that
// nobody writes who can write in one namespace only: whom the auditor's role is bound
// to, and whom API servers call. Where neither can be read, it is that of the
// manifests.
func homeOf(binding read[rbacv1.ClusterRoleBinding], configuration read[admissionregistrationv1.MutatingWebhookConfiguration]) string {
	if binding.err == nil {
		for _, s := range binding.value.Subjects {
			if s.Kind == rbacv1.ServiceAccountKind && s.Name == auditor {
				return s.Namespace
			}
		}
	}
	if configuration.err == nil {
		if w := stampWebhook(configuration.value); w != nil && w.ClientConfig.Service != nil {
			return w.ClientConfig.Service.Namespace
		}
	}
	return namespace
}

// home is the installation's namespace.
func (e *examiner) home() string { return cmp.Or(e.installed.home, namespace) }

// nothing holds where it is certain that no part of the product is there.
func (i installation) nothing() bool {
	return i.namespace.missing() && i.configuration.missing() &&
		i.policies[dryRunPolicy].missing() && i.policies[rolloutPolicy].missing()
}

func judgeInstallation(i installation) Finding {
	t := topic{checkInstallation, cmp.Or(i.home, namespace)}
	switch {
	case i.nothing():
		return t.notChecked("docs/install.md adds stamps on new Pods, audits from inside of the cluster, and an identity that may only pretend to create Pods",
			"nothing is installed in this cluster, and audit and rollout work without")
	case i.namespace.missing():
		return t.wrong("install again: make deploy, or remove the rest: make undeploy", "the namespace is gone, and other parts of the installation are not")
	case i.namespace.err != nil:
		return t.unread(i.namespace.err)
	case i.rollout.missing():
		return t.ok("installed, to report only: there is no identity that may roll out")
	case i.rollout.err != nil:
		return t.ok("installed; whether with an identity that may roll out cannot be read: %v", i.rollout.err)
	}
	return t.ok("installed, with an identity that may roll out")
}
