package acceptance

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

var rolloutResource = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "rollouts"}

// argo does what Argo's controller does for one Rollout: it owns a ReplicaSet,
// reports the Rollout's health, and answers spec.restartAt by evicting the older
// Pods one by one, and then setting status.restartedAt
// (argo-rollouts rollout/restart.go).
type argo struct {
	*cluster.Cluster
	rollouts  dynamic.ResourceInterface
	namespace string
	name      string
}

// startArgo creates a Rollout of two Pods and looks after it.
func startArgo(t *testing.T, c *cluster.Cluster, namespace, name string) {
	t.Helper()
	client, err := dynamic.NewForConfig(c.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	a := &argo{Cluster: c, rollouts: client.Resource(rolloutResource).Namespace(namespace), namespace: namespace, name: name}
	apply(t, c, namespace, fmt.Sprintf(`
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: %[1]s}
spec:
  replicas: 2
  strategy: {canary: {maxUnavailable: 1, maxSurge: 0}}
  selector: {matchLabels: {app: %[1]s}}
  template: {metadata: {labels: {app: %[1]s}}, spec: {containers: [{name: app, image: "app:1"}]}}
`, name))
	rollout, err := a.rollouts.Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	replicas, yes := int32(2), true
	labels := map[string]string{"app": name, "rollouts-pod-template-hash": "abc"}
	_, err = c.Client().AppsV1().ReplicaSets(namespace).Create(t.Context(), &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: name + "-abc", Labels: labels, OwnerReferences: []metav1.OwnerReference{{
			APIVersion: "argoproj.io/v1alpha1", Kind: "Rollout", Name: name, UID: rollout.GetUID(), Controller: &yes,
		}}},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: podSpec()},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if err := a.reconcile(ctx); err != nil && ctx.Err() == nil {
				t.Log("argo:", err)
			}
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
	err = cluster.Poll(t.Context(), "a healthy Rollout", func(ctx context.Context) error {
		rollout, err := a.rollouts.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if phase, _, _ := unstructured.NestedString(rollout.Object, "status", "phase"); phase != "Healthy" {
			return fmt.Errorf("it is %q", phase)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (a *argo) reconcile(ctx context.Context) error {
	rollout, err := a.rollouts.Get(ctx, a.name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	pods, err := a.Client().CoreV1().Pods(a.namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=" + a.name})
	if err != nil {
		return err
	}
	asked, _, _ := unstructured.NestedString(rollout.Object, "spec", "restartAt")
	restarted, _, _ := unstructured.NestedString(rollout.Object, "status", "restartedAt")
	at, _ := time.Parse(time.RFC3339, asked)
	available, old := int64(0), ""
	for _, pod := range pods.Items {
		for _, condition := range pod.Status.Conditions {
			if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue && pod.DeletionTimestamp == nil {
				available++
			}
		}
		if pod.DeletionTimestamp == nil && pod.CreationTimestamp.Time.Before(at) {
			old = pod.Name
		}
	}
	phase := "Progressing"
	if available == 2 {
		phase = "Healthy"
	}
	if asked != restarted && available == 2 {
		if old != "" {
			return a.Client().CoreV1().Pods(a.namespace).EvictV1(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: old, Namespace: a.namespace}})
		}
		restarted = asked
	}
	status := map[string]any{"phase": phase, "availableReplicas": available, "observedGeneration": fmt.Sprint(rollout.GetGeneration())}
	if restarted != "" {
		status["restartedAt"] = restarted
	}
	patch, err := json.Marshal(map[string]any{"status": status})
	if err != nil {
		return err
	}
	_, err = a.rollouts.Patch(ctx, a.name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}

// An Argo Rollout goes with the Deployments: it is restarted by its own field,
// and its template stays as it is.
func TestRolloutOfAnArgoRollout(t *testing.T) {
	c, injector := fenced(t), testIstio(t)
	installRolloutKind(t, c)
	namespace := namespaceWith(t, c, injected)
	startArgo(t, c, namespace, "web")
	auditNamespace(t, c, namespace, "Rollout/web InSync 2")
	if err := injector.Update(t.Context(), istio.Values("1.28.0", "150m")...); err != nil {
		t.Fatal(err)
	}
	auditNamespace(t, c, namespace, "Rollout/web Drifted 2")
	// Argo compares times of a second's precision: Pods must be older than that.
	time.Sleep(1100 * time.Millisecond)
	template := func() string {
		out, err := c.Kubectl(t.Context(), "", "-n", namespace, "get", "rollout", "web", "-o", "jsonpath={.spec.template}")
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	before, old := template(), uids(t, c, namespace, "app=web")

	excluded := rolloutCommand(t, c, 0, "-n", namespace, "--exclude-deployment", "--confirm")
	checkReasons(t, "excluded", excluded, map[string]string{"Rollout/web": "Rollouts are left out (--exclude-deployment)"})
	checkResults(t, rolloutCommand(t, c, 0, "-n", namespace, "--confirm", "rollout/web"), map[string]report.Result{"Rollout/web": report.RolledOut})
	if after := template(); after != before {
		t.Errorf("the template was %s and is %s", before, after)
	}
	if kept := intersection(old, uids(t, c, namespace, "app=web")); len(kept) > 0 {
		t.Errorf("%d Pods were not replaced", len(kept))
	}
	auditNamespace(t, c, namespace, "Rollout/web InSync 2")

	if err := injector.Update(t.Context(), istio.Values("1.29.0", "150m")...); err != nil {
		t.Fatal(err)
	}
	checkResults(t, rolloutCommand(t, c, 0, "-n", namespace, "--confirm", "--strategy", "evict"), map[string]report.Result{"Rollout/web": report.RolledOut})
	auditNamespace(t, c, namespace, "Rollout/web InSync 2")
}
