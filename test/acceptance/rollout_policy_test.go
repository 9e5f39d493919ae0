package acceptance

import (
	"context"
	"fmt"
	"strings"
	"testing"

	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/binaries"
)

const (
	dryRunPolicy  = "sidecar-drift-dry-run-only"
	rolloutPolicy = "sidecar-drift-rollout-only"
)

// restartPatch is what a rollout writes (contract.md).
const restartPatch = `{"spec":{"template":{"metadata":{"annotations":{
	"sidecarRollout.rollout.timestamp":"2026-01-02T15:04:05Z",
	"sidecarRollout.rollout.reason":"Update sidecars istio-proxy"}}}}}`

const resultPatch = `{"metadata":{"annotations":{"sidecar-drift.io/last-rollout":"{}"}}}`

var restartableKinds = []string{"Deployment", "StatefulSet", "DaemonSet"}

func merge(t *testing.T, who client.Client, object client.Object, patch string) error {
	t.Helper()
	return who.Patch(t.Context(), object.DeepCopyObject().(client.Object), client.RawPatch(types.MergePatchType, []byte(patch)))
}

func TestRolloutMayRestart(t *testing.T) {
	c := fenced(t)
	rollout, namespace := asAccount(t, c, "sidecar-drift-rollout"), newNamespace(t, c)
	for _, kind := range restartableKinds {
		t.Run(kind, func(t *testing.T) {
			workload := newWorkload(kind, namespace)
			create(t, asAdmin(t, c), workload)
			steps := []struct{ what, patch string }{
				{"restart", restartPatch},
				{"restart again", `{"spec":{"template":{"metadata":{"annotations":{"sidecarRollout.rollout.timestamp":"2026-01-03T00:00:00Z"}}}}}`},
				{"restart as kubectl does", `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"2026-01-03T00:00:00+01:00"}}}}}`},
				{"restart with the uid as precondition", fmt.Sprintf(`{"metadata":{"uid":%q},%s`, workload.GetUID(), restartPatch[1:])},
				{"write the result", resultPatch},
				{"write another result", `{"metadata":{"annotations":{"sidecar-drift.io/last-rollout":"{\"result\":\"RolledOut\"}"}}}`},
				{"remove the result", `{"metadata":{"annotations":{"sidecar-drift.io/last-rollout":null}}}`},
			}
			for _, step := range steps {
				if err := merge(t, rollout, workload, step.patch); err != nil {
					t.Errorf("%s: %v, want it allowed", step.what, err)
				}
			}
			strategic := client.RawPatch(types.StrategicMergePatchType, []byte(restartPatch))
			if err := rollout.Patch(t.Context(), workload, strategic, client.FieldOwner("sidecar-drift")); err != nil {
				t.Errorf("restart by a strategic merge patch: %v, want it allowed", err)
			}
		})
	}
}

// A template without annotations, and a workload without any, are common.
func TestRolloutMayRestartWhatHasNoAnnotations(t *testing.T) {
	c := fenced(t)
	rollout, admin, namespace := asAccount(t, c, "sidecar-drift-rollout"), asAdmin(t, c), newNamespace(t, c)
	for _, kind := range restartableKinds {
		workload := newWorkload(kind, namespace)
		workload.SetAnnotations(nil)
		create(t, admin, workload)
		if err := merge(t, admin, workload, `{"spec":{"template":{"metadata":{"annotations":null}}}}`); err != nil {
			t.Fatal(err)
		}
		for what, patch := range map[string]string{"restart": restartPatch, "write the result": resultPatch} {
			if err := merge(t, rollout, workload, patch); err != nil {
				t.Errorf("%s of a %s: %v, want it allowed", what, kind, err)
			}
		}
	}
}

// attack is a change that the right to patch workloads would allow.
type attack struct{ name, patch, why string }

