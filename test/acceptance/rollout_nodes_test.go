package acceptance

import (
	"context"
	"fmt"
	"testing"

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
