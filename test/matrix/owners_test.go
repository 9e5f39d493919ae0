package matrix

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/binaries"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

// template is what the owners below have for a Pod template.
const template = `{metadata: {labels: {matrix-row: "ROW"}}, spec: {containers: [{name: app, image: "app:1"}]}}`

// waiting is a template whose Pods wait for a node, as others of a Job end at
// once here.
const waiting = `{metadata: {labels: {matrix-row: "ROW"}}, spec: {restartPolicy: Never, nodeSelector: {none: has-it}, containers: [{name: app, image: "app:1"}]}}`

func workloadOf(apiVersion, kind, spec string) string {
	return fmt.Sprintf("\napiVersion: %s\nkind: %s\nmetadata: {name: NAME, namespace: IN}\nspec:\n%s", apiVersion, kind, spec)
}

// ownerRows are workloads of every kind whose sidecar gets another image.
func ownerRows() []row {
	const selector = "  selector: {matchLabels: {matrix-row: \"ROW\"}}\n"
	const stateful = "  replicas: 2\n  serviceName: NAME\n" + selector + "  template: " + template + "\n"
	owner := func(name, manifest string, pods int) row {
		return row{
			group: "owners", name: name, manifest: manifest, pods: pods,
			before: answers{first: addsProxy("proxy:1")}, then: answers{first: addsProxy("proxy:2")},
			state: verdict.Drifted, changes: []string{"container/proxy image"},
		}
	}
	stays := func(r row) row { r.stays = true; return r }
	evicted := func(r row) row { r.evicted = true; return r }
	approximate := func(r row) row { r.approximate, r.stays = true, true; return r }
	pending := func(r row) row { r.pending, r.stays = true, true; return r }
	const job = "  completions: 2\n  parallelism: 2\n  completionMode: Indexed\n  template: " + waiting + "\n"

	midRollout := stays(owner("a Deployment in the middle of a rollout", "", 0))
	midRollout.change = func(ctx context.Context, w *workload) error {
		return w.kubectl(ctx, "patch", "deployment", "NAME", "-p", `{"spec":{"strategy":{"rollingUpdate":{"maxUnavailable":0}},"template":{"spec":{"nodeSelector":{"none":"has-it"}}}}}`)
	}
	daemonMidRollout := stays(owner("a DaemonSet in the middle of a rollout", workloadOf("apps/v1", "DaemonSet", selector+"  template: "+template), 2))
	daemonMidRollout.change = func(ctx context.Context, w *workload) error {
		return w.kubectl(ctx, "patch", "daemonset", "NAME", "-p", `{"spec":{"template":{"spec":{"containers":[{"name":"app","image":"app:crash"}]}}}}`)
	}
	cronJob := pending(owner("a CronJob", workloadOf("batch/v1", "CronJob", "  schedule: 0 0 1 1 *\n  jobTemplate:\n    spec:\n      template: "+waiting), 1))
	cronJob.noPods = true
	cronJob.made = func(ctx context.Context, w *workload) error {
		if err := w.kubectl(ctx, "create", "job", "NAME-1", "--from=cronjob/NAME"); err != nil {
			return err
		}
		return waitForPods(ctx, w)
	}
	orphan := approximate(owner("a Pod whose owner is gone", "", 1))
	orphan.made = func(ctx context.Context, w *workload) error {
		if err := w.kubectl(ctx, "delete", "deployment", "NAME", "--cascade=orphan", "--wait"); err != nil {
			return err
		}
		return w.kubectl(ctx, "delete", "replicaset", "-l", "matrix-row=ROW", "--cascade=orphan", "--wait")
	}
	custom := approximate(owner("a controller that is not known", "\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME, namespace: IN}\n", 1))
	custom.noPods = true
	custom.made = podOfConfigMap
	mirror := row{
		group: "owners", name: "a static (mirror) Pod", state: none, was: &expectation{}, pods: 1,
		before: answers{first: addsProxy("proxy:1")}, then: answers{first: addsProxy("proxy:2")},
		manifest: "\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME-none, namespace: IN}\n", noPods: true,
		made: mirrorPod,
	}
	partitioned := owner("a StatefulSet below its partition", workloadOf("apps/v1", "StatefulSet", stateful+"  updateStrategy: {rollingUpdate: {partition: 1}}\n"), 2)
	partitioned.left = &expectation{verdict.Drifted, partitioned.changes}
	rollout := owner("an Argo Rollout", "", 1)
	rollout.manifest = argoReplicaSet
	rollout.made, rollout.stays, rollout.noPods = argoRollout, true, true
	return []row{
		owner("a Deployment of three", strings.Replace(deployment, "selector", "replicas: 3\n  selector", 1), 3),
		midRollout,
		evicted(owner("a ReplicaSet of its own", workloadOf("apps/v1", "ReplicaSet", selector+"  template: "+template), 1)),
		owner("a StatefulSet", workloadOf("apps/v1", "StatefulSet", stateful), 2),
		partitioned,
		owner("a StatefulSet with ordinals.start", workloadOf("apps/v1", "StatefulSet", stateful+"  ordinals: {start: 5}\n"), 2),
		owner("a StatefulSet with volumeClaimTemplates", workloadOf("apps/v1", "StatefulSet", stateful+
			"  volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]\n"), 2),
		evicted(owner("a StatefulSet, OnDelete", workloadOf("apps/v1", "StatefulSet", stateful+"  updateStrategy: {type: OnDelete}\n"), 2)),
		owner("a DaemonSet", workloadOf("apps/v1", "DaemonSet", selector+"  template: "+template), 2),
		evicted(owner("a DaemonSet, OnDelete", workloadOf("apps/v1", "DaemonSet", selector+"  updateStrategy: {type: OnDelete}\n  template: "+template), 2)),
		daemonMidRollout,
		pending(owner("a Job", workloadOf("batch/v1", "Job", job), 2)),
		cronJob,
		rollout,
		custom,
		approximate(owner("a bare Pod", "\napiVersion: v1\nkind: Pod\nmetadata: {name: NAME, namespace: IN, labels: {matrix-row: \"ROW\"}}\nspec: {containers: [{name: app, image: \"app:1\"}]}\n", 1).createdByPerson()),
		approximate(owner("a bare Pod, server-side applied", "\napiVersion: v1\nkind: Pod\nmetadata: {name: NAME, namespace: IN, labels: {matrix-row: \"ROW\"}}\nspec: {containers: [{name: app, image: \"app:1\"}]}\n", 1)),
		orphan,
		owner("a Pod restored from a backup", "", 1).restored(),
		mirror,
	}
}

