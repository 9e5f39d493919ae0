package acceptance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// operate takes back what others write into the annotations of the Pod template of the Deployment web, as
// an operator does that owns it, but for keys that it leaves alone.
func operate(t *testing.T, c *cluster.Cluster, namespace string, leaves ...string) {
	t.Helper()
	client, err := dynamic.NewForConfig(c.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	workloads := client.Resource(schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}).Namespace(namespace)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			if object, err := workloads.Get(ctx, "web", metav1.GetOptions{}); err == nil {
				takeBack(ctx, workloads, object, leaves)
			}
			select {
			case <-ctx.Done():
			case <-time.After(300 * time.Millisecond):
			}
		}
	}()
	t.Cleanup(func() { stop(); <-ended })
}

func takeBack(ctx context.Context, workloads dynamic.ResourceInterface, object *unstructured.Unstructured, leaves []string) {
	annotations, _, _ := unstructured.NestedStringMap(object.Object, "spec", "template", "metadata", "annotations")
	for _, key := range leaves {
		delete(annotations, key)
	}
	if len(annotations) == 0 {
		return
	}
	without := map[string]any{}
	for key := range maps.Keys(annotations) {
		without[key] = nil
	}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{"annotations": without}}}})
	if err == nil {
		_, _ = workloads.Patch(ctx, object.GetName(), types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "my-operator"}) // the next look tries again
	}
}

// slowWeb is a drifted Deployment whose rollout takes long enough to be taken back.
func slowWeb(t *testing.T) (c *cluster.Cluster, proxy *sidecarInjector, namespace string) {
	t.Helper()
	c = fenced(t)
	proxy = startInjector(t, c, "proxy", "proxy:1")
	namespace = injectedNamespace(t, c, 1)
	apply(t, c, namespace, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  minReadySeconds: 2
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: app, image: "app:1"}]}}
`)
	rolledOut(t, c, namespace, "deployment/web")
	proxy.setImage("proxy:2")
	return c, proxy, namespace
}

// A restart that somebody takes back is called so, and not tried again; a strategy that
// leaves the template alone heals what it left.
func TestRestartThatIsTakenBack(t *testing.T) {
	c, _, namespace := slowWeb(t)
	operate(t, c, namespace)

	taken := rolloutCommand(t, c, 1, "-n", namespace, "--confirm")
	checkResults(t, taken, map[string]report.Result{"Deployment/web": report.Reverted})
	for _, want := range []string{"its restart was taken back", "Pods not yet replaced", "--strategy evict or auto"} {
		if reason := taken.Items[0].Rollout.Reason; !strings.Contains(reason, want) {
			t.Errorf("reason %q, want %q in it", reason, want)
		}
	}
	rolledOut(t, c, namespace, "deployment/web")
	before := versionsIn(t, c, namespace)
	again := rolloutCommand(t, c, 1, "-n", namespace, "--confirm")
	checkResults(t, again, map[string]report.Result{"Deployment/web": report.Reverted})
	if versionsIn(t, c, namespace) != before {
		t.Error("a second run has changed something")
	}

	healed := rolloutCommand(t, c, 0, "-n", namespace, "--strategy", "auto", "--confirm")
	checkResults(t, healed, map[string]report.Result{"Deployment/web": report.RolledOut})
	if got := healed.Items[0].Rollout.Strategy; got != "evict" {
		t.Errorf("rolled out by %s, want evict", got)
	}
	auditNamespace(t, c, namespace, "Deployment/web InSync 3")
}

// With auto, a restart that is taken back goes on by eviction, in one run.
func TestAutoEvictsWhatIsTakenBack(t *testing.T) {
	c, proxy, namespace := slowWeb(t)
	operate(t, c, namespace)
	plan := rolloutCommand(t, c, 0, "-n", namespace, "--strategy", "auto")
	if got := plan.Items[0].Rollout; got.Strategy != "restart" || got.Result != report.Planned {
		t.Errorf("planned %+v, want a restart: nobody knows yet", got)
	}
	done := rolloutCommand(t, c, 0, "-n", namespace, "--strategy", "auto", "--confirm")
	checkResults(t, done, map[string]report.Result{"Deployment/web": report.RolledOut})
	if got := done.Items[0].Rollout.Strategy; got != "evict" {
		t.Errorf("rolled out by %s, want evict", got)
	}
	auditNamespace(t, c, namespace, "Deployment/web InSync 3")

	proxy.setImage("proxy:3")
	next := rolloutCommand(t, c, 0, "-n", namespace, "--strategy", "auto")
	if got := next.Items[0].Rollout; got.Strategy != "evict" || !strings.Contains(got.Reason, "was taken back") {
		t.Errorf("planned %+v, want an eviction, as a restart was taken back", got)
	}
}

// A restart that a person takes back is not gone on with: they may know why.
func TestAutoStopsWhereAPersonTakesBack(t *testing.T) {
	c, _, namespace := slowWeb(t)
	undone := make(chan error, 1)
	go func() {
		undone <- cluster.Poll(t.Context(), "a restart to undo", func(ctx context.Context) error {
			annotations, err := c.Kubectl(ctx, "", "-n", namespace, "get", "deployment", "web", "-o", "jsonpath={.spec.template.metadata.annotations}")
			if err == nil && annotations == "" {
				err = errors.New("it has not begun")
			}
			if err == nil {
				_, err = c.Kubectl(ctx, "", "-n", namespace, "rollout", "undo", "deployment/web")
			}
			return err
		})
	}()
	done := rolloutCommand(t, c, 1, "-n", namespace, "--strategy", "auto", "--confirm")
	if err := <-undone; err != nil {
		t.Fatal(err)
	}
	checkResults(t, done, map[string]report.Result{"Deployment/web": report.Reverted})
	if got := done.Items[0].Rollout; got.Strategy != "restart" || !strings.Contains(got.Reason, "a person may have meant that") {
		t.Errorf("%+v, want it left to the person", got)
	}
}

// Operators that leave kubectl's annotation alone do not take a restart back.
func TestRestartBesideAnOperatorThatLeavesRestartedAt(t *testing.T) {
	c, _, namespace := slowWeb(t)
	operate(t, c, namespace, "kubectl.kubernetes.io/restartedAt")
	done := rolloutCommand(t, c, 0, "-n", namespace, "--confirm")
	checkResults(t, done, map[string]report.Result{"Deployment/web": report.RolledOut})
	auditNamespace(t, c, namespace, "Deployment/web InSync 3")
}

// What an object controls is not restarted by its template, unless that is asked for by
// name; auto evicts its Pods.
func TestRolloutOfWhatAnOperatorOwns(t *testing.T) {
	c := fenced(t)
	proxy := startInjector(t, c, "proxy", "proxy:1")
	namespace := injectedNamespace(t, c, 1)
	apply(t, c, namespace, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"main"}}`)
	owner, err := c.Client().CoreV1().ConfigMaps(namespace).Get(t.Context(), "main", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	apply(t, c, namespace, fmt.Sprintf(`
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: prometheus
  ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: main, uid: %s, controller: true}]
spec:
  replicas: 3
  serviceName: prometheus
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: prometheus}}
  template: {metadata: {labels: {app: prometheus}}, spec: {containers: [{name: app, image: "app:1"}]}}
`, owner.UID))
	rolledOut(t, c, namespace, "statefulset/prometheus")
	proxy.setImage("proxy:2")

	left := rolloutCommand(t, c, 0, "-n", namespace, "--include-statefulset", "--confirm")
	checkReasons(t, "by default", left, map[string]string{"StatefulSet/prometheus": "ConfigMap main controls it"})
	plan := rolloutCommand(t, c, 0, "-n", namespace, "--include-statefulset", "--strategy", "auto")
	if got := plan.Items[0].Rollout; got.Strategy != "evict" || !strings.Contains(got.Reason, "ConfigMap main controls it") {
		t.Errorf("planned %+v, want an eviction, as it is controlled", got)
	}
	checkResults(t, rolloutCommand(t, c, 0, "-n", namespace, "--include-statefulset", "--strategy", "auto", "--confirm"),
		map[string]report.Result{"StatefulSet/prometheus": report.RolledOut})
	if annotations := templateAnnotations(t, c, namespace, "statefulset/prometheus"); annotations != "" {
		t.Errorf("its template has been annotated: %s", annotations)
	}

	proxy.setImage("proxy:3")
	checkResults(t, rolloutCommand(t, c, 0, "-n", namespace, "--include-statefulset", "--strategy", "restart", "--confirm"),
		map[string]report.Result{"StatefulSet/prometheus": report.RolledOut})
	if annotations := templateAnnotations(t, c, namespace, "statefulset/prometheus"); !strings.Contains(annotations, "kubectl.kubernetes.io/restartedAt") {
		t.Errorf("its template has the annotations %s", annotations)
	}
}

