package cluster

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// fakeNodeAnnotation marks the Nodes whose kubelet kwok plays.
const fakeNodeAnnotation = "kwok.x-k8s.io/node"

// addNodes creates Nodes node-0, node-1, … and waits until Pods can be created
// and scheduled.
func (c *Cluster) addNodes(ctx context.Context, count int) error {
	for i := range count {
		name := fmt.Sprintf("node-%d", i)
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Annotations: map[string]string{fakeNodeAnnotation: "fake"},
			Labels:      map[string]string{corev1.LabelHostname: name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64"},
		}}
		if _, err := c.client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("create Node %s: %w", name, err)
		}
	}
	if err := Poll(ctx, "the Nodes to take Pods", c.nodesReady, c.running()...); err != nil {
		return err
	}
	return Poll(ctx, "ServiceAccount default/default", func(ctx context.Context) error {
		_, err := c.client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		return err
	}, c.running()...)
}

// nodesReady returns an error while a Node has a taint. The API server gives a
// new Node not-ready, and the node lifecycle controller takes it away once kwok
// has reported the Node as ready.
func (c *Cluster) nodesReady(ctx context.Context) error {
	nodes, err := c.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var errs []error
	for _, node := range nodes.Items {
		if len(node.Spec.Taints) > 0 {
			errs = append(errs, fmt.Errorf("Node %s has taints %v", node.Name, node.Spec.Taints))
		}
	}
	return errors.Join(errs...)
}
