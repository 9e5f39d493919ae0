package cli

import (
	"context"
	"fmt"
	"strings"

	openreports "github.com/openreports/reports-api/apis/openreports.io/v1alpha1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
)

// Where an installation is, as docs/install.md has it.
const (
	installedNamespace = "sidecar-drift"
	auditorAccount     = "sidecar-drift-auditor"
)

// openWays adds to the error of an audit that was not allowed what this identity may do
// instead: act as the fenced account, or look at what the installation's own audits
// found. What cannot be asked is no way.
func (h hints) openWays(ctx context.Context, config *rest.Config, selected inventory.Selection, err error) error {
	if !apierrors.IsForbidden(err) {
		return err
	}
	client, failed := kubernetes.NewForConfig(config)
	if failed != nil {
		return err
	}
	may := func(verb, resource, subresource, name string) bool {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: installedNamespace, Verb: verb, Resource: resource, Subresource: subresource, Name: name, Version: "v1",
			},
		}}
		answer, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		return err == nil && answer.Status.Allowed
	}
	var ways strings.Builder
	add := func(what string, commands ...string) {
		fmt.Fprintf(&ways, "\n%s:\n  %s", what, strings.Join(commands, "\n  "))
	}
	// Who is impersonated can impersonate nobody.
	if config.Impersonate.UserName == "" && may("impersonate", "serviceaccounts", "", auditorAccount) {
		add("You may act as the installation's account, which may",
			h.command("audit", nil, "--as=system:serviceaccount:"+installedNamespace+":"+auditorAccount))
	}
	_, missing := client.AppsV1().Deployments(installedNamespace).Get(ctx, auditorAccount, metav1.GetOptions{})
	if !apierrors.IsNotFound(missing) && may("create", "pods", "portforward", "") {
		add("You may look at the page of the installation's own audits, at http://localhost:8082",
			"kubectl -n "+installedNamespace+" port-forward deployment/"+auditorAccount+" 8082")
	}
	if readsReports(ctx, config, selected.Namespace) {
		where := "--all-namespaces"
		if selected.Namespace != "" {
			where = "-n " + selected.Namespace
		}
		add("You may read the reports of the installation's own audits", "kubectl get reports.openreports.io "+where)
	}
	if ways.Len() == 0 {
		return err
	}
	return fmt.Errorf("%w\n%s", err, ways.String())
}

// readsReports reports whether there are policy reports that this identity may read.
func readsReports(ctx context.Context, config *rest.Config, namespace string) bool {
	client, err := metadata.NewForConfig(config)
	if err != nil {
		return false
	}
	reports := client.Resource(openreports.SchemeGroupVersion.WithResource("reports")).Namespace(namespace)
	found, err := reports.List(ctx, metav1.ListOptions{Limit: 1, LabelSelector: "app.kubernetes.io/managed-by=sidecar-drift"})
	return err == nil && len(found.Items) > 0
}
