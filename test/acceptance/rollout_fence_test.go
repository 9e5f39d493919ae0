package acceptance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidecar-drift/sidecar-drift/auditor/fence"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

// applied is a workload as server-side apply wants it: with one field of its spec.
func applied(kind, namespace string, fields map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apps/v1", "kind": kind,
		"metadata": map[string]any{"namespace": namespace, "name": "app"}, "spec": fields,
	}}
}

// An apply of a value that stands there already changes nothing that people see, and
// makes its author a manager of the field, whom others run into. Policies see of a
// patch only what it leads to.
func TestRolloutMayNotApply(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	rollout, admin, namespace := asAccount(t, c, "sidecar-drift-rollout"), asAdmin(t, c), newNamespace(t, c)
	grantEverything(t, c, namespace)
	create(t, admin, newWorkload("Deployment", namespace))
	annotations := func(pairs map[string]any) map[string]any {
		return map[string]any{"template": map[string]any{"metadata": map[string]any{"annotations": pairs}}}
	}
	for what, fields := range map[string]map[string]any{
		"an equal value":        {"replicas": int64(1)},
		"an equal annotation":   annotations(map[string]any{"note": "mine"}),
		"our own annotation":    annotations(map[string]any{"sidecarRollout.rollout.timestamp": "2026-01-02T15:04:05Z"}),
		"the value of somebody": annotations(map[string]any{"note": "changed"}),
	} {
		t.Run(what, func(t *testing.T) {
			err := rollout.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(applied("Deployment", namespace, fields)),
				client.FieldOwner("sidecar-drift"), client.ForceOwnership)
			checkRefused(t, err, rolloutPolicy, "sidecar-drift may")
		})
	}
}

// Others have applied what a restart overwrites, or manage a lot: they lose what is
// overwritten, and nothing else.
func TestRolloutMayRestartWhatOthersApply(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	rollout, admin, namespace := asAccount(t, c, "sidecar-drift-rollout"), asAdmin(t, c), newNamespace(t, c)
	for _, kind := range restartableKinds {
		workload := newWorkload(kind, namespace)
		create(t, admin, workload)
		fields := map[string]any{"template": map[string]any{"metadata": map[string]any{"annotations": map[string]any{
			"sidecarRollout.rollout.reason": "theirs", "kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z", "theirs": "too",
		}}}}
		for _, manager := range []string{"argocd-controller", "flux"} {
			if err := admin.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(applied(kind, namespace, fields)), client.FieldOwner(manager)); err != nil {
				t.Fatal(err)
			}
		}
		for _, manager := range []string{"sidecar-drift", "sidecar-drift", "kubectl-rollout"} {
			patch := fmt.Sprintf(`{"spec":{"template":{"metadata":{"annotations":{
				"sidecarRollout.rollout.reason":"ours, as %[1]s", "kubectl.kubernetes.io/restartedAt":"2026-01-02T00:00:00Z"}}}},
				"metadata":{"annotations":{"sidecar-drift.io/last-rollout":"as %[1]s"}}}`, manager)
			if err := rollout.Patch(t.Context(), workload, client.RawPatch(types.MergePatchType, []byte(patch)), client.FieldOwner(manager)); err != nil {
				t.Errorf("restart of a %s as %s: %v, want it allowed", kind, manager, err)
			}
		}
	}
}

// entries are a workload's managedFields, changed.
func entries(t *testing.T, workload client.Object, change func([]metav1.ManagedFieldsEntry) []metav1.ManagedFieldsEntry) string {
	t.Helper()
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"managedFields": change(workload.GetManagedFields())}})
	if err != nil {
		t.Fatal(err)
	}
	return string(patch)
}

// Who manages what can also be written as it is.
func TestRolloutMayNotWriteManagers(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	rollout, admin, namespace := asAccount(t, c, "sidecar-drift-rollout"), asAdmin(t, c), newNamespace(t, c)
	type fields = []metav1.ManagedFieldsEntry
	for _, kind := range append(restartableKinds, "ReplicaSet") {
		workload := newWorkload(kind, namespace)
		create(t, admin, workload)
		for _, manager := range []string{"argocd-controller", "flux"} {
			theirs := applied(kind, namespace, map[string]any{"template": map[string]any{"metadata": map[string]any{"annotations": map[string]any{"theirs": manager}}}})
			if err := admin.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(theirs), client.FieldOwner(manager), client.ForceOwnership); err != nil {
				t.Fatal(err)
			}
		}
		if err := admin.Get(t.Context(), client.ObjectKeyFromObject(workload), workload); err != nil {
			t.Fatal(err)
		}
		for what, change := range map[string]func(fields) fields{
			"cleared":        func(fields) fields { return fields{{}} },
			"one is gone":    func(f fields) fields { return f[1:] },
			"another's name": func(f fields) fields { f[0].Manager = "thief"; return f },
			"fields are taken": func(f fields) fields {
				f[0].FieldsV1 = metav1.NewFieldsV1(`{"f:metadata":{"f:labels":{"f:team":{}}}}`)
				return f
			},
			"fields are given": func(f fields) fields {
				return append(f, metav1.ManagedFieldsEntry{
					Manager: "sidecar-drift", Operation: metav1.ManagedFieldsOperationApply, APIVersion: "apps/v1", FieldsType: "FieldsV1",
					FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:replicas":{}}}`),
				})
			},
		} {
			t.Run(kind+"/"+what, func(t *testing.T) {
				changed := workload.DeepCopyObject().(client.Object)
				checkRefused(t, merge(t, rollout, workload, entries(t, changed, change)), rolloutPolicy, "managers (managedFields)")
			})
		}
	}
}