var attacks = []attack{
	{"change an image", `{"spec":{"template":{"spec":{"containers":[{"name":"app","image":"evil:1"}]}}}}`, "nothing of a Pod template but annotations"},
	{"add a container", `{"spec":{"template":{"spec":{"containers":[{"name":"app","image":"app:1"},{"name":"evil","image":"evil:1"}]}}}}`, "nothing of a Pod template but annotations"},
	{"add an init container", `{"spec":{"template":{"spec":{"initContainers":[{"name":"evil","image":"evil:1"}]}}}}`, "nothing of a Pod template but annotations"},
	{"change the service account", `{"spec":{"template":{"spec":{"serviceAccountName":"admin"}}}}`, "nothing of a Pod template but annotations"},
	{"change an image under cover of a restart", `{"spec":{"template":{"metadata":{"annotations":{"sidecarRollout.rollout.reason":"b"}},"spec":{"containers":[{"name":"app","image":"evil:1"}]}}}}`, "nothing of a Pod template but annotations"},
	{"add a template label", `{"spec":{"template":{"metadata":{"labels":{"istio.io/rev":"evil"}}}}}`, "nothing of a Pod template but annotations"},
	{"change a template label", `{"spec":{"template":{"metadata":{"labels":{"tier":"db"}}}}}`, "nothing of a Pod template but annotations"},
	{"remove a template label", `{"spec":{"template":{"metadata":{"labels":{"tier":null}}}}}`, "nothing of a Pod template but annotations"},
	{"add a template finalizer", `{"spec":{"template":{"metadata":{"finalizers":["example.com/evil"]}}}}`, "nothing of a Pod template but annotations"},
	{"add a template annotation", `{"spec":{"template":{"metadata":{"annotations":{"sidecar.istio.io/inject":"false"}}}}}`, "no annotation of a Pod template"},
	{"restart under another prefix", `{"spec":{"template":{"metadata":{"annotations":{"other.rollout.timestamp":"2026-01-02T15:04:05Z"}}}}}`, "no annotation of a Pod template"},
	{"have Vault run a command", `{"spec":{"template":{"metadata":{"annotations":{"vault.hashicorp.com/agent-inject-command-x.rollout.reason":"id"}}}}}`, "no annotation of a Pod template"},
	{"set a resource of OpenTelemetry", `{"spec":{"template":{"metadata":{"annotations":{"resource.opentelemetry.io/x.rollout.reason":"evil"}}}}}`, "no annotation of a Pod template"},
	{"set metadata of Consul", `{"spec":{"template":{"metadata":{"annotations":{"consul.hashicorp.com/service-meta-x.rollout.timestamp":"evil"}}}}}`, "no annotation of a Pod template"},
	{"our own key behind a slash", `{"spec":{"template":{"metadata":{"annotations":{"vault.hashicorp.com/sidecarRollout.rollout.reason":"id"}}}}}`, "no annotation of a Pod template"},
	{"a command for a time", `{"spec":{"template":{"metadata":{"annotations":{"sidecarRollout.rollout.timestamp":"$(id)"}}}}}`, "a time only"},
	{"a command for kubectl's time", `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"$(id)"}}}}}`, "a time only"},
	{"a reason that steers a terminal", `{"spec":{"template":{"metadata":{"annotations":{"sidecarRollout.rollout.reason":"a\u001b[2J"}}}}}`, "printable characters"},
	{"a reason of many lines", `{"spec":{"template":{"metadata":{"annotations":{"sidecarRollout.rollout.reason":"a\nb"}}}}}`, "printable characters"},
	{"a long reason", `{"spec":{"template":{"metadata":{"annotations":{"sidecarRollout.rollout.reason":"` + strings.Repeat("r", 1025) + `"}}}}}`, "1,024"},
	{"a long result", `{"metadata":{"annotations":{"sidecar-drift.io/last-rollout":"` + strings.Repeat("r", 4097) + `"}}}`, "4,096"},
	{"clear the managers", `{"metadata":{"managedFields":[{}]}}`, "neither give nor take managers"},
	{"manage another's fields", `{"metadata":{"managedFields":[{"manager":"thief","operation":"Update","apiVersion":"apps/v1","time":"2026-01-02T15:04:05Z","fieldsType":"FieldsV1","fieldsV1":{"f:spec":{"f:replicas":{}}}}]}}`, "neither give nor take managers"},
	{"add a template annotation that resembles ours", `{"spec":{"template":{"metadata":{"annotations":{"x.rollout.timestamp.evil":"1"}}}}}`, "no annotation of a Pod template"},
	{"change a template annotation", `{"spec":{"template":{"metadata":{"annotations":{"note":"changed"}}}}}`, "no annotation of a Pod template"},
	{"remove a template annotation", `{"spec":{"template":{"metadata":{"annotations":{"note":null}}}}}`, "no annotation of a Pod template"},
	{"remove all template annotations", `{"spec":{"template":{"metadata":{"annotations":null}}}}`, "no annotation of a Pod template"},
	{"add a label", `{"metadata":{"labels":{"evil":"1"}}}`, "nothing of a workload's metadata"},
	{"change a label", `{"metadata":{"labels":{"team":"evil"}}}`, "nothing of a workload's metadata"},
	{"remove all labels", `{"metadata":{"labels":null}}`, "nothing of a workload's metadata"},
	{"add a finalizer", `{"metadata":{"finalizers":["example.com/evil"]}}`, "nothing of a workload's metadata"},
	{"add an owner", `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"gone","uid":"1"}]}}`, "nothing of a workload's metadata"},
	{"add an annotation", `{"metadata":{"annotations":{"evil":"1"}}}`, "no annotation of a workload"},
	{"change an annotation", `{"metadata":{"annotations":{"note":"changed"}}}`, "no annotation of a workload"},
	{"remove an annotation", `{"metadata":{"annotations":{"note":null}}}`, "no annotation of a workload"},
	{"remove all annotations", `{"metadata":{"annotations":null}}`, "no annotation of a workload"},
	{"change the revision history", `{"spec":{"revisionHistoryLimit":1}}`, "a workload's spec"},
}