// Where some Pods drifted, auto leaves the others as they are.
func TestAutoOfSomePods(t *testing.T) {
	c := fenced(t)
	proxy := startInjector(t, c, "proxy", "proxy:1")
	namespace := injectedNamespace(t, c, 1)
	deployWeb(t, c, namespace, 2, "web")
	proxy.setImage("proxy:2")
	if _, err := c.Kubectl(t.Context(), "", "-n", namespace, "scale", "deployment/web", "--replicas=4"); err != nil {
		t.Fatal(err)
	}
	rolledOut(t, c, namespace, "deployment/web")
	before := uids(t, c, namespace, "app=web")
	done := rolloutCommand(t, c, 0, "-n", namespace, "--strategy", "auto", "--confirm")
	checkResults(t, done, map[string]report.Result{"Deployment/web": report.RolledOut})
	if kept := intersection(before, uids(t, c, namespace, "app=web")); len(kept) != 2 || done.Items[0].Rollout.Strategy != "evict" {
		t.Errorf("%d Pods are left as they were, by %s: want 2, by eviction", len(kept), done.Items[0].Rollout.Strategy)
	}
	auditNamespace(t, c, namespace, "Deployment/web InSync 4")
}

func templateAnnotations(t *testing.T, c *cluster.Cluster, namespace, workload string) string {
	t.Helper()
	out, err := c.Kubectl(t.Context(), "", "-n", namespace, "get", workload, "-o", "jsonpath={.spec.template.metadata.annotations}")
	if err != nil {
		t.Fatal(err)
	}
	return out
}
