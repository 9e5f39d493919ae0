package acceptance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

const replicaSetController = "system:serviceaccount:kube-system:replicaset-controller"

// controllerIdentity is the component, for the auditor's account of a namespace.
func controllerIdentity(t *testing.T, namespace string) (policy, rights string) {
	t.Helper()
	var texts []string
	for _, file := range []string{"policy.yaml", "rbac.yaml"} {
		text, err := os.ReadFile("../../manifests/components/controller-identity/" + file)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, strings.ReplaceAll(string(text), "namespace: sidecar-drift\n", "namespace: "+namespace+"\n"))
	}
	return texts[0], texts[1]
}

// pickyInjector answers controllers alone, as Dapr's does: it adds a sidecar.
func pickyInjector(t *testing.T, c *cluster.Cluster, name string, change func() []injector.Operation, opts injector.Options) {
	t.Helper()
	opts.Name, opts.Namespaces = name, name
	running, err := injector.Start(t.Context(), c, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := running.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	running.Inject(func(r injector.Request) []injector.Operation {
		if len(opts.MatchConditions) == 0 && !strings.HasPrefix(r.User.Username, "system:serviceaccount:kube-system:") {
			return nil
		}
		return change()
	})
}

// owners are a workload of each kind that has a controller of its own.
const owners = `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: set}
spec:
  serviceName: set
  selector: {matchLabels: {app: set}}
  template: {metadata: {labels: {app: set}}, spec: {containers: [{name: app, image: "app:1"}]}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: daemon}
spec:
  selector: {matchLabels: {app: daemon}}
  template: {metadata: {labels: {app: daemon}}, spec: {containers: [{name: app, image: "app:1"}]}}
`

// Where an injector answers a Pod's controller otherwise than others, dry runs as
// that controller tell the truth. The auditor gets there with the component, whose
// policy leaves a thief of its token dry runs; without, it says that it does not know.
func TestAuditAsTheController(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	image := "proxy:1"
	pickyInjector(t, c, "dapr", func() []injector.Operation {
		return []injector.Operation{injector.AddContainer(corev1.Container{Name: "daprd", Image: image})}
	}, injector.Options{Webhook: "sidecar-injector.dapr.io"})
	pickyInjector(t, c, "conditional", func() []injector.Operation {
		return []injector.Operation{
			injector.AddContainer(corev1.Container{Name: "proxy", Image: image}),
			{Op: "add", Path: "/spec/containers/0/env", Value: []corev1.EnvVar{{Name: "SET", Value: "yes"}}},
		}
	}, injector.Options{MatchConditions: []admissionregistrationv1.MatchCondition{
		{Name: "controllers", Expression: `request.userInfo.username.startsWith('system:serviceaccount:kube-system:')`},
	}})
	dapr := namespaceWith(t, c, map[string]string{injector.NamespaceLabel: "dapr"})
	conditional := namespaceWith(t, c, map[string]string{injector.NamespaceLabel: "conditional"})
	for _, namespace := range []string{dapr, conditional} {
		deployWeb(t, c, namespace, 1, "web")
	}
	apply(t, c, dapr, owners)
	for _, workload := range []string{"statefulset/set", "daemonset/daemon"} {
		rolledOut(t, c, dapr, workload)
	}

	home := namespaceWith(t, c, nil)
	clusterWide(t, c, fmt.Sprintf(accountOfServe, home, "sidecar-drift-auditor"))
	config, err := c.ServiceAccountConfig(t.Context(), home, "sidecar-drift-auditor")
	if err != nil {
		t.Fatal(err)
	}
	auditAs := func(config *rest.Config, as injection.DryRunAs) *report.Report {
		t.Helper()
		found, err := audit.Run(t.Context(), config, audit.Options{
			Selection: inventory.Selection{IncludeNamespaces: []string{dapr, conditional}}, DryRunAs: as,
		})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	doubted := func(what string, found *report.Report) {
		t.Helper()
		if found.DryRunAs != "self" {
			t.Errorf("%s: asked as %q", what, found.DryRunAs)
		}
		for _, item := range found.Items {
			r := item.Revisions[0]
			if item.State != verdict.Orphaned || !r.Approximate || item.Rollout.Eligible || r.AskedAs != "" || !strings.Contains(r.Reason, "looks at who creates a Pod") {
				t.Errorf("%s: %s %s is %s, approximate %t, eligible %t, asked as %q: %s",
					what, item.Kind, item.Name, item.State, r.Approximate, item.Rollout.Eligible, r.AskedAs, r.Reason)
			}
			if item.Namespace == dapr && !strings.Contains(r.Reason, "allowedServiceAccounts") {
				t.Errorf("%s: %q does not say what changes that", what, r.Reason)
			}
		}
	}
	certain := func(what string, found *report.Report, state verdict.State) {
		t.Helper()
		if found.DryRunAs != "controller" || len(found.Items) != 4 {
			t.Errorf("%s: %d workloads, asked as %q", what, len(found.Items), found.DryRunAs)
		}
		for _, item := range found.Items {
			if r := item.Revisions[0]; item.State != state || r.Approximate || !strings.HasPrefix(r.AskedAs, "system:serviceaccount:kube-system:") {
				t.Errorf("%s: %s %s is %s, approximate %t, asked as %q: %s %v", what, item.Kind, item.Name, item.State, r.Approximate, r.AskedAs, r.Reason, r.Changes)
			}
		}
	}

	doubted("the auditor", auditAs(config, injection.Auto))
	if _, err := audit.Run(t.Context(), config, audit.Options{DryRunAs: injection.Controller}); err == nil || !strings.Contains(err.Error(), "you may not impersonate") {
		t.Errorf("as the controller, without the right: %v", err)
	}
	certain("an administrator", auditAs(c.RESTConfig(), injection.Auto), verdict.InSync)
	doubted("an administrator who wants that", auditAs(c.RESTConfig(), injection.Self))
	nested := c.RESTConfig()
	nested.Impersonate.UserName, nested.Impersonate.Groups = "somebody", []string{"system:masters"}
	doubted("one who impersonates", auditAs(nested, injection.Auto))

	policy, rights := controllerIdentity(t, home)
	clusterWide(t, c, policy)
	clusterWide(t, c, rights)
	err = cluster.Poll(t.Context(), "the component", func(context.Context) error {
		if found := auditAs(config, injection.Auto); found.DryRunAs != "controller" {
			return errors.New("asks as itself")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	certain("the auditor with the component", auditAs(config, injection.Auto), verdict.InSync)
	image = "proxy:2"
	certain("after a change", auditAs(config, injection.Controller), verdict.Drifted)

	thief := rest.CopyConfig(config)
	thief.Impersonate.UserName = replicaSetController
	stolen, err := kubernetes.NewForConfig(thief)
	if err != nil {
		t.Fatal(err)
	}
	err = cluster.Poll(t.Context(), "the policy", func(ctx context.Context) error {
		_, err := stolen.CoreV1().Pods(dapr).Create(ctx, newPod(dapr), metav1.CreateOptions{})
		if err == nil || !strings.Contains(err.Error(), "sidecar-drift-controller-identity") {
			return fmt.Errorf("a real Pod: %w", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stolen.CoreV1().Pods(dapr).List(t.Context(), metav1.ListOptions{}); err == nil || !strings.Contains(err.Error(), "impersonate") {
		t.Errorf("lists Pods as the controller: %v", err)
	}
	// The controllers themselves are not meant.
	for _, resource := range []string{"deployment/web", "statefulset/set"} {
		if _, err := c.Kubectl(t.Context(), "", "-n", dapr, "scale", resource, "--replicas=3"); err != nil {
			t.Fatal(err)
		}
		rolledOut(t, c, dapr, resource)
	}
}