// ofKind are attacks that not every kind knows.
var ofKind = map[string][]attack{
	"Deployment": {
		{"scale", `{"spec":{"replicas":3}}`, "a workload's spec"},
		{"write what only the API server writes of DaemonSets", `{"metadata":{"annotations":{"deprecated.daemonset.template.generation":"9"}}}`, "no annotation of a workload"},
		{"pause", `{"spec":{"paused":true}}`, "a workload's spec"},
		{"change the strategy", `{"spec":{"strategy":{"type":"Recreate","rollingUpdate":null}}}`, "a workload's spec"},
	},
	"StatefulSet": {
		{"scale", `{"spec":{"replicas":0}}`, "a workload's spec"},
		{"change the strategy", `{"spec":{"updateStrategy":{"type":"OnDelete","rollingUpdate":null}}}`, "a workload's spec"},
	},
	"DaemonSet": {
		{"change the strategy", `{"spec":{"updateStrategy":{"type":"OnDelete","rollingUpdate":null}}}`, "a workload's spec"},
	},
}

// Each attack is made with the installed role alone, and the patch itself would
// be allowed by it: what refuses is the policy.
func TestRolloutMayDoNothingElse(t *testing.T) {
	c := fenced(t)
	rollout, namespace := asAccount(t, c, "sidecar-drift-rollout"), newNamespace(t, c)
	for _, kind := range restartableKinds {
		workload := newWorkload(kind, namespace)
		create(t, asAdmin(t, c), workload)
		for _, attack := range append(ofKind[kind], attacks...) {
			t.Run(kind+"/"+attack.name, func(t *testing.T) {
				checkRefused(t, merge(t, rollout, workload, attack.patch), rolloutPolicy, attack.why)
			})
		}
	}
}

// Whatever RBAC may come to allow by other bindings, the policy holds.
func TestRolloutMayNotTouchOtherWorkloads(t *testing.T) {
	c := fenced(t)
	const why = "neither create nor change any other workload"
	for _, account := range []string{"sidecar-drift-rollout", "sidecar-drift-auditor"} {
		who, namespace := asAccount(t, c, account), newNamespace(t, c)
		grantEverything(t, c, namespace)
		for _, kind := range []string{"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job", "CronJob"} {
			t.Run(account+"/create "+kind, func(t *testing.T) {
				checkRefused(t, who.Create(t.Context(), newWorkload(kind, namespace)), rolloutPolicy, why)
			})
		}
		for _, kind := range []string{"ReplicationController", "CronJob"} {
			workload := newWorkload(kind, namespace)
			create(t, asAdmin(t, c), workload)
			t.Run(account+"/change "+kind, func(t *testing.T) {
				checkRefused(t, merge(t, who, workload, `{"metadata":{"labels":{"evil":"1"}}}`), rolloutPolicy, why)
			})
		}
		deployment := newWorkload("Deployment", namespace)
		create(t, asAdmin(t, c), deployment)
		t.Run(account+"/scale by subresource", func(t *testing.T) {
			patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":3}}`))
			checkRefused(t, who.SubResource("scale").Patch(t.Context(), deployment, patch), rolloutPolicy, why)
		})
	}
}