// mirrorPod creates a Pod as a kubelet does for a static one: its node owns it.
func mirrorPod(ctx context.Context, w *workload) error {
	uid, err := w.Kubectl(ctx, "", "get", "node", "node-0", "-o", "jsonpath={.metadata.uid}")
	if err != nil {
		return err
	}
	_, err = w.Kubectl(ctx, w.text(`
apiVersion: v1
kind: Pod
metadata:
  name: NAME
  namespace: IN
  labels: {matrix-row: "ROW"}
  annotations: {kubernetes.io/config.mirror: hash, kubernetes.io/config.hash: hash}
  ownerReferences: [{apiVersion: v1, kind: Node, name: node-0, controller: true, uid: "`+strings.TrimSpace(uid)+`"}]
spec: {nodeName: node-0, automountServiceAccountToken: false, containers: [{name: app, image: "app:1"}]}
`), "create", "-f", "-")
	if err != nil {
		return err
	}
	return waitForPods(ctx, w)
}

// addsProxy adds a sidecar to Pods that have none, as injectors do.
func addsProxy(image string) injector.Answer {
	return func(r injector.Request) []injector.Operation {
		for _, container := range r.Pod.Spec.Containers {
			if container.Name == "proxy" {
				return nil
			}
		}
		return containers(fmt.Sprintf(`{"name":"proxy","image":%q}`, image))
	}
}

// createdByPerson is the row with its object created, not applied.
func (r row) createdByPerson() row {
	manifest := r.manifest
	r.manifest, r.noPods = "\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME-none, namespace: IN}\n", true
	r.made = func(ctx context.Context, w *workload) error {
		if _, err := w.Kubectl(ctx, w.text(manifest), "create", "-f", "-"); err != nil {
			return err
		}
		return waitForPods(ctx, w)
	}
	return r
}

