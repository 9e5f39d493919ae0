package acceptance

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

const (
	installation = "sidecar-drift" // its namespace
	base         = "../../manifests"
	withRollout  = "../../manifests/overlays/rollout"
	// withAutoRollout lets the auditor roll out by itself.
	withAutoRollout = "../../manifests/overlays/auto-rollout"
	// withResize lets rollouts resize Pods in place, too.
	withResize = "../../manifests/overlays/resize"
	// withFairness gives audits a share of the API server.
	withFairness = "../../manifests/overlays/fairness"
	// withPolicyReports has the auditor keep Reports; autoWithComponents has it do
	// all of this, by the components.
	withPolicyReports  = "../../manifests/overlays/policy-reports"
	autoWithComponents = "testdata/auto-rollout-with-components"
	// moved is in another namespace, with a group of people.
	moved = "testdata/moved"
)

// fenced returns the cluster with the product installed and both policies in
// force, which API servers learn of some moments after they were created.
func fenced(t *testing.T) *cluster.Cluster {
	t.Helper()
	testProduct(t)
	c := testCluster(t)
	auditor, rollout := asAccount(t, c, "sidecar-drift-auditor"), asAccount(t, c, "sidecar-drift-rollout")
	own := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: installation, Name: "sidecar-drift-certs"}}
	scale := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":2}}`))
	for policy, forbidden := range map[string]func(context.Context) error{
		dryRunPolicy:  func(ctx context.Context) error { return auditor.Create(ctx, newPod("default")) },
		rolloutPolicy: func(ctx context.Context) error { return rollout.Patch(ctx, own, scale, client.DryRunAll) },
	} {
		err := cluster.Poll(t.Context(), "the policy "+policy, func(ctx context.Context) error {
			err := forbidden(ctx)
			switch {
			case err == nil:
				return errors.New("what it forbids is allowed")
			case !strings.Contains(err.Error(), policy):
				return fmt.Errorf("what it forbids is refused otherwise: %w", err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// render is what kustomize makes of a directory, document by document.
func render(t *testing.T, c *cluster.Cluster, dir string) []*unstructured.Unstructured {
	t.Helper()
	out, err := c.Kubectl(t.Context(), "", "kustomize", dir)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := cluster.Objects(out)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// warnings collects what an API server has to say about requests.
type warnings struct {
	mu   sync.Mutex
	said []string
}

func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, text)
}

var _ rest.WarningHandler = &warnings{}

func TestManifestsPassAServerSideDryRun(t *testing.T) {
	c := fenced(t) // for the namespace that the others are in
	for _, dir := range []string{base, withRollout, withAutoRollout, withPolicyReports, withFairness, autoWithComponents} {
		t.Run(strings.TrimPrefix(dir, "../../"), func(t *testing.T) {
			for _, object := range render(t, c, dir) {
				t.Run(object.GetKind()+"/"+object.GetName(), func(t *testing.T) {
					if object.GetKind() == "MutatingWebhookConfiguration" {
						// The installed one has been given a url instead of its
						// service: be a new one.
						object.SetName("dry-run")
					}
					checkDryRun(t, c, object)
				})
			}
		})
	}
}

// checkDryRun checks that the API server would take the object, with every field
// of it, and says nothing against it.
func checkDryRun(t *testing.T, c *cluster.Cluster, object *unstructured.Unstructured) {
	t.Helper()
	said := &warnings{}
	config := c.RESTConfig()
	config.WarningHandler = said
	admin, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.WithFieldValidation(admin, metav1.FieldValidationStrict).
		Apply(t.Context(), client.ApplyConfigurationFromUnstructured(object),
			client.DryRunAll, client.ForceOwnership, client.FieldOwner("dry-run")); err != nil {
		t.Error(err)
	}
	if len(said.said) > 0 {
		t.Errorf("the API server warns: %q", said.said)
	}
}

// The names are public (contract.md), and the rollout's rights come with the
// overlay only.
func TestManifestsHoldTheNamedObjects(t *testing.T) {
	c := testCluster(t)
	common := []string{
		"ClusterRole/sidecar-drift-audit",
		"ClusterRole/sidecar-drift-certs",
		"ClusterRoleBinding/sidecar-drift-auditor",
		"ClusterRoleBinding/sidecar-drift-certs",
		"Deployment/sidecar-drift-auditor",
		"Deployment/sidecar-drift-certs",
		"Deployment/sidecar-drift-webhook",
		"MutatingWebhookConfiguration/zz-sidecar-drift",
		"Namespace/sidecar-drift",
		"NetworkPolicy/sidecar-drift-auditor",
		"NetworkPolicy/sidecar-drift-certs",
		"NetworkPolicy/sidecar-drift-webhook",
		"PodDisruptionBudget/sidecar-drift-auditor",
		"PodDisruptionBudget/sidecar-drift-webhook",
		"Role/sidecar-drift-auditor",
		"Role/sidecar-drift-certs",
		"RoleBinding/sidecar-drift-auditor",
		"RoleBinding/sidecar-drift-certs",
		"Service/sidecar-drift-auditor",
		"Service/sidecar-drift-webhook",
		"ServiceAccount/sidecar-drift-auditor",
		"ServiceAccount/sidecar-drift-certs",
		"ServiceAccount/sidecar-drift-webhook",
		"ValidatingAdmissionPolicy/sidecar-drift-dry-run-only",
		"ValidatingAdmissionPolicy/sidecar-drift-rollout-only",
		"ValidatingAdmissionPolicyBinding/sidecar-drift-dry-run-only",
		"ValidatingAdmissionPolicyBinding/sidecar-drift-rollout-only",
	}
	rollout := slices.Concat(common, []string{
		"ClusterRole/sidecar-drift-rollout",
		"ClusterRoleBinding/sidecar-drift-rollout",
		"ClusterRoleBinding/sidecar-drift-rollout-audit",
		"Role/sidecar-drift-rollout",
		"RoleBinding/sidecar-drift-rollout",
		"ServiceAccount/sidecar-drift-rollout",
	})
	auto := slices.Concat(rollout, []string{"ConfigMap/sidecar-drift-configuration", "RoleBinding/sidecar-drift-auto-rollout"})
	reports := []string{"ClusterRole/sidecar-drift-policy-reports", "ClusterRoleBinding/sidecar-drift-policy-reports"}
	controllers := []string{
		"ClusterRole/sidecar-drift-controller-identity", "ClusterRoleBinding/sidecar-drift-controller-identity",
		"Role/sidecar-drift-controller-identity", "RoleBinding/sidecar-drift-controller-identity",
		"ValidatingAdmissionPolicy/sidecar-drift-controller-identity", "ValidatingAdmissionPolicyBinding/sidecar-drift-controller-identity",
	}
	resize := []string{"ClusterRole/sidecar-drift-resize", "ClusterRoleBinding/sidecar-drift-resize"}
	fairness := []string{"FlowSchema/sidecar-drift-audit", "PriorityLevelConfiguration/sidecar-drift-audit"}
	for dir, want := range map[string][]string{
		base: common, withRollout: rollout, withAutoRollout: auto,
		withResize:         slices.Concat(rollout, resize),
		withPolicyReports:  slices.Concat(common, reports),
		withFairness:       slices.Concat(common, fairness),
		autoWithComponents: slices.Concat(auto, reports, fairness, controllers, resize, []string{"ClusterRole/sidecar-drift-viewer", "ClusterRoleBinding/sidecar-drift-auth-delegator"}),
	} {
		t.Run(strings.TrimPrefix(dir, "../../"), func(t *testing.T) {
			slices.Sort(want)
			var got []string
			for _, object := range render(t, c, dir) {
				got = append(got, object.GetKind()+"/"+object.GetName())
				checkPlace(t, object)
			}
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
		})
	}
}

// Components give rights and flags to whoever the auditor is.
func TestManifestsComponentsFollowTheAuditor(t *testing.T) {
	c := testCluster(t)
	for _, tt := range []struct {
		dir, account string
		bindings     int
		flags        []string
	}{
		{withPolicyReports, "sidecar-drift-auditor", 1, []string{"--policy-reports"}},
		{autoWithComponents, "sidecar-drift-rollout", 4, []string{"--policy-reports", "--require-authorization"}},
	} {
		dir, checked := tt.dir, 0
		for _, object := range render(t, c, dir) {
			switch object.GetKind() + "/" + object.GetName() {
			case "ClusterRoleBinding/sidecar-drift-policy-reports", "ClusterRoleBinding/sidecar-drift-auth-delegator",
				"ClusterRoleBinding/sidecar-drift-controller-identity", "RoleBinding/sidecar-drift-controller-identity":
				subjects, _, _ := unstructured.NestedSlice(object.Object, "subjects")
				if len(subjects) != 1 || subjects[0].(map[string]any)["name"] != tt.account {
					t.Errorf("%s: bound to %v, want %s", dir, subjects, tt.account)
				}
				checked++
			case "Deployment/sidecar-drift-auditor":
				containers, _, _ := unstructured.NestedSlice(object.Object, "spec", "template", "spec", "containers")
				args := containers[0].(map[string]any)["args"].([]any)
				for _, flag := range tt.flags {
					if args[0] != "serve" || !slices.Contains(args, any(flag)) {
						t.Errorf("%s: runs %v, without %s", dir, args, flag)
					}
				}
				checked++
			}
		}
		if want := 1 + tt.bindings; checked != want {
			t.Errorf("%s: %d of %d objects found", dir, checked, want)
		}
	}
}

// A namespace of one's own moves accounts and what is bound to them, and a group of
// one's own is bound and fenced alike.
func TestManifestsMove(t *testing.T) {
	conditions := 0
	for _, object := range render(t, testCluster(t), moved) {
		if namespace := object.GetNamespace(); namespace != "" && namespace != "platform-tools" {
			t.Errorf("%s %s stays in %s", object.GetKind(), object.GetName(), namespace)
		}
		subjects, _, _ := unstructured.NestedSlice(object.Object, "subjects")
		for _, s := range subjects {
			switch subject := s.(map[string]any); subject["kind"] {
			case "ServiceAccount":
				if subject["namespace"] != "platform-tools" {
					t.Errorf("%s %s is for %v", object.GetKind(), object.GetName(), subject)
				}
			case "Group":
				if subject["name"] != "platform-auditors" {
					t.Errorf("%s %s is for %v", object.GetKind(), object.GetName(), subject)
				}
			}
		}
		if object.GetKind() == "ValidatingAdmissionPolicy" {
			conditions++
			found, _, _ := unstructured.NestedSlice(object.Object, "spec", "matchConditions")
			if text := fmt.Sprint(found); !strings.Contains(text, "'platform-auditors' in request.userInfo.groups") || strings.Contains(text, "sidecar-drift:auditors") {
				t.Errorf("%s is about %s", object.GetName(), text)
			}
		}
	}
	if conditions != 2 {
		t.Errorf("%d policies, want 2", conditions)
	}
}

// checkPlace checks what is the same for all objects.
func checkPlace(t *testing.T, object *unstructured.Unstructured) {
	t.Helper()
	ofControllers := object.GetNamespace() == "kube-system" && object.GetName() == "sidecar-drift-controller-identity"
	if namespace := object.GetNamespace(); namespace != "" && namespace != installation && !ofControllers {
		t.Errorf("%s %s is in the namespace %q", object.GetKind(), object.GetName(), namespace)
	}
	if name := object.GetLabels()["app.kubernetes.io/name"]; name != "sidecar-drift" {
		t.Errorf("%s %s has the label app.kubernetes.io/name: %q", object.GetKind(), object.GetName(), name)
	}
	if name := object.GetLabels()["app.kubernetes.io/part-of"]; name != "sidecar-drift" {
		t.Errorf("%s %s has the label app.kubernetes.io/part-of: %q: make undeploy would leave it", object.GetKind(), object.GetName(), name)
	}
}

// What is in no namespace, make undeploy must name.
func TestUndeployKnowsEachKind(t *testing.T) {
	printed := exec.CommandContext(t.Context(), "make", "-n", "undeploy")
	printed.Dir = "../.."
	commands, err := printed.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range render(t, testCluster(t), autoWithComponents) {
		many, one := meta.UnsafeGuessKindToResource(object.GroupVersionKind())
		named := strings.Contains(string(commands), many.Resource) || strings.Contains(string(commands), " "+one.Resource+" ")
		if object.GetNamespace() == "" && !named {
			t.Errorf("it leaves %s %s:\n%s", object.GetKind(), object.GetName(), commands)
		}
	}
}

// The manifest must not so much as name the caBundle: who applies a field owns
// it, and GitOps tools would take it away from the certificate controller.
func TestManifestsLeaveTheBundleToItsController(t *testing.T) {
	for _, object := range render(t, testCluster(t), base) {
		configured, _, _ := unstructured.NestedSlice(object.Object, "webhooks")
		for _, webhook := range configured {
			if _, found, _ := unstructured.NestedFieldNoCopy(webhook.(map[string]any), "clientConfig", "caBundle"); found {
				t.Errorf("%s %s has a caBundle key", object.GetKind(), object.GetName())
			}
		}
	}
}

// Pod Security enforces "restricted" in the namespace, so Pods appear only if
// the templates conform.
func TestManifestsDeploymentsRollOut(t *testing.T) {
	c := fenced(t)
	for _, name := range []string{"sidecar-drift-webhook", "sidecar-drift-certs", "sidecar-drift-auditor"} {
		if _, err := c.Kubectl(t.Context(), "", "rollout", "status", "deployment/"+name, "-n", installation, "--timeout=5m"); err != nil {
			t.Error(err)
		}
	}
}

// The API server type-checks expressions against the kinds that it knows.
func TestManifestsPoliciesTypeCheck(t *testing.T) {
	c := fenced(t)
	policies := c.Client().AdmissionregistrationV1().ValidatingAdmissionPolicies()
	for _, name := range []string{"sidecar-drift-dry-run-only", "sidecar-drift-rollout-only"} {
		var policy *admissionregistrationv1.ValidatingAdmissionPolicy
		err := cluster.Poll(t.Context(), "the type check of "+name, func(ctx context.Context) (err error) {
			if policy, err = policies.Get(ctx, name, metav1.GetOptions{}); err == nil && policy.Status.ObservedGeneration != policy.Generation {
				err = errors.New("not checked yet")
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if checking := policy.Status.TypeChecking; checking != nil && len(checking.ExpressionWarnings) > 0 {
			t.Errorf("%s: %+v", name, checking.ExpressionWarnings)
		}
	}
}