// The Pods of a ReplicaSet of its own are evicted: of itself, the note about
// that may be written, and nothing else.
func TestRolloutMayNoteOnReplicaSets(t *testing.T) {
	c := fenced(t)
	rollout, namespace := asAccount(t, c, "sidecar-drift-rollout"), newNamespace(t, c)
	workload := newWorkload("ReplicaSet", namespace)
	create(t, asAdmin(t, c), workload)
	if err := merge(t, rollout, workload, resultPatch); err != nil {
		t.Errorf("write the result: %v, want it allowed", err)
	}
	for _, attack := range []attack{
		{"restart", restartPatch, "a workload's spec"},
		{"change an image", attacks[0].patch, "a workload's spec"},
		{"scale", `{"spec":{"replicas":3}}`, "a workload's spec"},
		{"add a label", `{"metadata":{"labels":{"evil":"1"}}}`, "nothing of a workload's metadata"},
		{"change an annotation", `{"metadata":{"annotations":{"note":"changed"}}}`, "no annotation of a workload"},
		{"have Vault run a command", `{"spec":{"template":{"metadata":{"annotations":{"vault.hashicorp.com/agent-inject-command-x.rollout.reason":"id"}}}}}`, "a workload's spec"},
		{"clear the managers", `{"metadata":{"managedFields":[{}]}}`, "neither give nor take managers"},
	} {
		t.Run(attack.name, func(t *testing.T) {
			checkRefused(t, merge(t, rollout, workload, attack.patch), rolloutPolicy, attack.why)
		})
	}
}

func TestRolloutMayEvict(t *testing.T) {
	c := fenced(t)
	rollout, namespace := asAccount(t, c, "sidecar-drift-rollout"), newNamespace(t, c)
	pod := newPod(namespace)
	create(t, asAdmin(t, c), pod)
	for _, seconds := range []int64{0, 86400} {
		options := &metav1.DeleteOptions{GracePeriodSeconds: &seconds}
		err := rollout.SubResource("eviction").Create(t.Context(), pod, &policyv1.Eviction{DeleteOptions: options})
		checkRefused(t, err, rolloutPolicy, "its own grace period")
	}
	options := &metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(pod.UID))}
	if err := rollout.SubResource("eviction").Create(t.Context(), pod, &policyv1.Eviction{DeleteOptions: options}); err != nil {
		t.Errorf("evict: %v, want it allowed", err)
	}
}

// Argo Rollouts are restarted by a field of their spec.
func TestRolloutMayRestartArgoRollouts(t *testing.T) {
	c := fenced(t)
	installRolloutKind(t, c)
	rollout, namespace := asAccount(t, c, "sidecar-drift-rollout"), newNamespace(t, c)
	workload := newWorkload("Rollout", namespace)
	create(t, asAdmin(t, c), workload)
	for what, patch := range map[string]string{
		"restart":          `{"spec":{"restartAt":"2026-01-02T15:04:05Z"}}`,
		"write the result": resultPatch,
	} {
		if err := merge(t, rollout, workload, patch); err != nil {
			t.Errorf("%s: %v, want it allowed", what, err)
		}
	}
	for _, attack := range []attack{
		{"restart by annotation", restartPatch, "a workload's spec"},
		{"change an image", attacks[0].patch, "a workload's spec"},
		{"scale", `{"spec":{"replicas":3}}`, "a workload's spec"},
		{"never restart again", `{"spec":{"restartAt":null}}`, "a workload's spec"},
		{"have Vault run a command", `{"spec":{"template":{"metadata":{"annotations":{"vault.hashicorp.com/agent-inject-command-x.rollout.reason":"id"}}}}}`, "a workload's spec"},
		{"remove the template", `{"spec":{"template":null}}`, "a workload's spec"},
		{"refer to another workload", `{"spec":{"workloadRef":{"name":"evil"}}}`, "a workload's spec"},
		{"add a label", `{"metadata":{"labels":{"evil":"1"}}}`, "nothing of a workload's metadata"},
	} {
		t.Run(attack.name, func(t *testing.T) {
			checkRefused(t, merge(t, rollout, workload, attack.patch), rolloutPolicy, attack.why)
		})
	}
	grantEverything(t, c, namespace)
	other := newWorkload("Rollout", namespace)
	other.SetName("other")
	checkRefused(t, rollout.Create(t.Context(), other), rolloutPolicy, "neither create")
}

// installRolloutKind makes the API server know Rollouts for one test.
func installRolloutKind(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	installKind(t, c, "rollouts.argoproj.io", binaries.ArgoRollouts, "manifests/crds/rollout-crd.yaml")
}

// installKind makes the API server know a custom resource for one test, by its
// real definition.
func installKind(t *testing.T, c *cluster.Cluster, resource string, source binaries.Source, file string) {
	t.Helper()
	definition, err := source.File(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	installDefinition(t, c, resource, definition)
}

// installDefinition is installKind with the definition at hand.
func installDefinition(t *testing.T, c *cluster.Cluster, resource string, definition []byte) {
	t.Helper()
	t.Cleanup(func() {
		if _, err := c.Kubectl(context.Background(), string(definition), "delete", "--ignore-not-found", "-f", "-"); err != nil {
			t.Error(err)
		}
	})
	if err := c.Define(t.Context(), resource, string(definition)); err != nil {
		t.Fatal(err)
	}
}