// podOfConfigMap creates a Pod whose controller is a ConfigMap.
func podOfConfigMap(ctx context.Context, w *workload) error {
	owner, err := w.Client().CoreV1().ConfigMaps(w.namespace()).Get(ctx, w.id(), metav1.GetOptions{})
	if err != nil {
		return err
	}
	pod := fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata:
  name: NAME-0
  namespace: IN
  labels: {matrix-row: "ROW"}
  ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: NAME, uid: %s, controller: true}]
spec: {containers: [{name: app, image: "app:1"}]}
`, owner.UID)
	if _, err := w.Kubectl(ctx, w.text(pod), "create", "-f", "-"); err != nil {
		return err
	}
	return waitForPods(ctx, w)
}

// restored is the row whose Deployment is deleted and put back from a backup, its
// Pod first and with the sidecar in it, as Velero does.
func (r row) restored() row {
	r.made = func(ctx context.Context, w *workload) error {
		var backup []string
		for _, kind := range []string{"pod", "replicaset", "deployment"} {
			list, err := w.Kubectl(ctx, "", "-n", w.namespace(), "get", kind, "-l", w.text("matrix-row=ROW"), "-o", "json", "--show-managed-fields")
			if kind == "deployment" {
				list, err = w.Kubectl(ctx, "", "-n", w.namespace(), "get", kind, w.id(), "-o", "json")
			}
			if err != nil {
				return err
			}
			object, err := withoutIdentity(list)
			if err != nil {
				return err
			}
			backup = append(backup, object)
		}
		if err := w.kubectl(ctx, "delete", "deployment", "NAME", "--cascade=foreground", "--wait"); err != nil {
			return err
		}
		for _, object := range backup {
			if _, err := w.Kubectl(ctx, object, "create", "-f", "-"); err != nil {
				return err
			}
		}
		return w.rolledOut(ctx, 1)
	}
	return r
}

// withoutIdentity is the object, or a list's only one, as a backup puts it back.
func withoutIdentity(text string) (string, error) {
	var object unstructured.Unstructured
	if err := json.Unmarshal([]byte(text), &object.Object); err != nil {
		return "", err
	}
	if object.IsList() {
		items := object.Object["items"].([]any)
		if len(items) != 1 {
			return "", fmt.Errorf("%d objects, want one", len(items))
		}
		object.Object = items[0].(map[string]any)
	}
	delete(object.Object, "status")
	for _, field := range []string{"uid", "resourceVersion", "creationTimestamp", "managedFields", "ownerReferences", "generation"} {
		unstructured.RemoveNestedField(object.Object, "metadata", field)
	}
	b, err := object.MarshalJSON()
	return string(b), err
}

// argoReplicaSet stands where the Rollout's controller would have made one.
const argoReplicaSet = "\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME-none, namespace: IN}\n"

// argoRollout creates a Rollout, of the real resource definition, and the
// ReplicaSet that its controller makes.
func argoRollout(ctx context.Context, w *workload) error {
	crd, err := binaries.ArgoRollouts.File(ctx, "manifests/crds/rollout-crd.yaml")
	if err != nil {
		return err
	}
	if err := w.Apply(ctx, string(crd)); err != nil {
		return err
	}
	const spec = "  replicas: 1\n  selector: {matchLabels: {matrix-row: \"ROW\"}}\n"
	if err := cluster.Poll(ctx, "the kind Rollout", func(ctx context.Context) error {
		return w.Apply(ctx, w.text(workloadOf("argoproj.io/v1alpha1", "Rollout", spec+"  template: "+template)))
	}); err != nil {
		return err
	}
	uid, err := w.Kubectl(ctx, "", "-n", w.namespace(), "get", "rollouts.argoproj.io", w.id(), "-o", "jsonpath={.metadata.uid}")
	if err != nil {
		return err
	}
	const hash = "rollouts-pod-template-hash"
	set := fmt.Sprintf(`
apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: NAME-5c9d
  namespace: IN
  ownerReferences: [{apiVersion: argoproj.io/v1alpha1, kind: Rollout, name: NAME, uid: %s, controller: true}]
spec:
  replicas: 1
  selector: {matchLabels: {%[2]s: ROW5c9d}}
  template: {metadata: {labels: {matrix-row: "ROW", %[2]s: ROW5c9d}}, spec: {containers: [{name: app, image: "app:1"}]}}
`, strings.TrimSpace(uid), hash)
	if err := w.Apply(ctx, w.text(set)); err != nil {
		return err
	}
	return waitForPods(ctx, w)
}
