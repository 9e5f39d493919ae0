package acceptance

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// pool adds Nodes to the cluster that take no Pods but those of inPool, and takes them away
// with the test. It returns its name, which is the Nodes' prefix.
func pool(t *testing.T, c *cluster.Cluster, size int) string {
	t.Helper()
	nodes := c.Client().CoreV1().Nodes()
	name := ""
	for i := range size {
		node := &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{
				Name: fmt.Sprintf("%s-%d", name, i), Annotations: map[string]string{"kwok.x-k8s.io/node": "fake"},
				Labels: map[string]string{corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64"},
			},
			Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: "pool", Effect: corev1.TaintEffectNoSchedule}}},
		}
		if name == "" {
			node.Name, node.GenerateName = "", "pool-"
		}
		node, err := nodes.Create(t.Context(), node, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := nodes.Delete(context.Background(), node.Name, metav1.DeleteOptions{}); err != nil {
				t.Error(err)
			}
		})
		if name == "" {
			name = node.Name
		}
		labels := fmt.Sprintf(`{"metadata":{"labels":{"pool":%q,"kubernetes.io/hostname":%q}}}`, name, node.Name)
		if _, err := nodes.Patch(t.Context(), node.Name, types.MergePatchType, []byte(labels), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	err := cluster.Poll(t.Context(), "the Nodes to take Pods", func(ctx context.Context) error {
		list, err := nodes.List(ctx, metav1.ListOptions{LabelSelector: "pool=" + name})
		if err != nil {
			return err
		}
		for _, node := range list.Items {
			if len(node.Spec.Taints) > 1 || len(list.Items) < size {
				return fmt.Errorf("%d Nodes, %s with taints %v", len(list.Items), node.Name, node.Spec.Taints)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// inPool is YAML of a Pod's spec that has it run in the pool.
func inPool(pool string) string {
	return fmt.Sprintf("nodeSelector: {pool: %s}, tolerations: [{key: pool, operator: Exists}]", pool)
}

// ownNode adds a Node to a pool whose kubelet the test plays, by beReady and runPods.
func ownNode(t *testing.T, c *cluster.Cluster, pool string) string {
	t.Helper()
	nodes := c.Client().CoreV1().Nodes()
	name := pool + "-own"
	_, err := nodes.Create(t.Context(), &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"pool": pool, corev1.LabelHostname: name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64"}},
		Spec:       corev1.NodeSpec{Taints: []corev1.Taint{{Key: "pool", Effect: corev1.TaintEffectNoSchedule}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := nodes.Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	beReady(t, c, name, corev1.ConditionTrue)
	err = cluster.Poll(t.Context(), "the Node "+name+" to take Pods", func(ctx context.Context) error {
		node, err := nodes.Get(ctx, name, metav1.GetOptions{})
		if err == nil && len(node.Spec.Taints) > 1 {
			err = fmt.Errorf("it has taints %v", node.Spec.Taints)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// beReady says whether a Node is.
func beReady(t *testing.T, c *cluster.Cluster, node string, ready corev1.ConditionStatus) {
	t.Helper()
	status := fmt.Sprintf(`{"status":{"allocatable":{"cpu":"100","memory":"100Gi","pods":"1000"},"capacity":{"cpu":"100","memory":"100Gi","pods":"1000"},
"conditions":[{"type":"Ready","status":%[1]q,"reason":"NodeStatus","lastHeartbeatTime":%[2]q,"lastTransitionTime":%[2]q}]}}`,
		ready, time.Now().UTC().Format(time.RFC3339))
	if _, err := c.Client().CoreV1().Nodes().Patch(t.Context(), node, types.StrategicMergePatchType, []byte(status), metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
}

// runPods starts the Pods of a namespace on a Node, and returns how many there are.
func runPods(ctx context.Context, c *cluster.Cluster, namespace, node string) (int, error) {
	pods := c.Client().CoreV1().Pods(namespace)
	there, err := pods.List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + node})
	if err != nil {
		return 0, err
	}
	for _, pod := range there.Items {
		if pod.Status.Phase == corev1.PodRunning {
			continue
		}
		status := fmt.Sprintf(`{"status":{"phase":"Running","startTime":%[1]q,"conditions":[{"type":"Ready","status":"True","lastTransitionTime":%[1]q},{"type":"Initialized","status":"True"},{"type":"ContainersReady","status":"True"}]}}`,
			time.Now().UTC().Format(time.RFC3339))
		if _, err := pods.Patch(ctx, pod.Name, types.StrategicMergePatchType, []byte(status), metav1.PatchOptions{}, "status"); err != nil {
			return 0, err
		}
	}
	return len(there.Items), nil
}