// What is large is judged, or refused as too large: never refused because the policy
// comes to its limits. More annotations and variables fit into an object, but what an API
// server takes for them grows with their square, and it gives each request 34 s: this test
// runs with no other of its package beside it.
func TestRolloutOfTheLargest(t *testing.T) {
	c := fenced(t)
	rollout, admin, namespace := asAccount(t, c, "sidecar-drift-rollout"), asAdmin(t, c), newNamespace(t, c)
	large := func(name string, change func(*corev1.PodTemplateSpec)) client.Object {
		workload := newWorkload("Deployment", namespace).(*appsv1.Deployment)
		workload.Name, workload.Spec.Paused, workload.Spec.Replicas = name, true, new(int32(0))
		change(&workload.Spec.Template)
		create(t, admin, workload)
		return workload
	}
	annotated := large("annotations", func(template *corev1.PodTemplateSpec) {
		for i := range 10_000 {
			template.Annotations[fmt.Sprintf("%x", i)] = ""
		}
	})
	checkRefused(t, merge(t, rollout, annotated, restartPatch), rolloutPolicy, "too large to be checked")
	variables := large("variables", func(template *corev1.PodTemplateSpec) {
		for i := range 4_000 {
			template.Spec.Containers[0].Env = append(template.Spec.Containers[0].Env, corev1.EnvVar{Name: fmt.Sprintf("V%d", i), Value: strings.Repeat("v", 40)})
		}
	})
	for what, patch := range map[string]string{"restart": restartPatch, "write the result": resultPatch} {
		if err := merge(t, rollout, variables, patch); err != nil {
			t.Errorf("%s: %v, want it allowed", what, err)
		}
	}
}

// An injector that takes annotations by their prefix runs what such a one says: the
// fence does not let one through to it.
func TestRolloutMayNotSteerInjectors(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	const prefix = "vault.hashicorp.com/agent-inject-command-"
	namespace, _ := startOwnInjector(t, c, func(r injector.Request) []injector.Operation {
		agent := corev1.Container{Name: "agent", Image: "agent"}
		for key, command := range r.Pod.Annotations {
			if strings.HasPrefix(key, prefix) {
				agent.Command = append(agent.Command, command)
			}
		}
		return []injector.Operation{injector.AddContainer(agent)}
	})
	steered := newPod(namespace)
	steered.Annotations = map[string]string{prefix + "x.rollout.reason": "id"}
	if err := asAdmin(t, c).Create(t.Context(), steered, client.DryRunAll); err != nil || len(steered.Spec.Containers) != 2 || len(steered.Spec.Containers[1].Command) != 1 {
		t.Fatalf("the injector runs no command (%v): %+v", err, steered.Spec.Containers)
	}
	deployWeb(t, c, namespace, 1, "web")
	rollout := asAccount(t, c, "sidecar-drift-rollout")
	workload := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"}}
	for _, key := range []string{"x.rollout.reason", "x.rollout.timestamp", "sidecarRollout.rollout.reason", "sidecarRollout.rollout.timestamp"} {
		patch := fmt.Sprintf(`{"spec":{"template":{"metadata":{"annotations":{%q:"2026-01-02T15:04:05Z"}}}}}`, prefix+key)
		checkRefused(t, merge(t, rollout, workload, patch), rolloutPolicy, "no annotation of a Pod template")
	}
}

// Events are for information: ours are new ones, and nobody's are rewritten.
func TestOurIdentitiesMayNotRewriteEvents(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	namespace := newNamespace(t, c)
	event := &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: namespace, Name: "theirs"},
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: namespace, Name: "app"}, Message: "theirs",
	}
	create(t, asAdmin(t, c), event)
	for _, account := range []string{"sidecar-drift-auditor", "sidecar-drift-rollout"} {
		if err := merge(t, asAccount(t, c, account), event, `{"message":"ours"}`); !apierrors.IsForbidden(err) {
			t.Errorf("as %s: %v, want it forbidden", account, err)
		}
	}
}

