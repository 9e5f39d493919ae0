package doctor

import (
	"context"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/cause/inputs"
)

// causeRights are those by which the auditor looks whose changes are, everywhere: the
// ClusterRole sidecar-drift-causes.
func causeRights() []authorizationv1.ResourceAttributes {
	const rbac = "rbac.authorization.k8s.io"
	return slices.Concat(
		rights("", "list", "limitranges"),
		rights(rbac, "list", "clusterrolebindings", "rolebindings"),
		rights(rbac, "get", "clusterroles", "roles"),
		rights("networking.istio.io", "list", "proxyconfigs"),
		rights("dapr.io", "list", "components"),
		rights("opentelemetry.io", "list", "instrumentations", "opentelemetrycollectors"),
		rights("kubeflow.org", "list", "poddefaults"),
	)
}

// causeRightsIn are those in the namespace of an injector.
func causeRightsIn(namespace string) []authorizationv1.ResourceAttributes {
	return within(namespace, "", rights("", "list", "configmaps", "services"))
}

// looksForCauses reports whether the auditor is told to look whose changes are.
func looksForCauses(d *appsv1.Deployment) bool {
	for _, c := range d.Spec.Template.Spec.Containers {
		if slices.Contains(c.Args, "--causes") || slices.Contains(c.Args, "--causes=true") {
			return true
		}
	}
	return false
}

// causes judges what the auditor lacks to look whose changes are.
func (e *examiner) causes(ctx context.Context) {
	d := e.installed.deployments[auditor]
	if d.err != nil || d.value == nil || !looksForCauses(d.value) {
		return
	}
	t := topic{checkAccess, "causes"}
	configurations, err := e.objects.AdmissionregistrationV1().MutatingWebhookConfigurations().List(ctx, metav1.ListOptions{})
	if err != nil {
		e.add(t.unread(e.note(err)))
		return
	}
	needs := causeRights()
	for _, namespace := range inputs.Namespaces(configurations) {
		needs = append(needs, causeRightsIn(namespace)...)
	}
	allowed, err := e.ask(ctx, needs, func(ctx context.Context, r authorizationv1.ResourceAttributes) (bool, error) {
		return e.accountMay(ctx, d.value.Spec.Template.Spec.ServiceAccountName, r)
	})
	if err != nil {
		e.add(t.unread(e.note(err)))
		return
	}
	e.add(judgeCauses(missing(needs, allowed)))
}

// judgeCauses judges what is missing.
func judgeCauses(lacks []authorizationv1.ResourceAttributes) Finding {
	t := topic{checkAccess, "causes"}
	if len(lacks) == 0 {
		return t.ok("the auditor may look whose changes are")
	}
	return t.warning("apply the component causes, and a Role in each injector's namespace: docs/changes.md#rights",
		"the auditor is to look whose changes are, and may not %s: what it cannot see is said with each change", inNamespaces(lacks))
}

// inNamespaces lists rights, with the namespaces that they are of.
func inNamespaces(lacks []authorizationv1.ResourceAttributes) string {
	by := map[string][]authorizationv1.ResourceAttributes{}
	var order []string
	for _, r := range lacks {
		if by[r.Namespace] == nil {
			order = append(order, r.Namespace)
		}
		by[r.Namespace] = append(by[r.Namespace], r)
	}
	text := ""
	for i, namespace := range order {
		if i > 0 {
			text += "; "
		}
		text += inWords(by[namespace])
		if namespace != "" {
			text += " in " + namespace
		}
	}
	return text
}
