package acceptance

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// asAdmin is a client of the cluster's administrator.
func asAdmin(t *testing.T, c *cluster.Cluster) client.Client {
	t.Helper()
	return newClient(t, c.RESTConfig())
}

// newClient is a client that says nothing of API warnings.
func newClient(t *testing.T, config *rest.Config) client.Client {
	t.Helper()
	config.WarningHandler = rest.NoWarnings{}
	who, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return who
}

// asAccount is a client of a ServiceAccount of the installation.
func asAccount(t *testing.T, c *cluster.Cluster, name string) client.Client {
	t.Helper()
	config, err := c.ServiceAccountConfig(t.Context(), installation, name)
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, config)
}

func create(t *testing.T, who client.Client, object client.Object) {
	t.Helper()
	if err := who.Create(t.Context(), object); err != nil {
		t.Fatalf("create %T %s/%s: %v", object, object.GetNamespace(), object.GetName(), err)
	}
}

// newNamespace makes a namespace for one test, which is deleted after it.
func newNamespace(t *testing.T, c *cluster.Cluster) string {
	t.Helper()
	admin := asAdmin(t, c)
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "policies-"}}
	create(t, admin, namespace)
	t.Cleanup(func() {
		// t.Context() is done by now.
		if _, err := c.Kubectl(context.Background(), "", "delete", "namespace", namespace.Name, "--wait=false"); err != nil {
			t.Error(err)
		}
	})
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace.Name, Name: "default"}}
	if err := admin.Create(t.Context(), account); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	return namespace.Name
}

// grantEverything lets RBAC allow both identities everything in a namespace, so
// that what is still refused there is refused by a policy. It returns when that
// is in force.
func grantEverything(t *testing.T, c *cluster.Cluster, namespace string) {
	t.Helper()
	admin := asAdmin(t, c)
	accounts := []string{"sidecar-drift-auditor", "sidecar-drift-rollout"}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "everything"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
	}
	for _, account := range accounts {
		binding.Subjects = append(binding.Subjects, rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: installation, Name: account})
	}
	create(t, admin, binding)
	err := cluster.Poll(t.Context(), "the grant in "+namespace, func(ctx context.Context) error {
		for _, account := range accounts {
			review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
				User:               "system:serviceaccount:" + installation + ":" + account,
				ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: namespace, Verb: "*", Group: "*", Resource: "*"},
			}}
			if err := admin.Create(ctx, review); err != nil {
				return err
			}
			if !review.Status.Allowed {
				return fmt.Errorf("%s is not allowed everything yet", account)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// podSpec is a Pod as a newcomer would write it.
func podSpec() corev1.PodSpec {
	return corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app:1"}}}
}

func newPod(namespace string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "app-"}, Spec: podSpec()}
}

// newWorkload is a workload of a kind, named app, whose template has a label
// and an annotation of its own.
func newWorkload(kind, namespace string) client.Object {
	meta := metav1.ObjectMeta{
		Namespace: namespace, Name: "app",
		Labels:      map[string]string{"team": "shop"},
		Annotations: map[string]string{"note": "mine"},
	}
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "app"}}
	template := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{
			Labels:      map[string]string{"app": "app", "tier": "web"},
			Annotations: map[string]string{"note": "mine"},
		},
		Spec: podSpec(),
	}
	switch kind {
	case "Deployment":
		return &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Selector: selector, Template: template}}
	case "StatefulSet":
		return &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Selector: selector, Template: template}}
	case "DaemonSet":
		return &appsv1.DaemonSet{ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Selector: selector, Template: template}}
	case "ReplicaSet":
		return &appsv1.ReplicaSet{ObjectMeta: meta, Spec: appsv1.ReplicaSetSpec{Selector: selector, Template: template}}
	case "Job":
		template.Spec.RestartPolicy = corev1.RestartPolicyNever
		return &batchv1.Job{ObjectMeta: meta, Spec: batchv1.JobSpec{Template: template}}
	case "CronJob":
		template.Spec.RestartPolicy = corev1.RestartPolicyNever
		job := batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: template}}
		return &batchv1.CronJob{ObjectMeta: meta, Spec: batchv1.CronJobSpec{Schedule: "0 0 1 1 *", JobTemplate: job}}
	case "ReplicationController":
		return &corev1.ReplicationController{ObjectMeta: meta, Spec: corev1.ReplicationControllerSpec{Selector: selector.MatchLabels, Template: &template}}
	case "Rollout":
		object, err := toRollout(meta, template)
		if err != nil {
			panic(err) // of two values that always convert
		}
		return object
	}
	panic(fmt.Sprintf("no workload of kind %s", kind))
}