// Who only audits must not keep rollouts away by a Lease that never ends.
func TestAuditorMayNotHoldTheLeaseOfRollouts(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	namespace := newNamespace(t, c)
	grantEverything(t, c, namespace)
	const lease = `{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"sidecar-drift-rollout","namespace":%q},
		"spec":{"holderIdentity":"x","leaseDurationSeconds":3600,"renewTime":"2099-01-01T00:00:00.000000Z"}}`
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(fmt.Appendf(nil, lease, namespace)); err != nil {
		t.Fatal(err)
	}
	checkRefused(t, asAccount(t, c, "sidecar-drift-auditor").Create(t.Context(), object.DeepCopy()), rolloutPolicy, "the Lease of rollouts")
	create(t, asAccount(t, c, "sidecar-drift-rollout"), object)
}

// The proofs tell an API server that refuses from one that does not, and nothing is
// ever created.
func TestFenceIsProven(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	namespace := newNamespace(t, c)
	for _, account := range []string{"sidecar-drift-auditor", "sidecar-drift-rollout"} {
		if err := fence.ProveDryRunOnly(t.Context(), kubernetesAs(t, c, installation, account), installation); err != nil {
			t.Errorf("as %s: %v", account, err)
		}
	}
	if err := fence.ProveRolloutOnly(t.Context(), kubernetesAs(t, c, installation, "sidecar-drift-rollout"), installation); err != nil {
		t.Errorf("rollouts: %v", err)
	}
	// The administrator is nobody's.
	for policy, err := range map[string]error{
		dryRunPolicy:  fence.ProveDryRunOnly(t.Context(), c.Client(), namespace),
		rolloutPolicy: fence.ProveRolloutOnly(t.Context(), c.Client(), installation),
	} {
		open, is := errors.AsType[*fence.OpenError](err)
		if !is || open.Policy != policy {
			t.Errorf("as the administrator: %v, want %s not to be in force", err, policy)
		}
	}
	var pods corev1.PodList
	if err := asAdmin(t, c).List(t.Context(), &pods, client.InNamespace(namespace)); err != nil {
		t.Fatal(err)
	}
	for _, pod := range pods.Items {
		t.Errorf("Pod %s was created", pod.Name)
	}
}

// kubernetesAs is the client that the product has of the API server.
func kubernetesAs(t *testing.T, c *cluster.Cluster, namespace, account string) kubernetes.Interface {
	t.Helper()
	config, err := c.ServiceAccountConfig(t.Context(), namespace, account)
	if err != nil {
		t.Fatal(err)
	}
	who, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return who
}

// A kustomization's namespace moves the accounts, and the fence goes with them.
func TestFenceHoldsInAnotherNamespace(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	namespace := newNamespace(t, c)
	var accounts strings.Builder
	for _, account := range []string{"sidecar-drift-auditor", "sidecar-drift-rollout"} {
		fmt.Fprintf(&accounts, "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: %s, namespace: %s}\n", account, namespace)
	}
	apply(t, c, namespace, accounts.String())
	clusterWide(t, c, fmt.Sprintf(`
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: moved-%[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects:
- {kind: ServiceAccount, name: sidecar-drift-auditor, namespace: %[1]s}
- {kind: ServiceAccount, name: sidecar-drift-rollout, namespace: %[1]s}
`, namespace))
	for _, account := range []string{"sidecar-drift-auditor", "sidecar-drift-rollout"} {
		config, err := c.ServiceAccountConfig(t.Context(), namespace, account)
		if err != nil {
			t.Fatal(err)
		}
		who := newClient(t, config)
		evil := newPod("kube-system")
		evil.Spec.HostNetwork, evil.Spec.NodeName = true, "nowhere"
		err = cluster.Poll(t.Context(), "the grant", func(ctx context.Context) error {
			dry := evil.DeepCopy()
			return who.Create(ctx, dry, client.DryRunAll)
		})
		if err != nil {
			t.Fatal(err)
		}
		checkRefused(t, who.Create(t.Context(), evil), dryRunPolicy, "dry run only")
		deployment := newWorkload("Deployment", namespace)
		checkRefused(t, who.Create(t.Context(), deployment), rolloutPolicy, "neither create nor change")
	}
}

// Members of the group of components/people are fenced, whoever binds them to what.
func TestFenceHoldsForPeople(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	namespace := newNamespace(t, c)
	config := c.RESTConfig()
	config.Impersonate.UserName, config.Impersonate.Groups = "anna", []string{"sidecar-drift:auditors", "system:masters"}
	anna := newClient(t, config)
	if err := anna.Create(t.Context(), newPod(namespace), client.DryRunAll); err != nil {
		t.Errorf("dry run: %v, want it allowed", err)
	}
	checkRefused(t, anna.Create(t.Context(), newPod(namespace)), dryRunPolicy, "dry run only")
	checkRefused(t, anna.Create(t.Context(), newWorkload("Deployment", namespace)), rolloutPolicy, "neither create nor change")
}