func toRollout(meta metav1.ObjectMeta, template corev1.PodTemplateSpec) (*unstructured.Unstructured, error) {
	encoded, err := json.Marshal(map[string]any{
		"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": meta,
		"spec": map[string]any{"replicas": 1, "template": template},
	})
	if err != nil {
		return nil, err
	}
	object := &unstructured.Unstructured{}
	return object, object.UnmarshalJSON(encoded)
}

// checkRefused checks that it was the policy that refused, with a message that
// says why.
func checkRefused(t *testing.T, err error, policy, why string) {
	t.Helper()
	if err == nil {
		t.Fatalf("allowed, want %s to refuse it", policy)
	}
	if message := err.Error(); !strings.Contains(message, policy) || !strings.Contains(message, why) {
		t.Errorf("refused with %q, want %s to say %q", message, policy, why)
	}
}

func TestAuditorMayOnlyPretendToCreatePods(t *testing.T) {
	c := fenced(t)
	const why = "dry run only"
	for _, account := range []string{"sidecar-drift-auditor", "sidecar-drift-rollout"} {
		t.Run(account, func(t *testing.T) {
			who, namespace := asAccount(t, c, account), newNamespace(t, c)

			dry := newPod(namespace)
			if err := who.Create(t.Context(), dry, client.DryRunAll); err != nil {
				t.Errorf("dry run: %v, want it allowed", err)
			}
			if len(dry.Spec.Volumes) == 0 {
				t.Error("the dry run's Pod did not pass admission: it has no service account volume")
			}
			checkRefused(t, who.Create(t.Context(), newPod(namespace)), dryRunPolicy, why)

			named := newPod(namespace)
			named.GenerateName, named.Name = "", "app"
			checkRefused(t, who.Create(t.Context(), named), dryRunPolicy, why)

			applied := &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "v1", "kind": "Pod",
				"metadata": map[string]any{"namespace": namespace, "name": "applied"},
				"spec":     map[string]any{"containers": []any{map[string]any{"name": "app", "image": "app:1"}}},
			}}
			grantEverything(t, c, namespace) // for patch, which RBAC refuses
			err := who.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(applied), client.FieldOwner("test"))
			checkRefused(t, err, dryRunPolicy, why)
		})
	}
}

func TestPoliciesConcernNobodyElse(t *testing.T) {
	c := fenced(t)
	namespace, admin := newNamespace(t, c), asAdmin(t, c)
	create(t, admin, newPod(namespace))
	deployment := newWorkload("Deployment", namespace)
	create(t, admin, deployment)
	if err := admin.Patch(t.Context(), deployment, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":2}}`))); err != nil {
		t.Errorf("scale: %v, want it allowed", err)
	}
}

func TestAuditorMayChangeNothing(t *testing.T) {
	c := fenced(t)
	auditor, namespace := asAccount(t, c, "sidecar-drift-auditor"), newNamespace(t, c)
	deployment := newWorkload("Deployment", namespace)
	create(t, asAdmin(t, c), deployment)
	restart := client.RawPatch(types.MergePatchType, []byte(restartPatch))
	if err := auditor.Patch(t.Context(), deployment, restart); !apierrors.IsForbidden(err) {
		t.Errorf("restart: %v, want it forbidden", err)
	}
	if err := auditor.Delete(t.Context(), deployment); !apierrors.IsForbidden(err) {
		t.Errorf("delete: %v, want it forbidden", err)
	}
	secrets := &corev1.SecretList{}
	if err := auditor.List(t.Context(), secrets); !apierrors.IsForbidden(err) {
		t.Errorf("list Secrets: %v, want it forbidden", err)
	}
}

// The stamper's account is not so much as named by a binding.
func TestStamperHasNoRights(t *testing.T) {
	c := fenced(t)
	out, err := c.Kubectl(t.Context(), "", "get", "rolebindings,clusterrolebindings", "-A",
		"-o", `jsonpath={range .items[*]}{range .subjects[*]}{.name}{"\n"}{end}{end}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, subject := range strings.Fields(out) {
		if subject == "sidecar-drift-webhook" {
			t.Error("a binding names the stamper's ServiceAccount")
		}
	}
	pods := &corev1.PodList{}
	if err := asAccount(t, c, "sidecar-drift-webhook").List(t.Context(), pods); !apierrors.IsForbidden(err) {
		t.Errorf("list Pods: %v, want it forbidden", err)
	}
}
