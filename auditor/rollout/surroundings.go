package rollout

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// nodePage is how many nodes are asked for at once.
const nodePage = 500

// surroundings reads where Pods may be: nodes, which are kept for a while, or why they cannot be
// read, and the claims that are used, which are kept.
type surroundings struct {
	cluster *cluster
	age     time.Duration // after which nodes are read again

	mu     sync.Mutex // held while something is read
	at     time.Time
	nodes  []corev1.Node
	why    string // why there are no nodes
	claims map[types.NamespacedName]claim
}

func newSurroundings(c *cluster, age time.Duration) *surroundings {
	return &surroundings{cluster: c, age: age, claims: map[types.NamespacedName]claim{}}
}

// read returns the nodes, or says why they cannot be read. An error is that nothing can be.
func (s *surroundings) read(ctx context.Context) (nodes []corev1.Node, why string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.at.IsZero() && time.Since(s.at) < s.age {
		return s.nodes, s.why, nil
	}
	begun := time.Now()
	nodes, err = s.cluster.nodes(ctx)
	if err != nil && ends(ctx, err) {
		return nil, "", err
	}
	s.at, s.nodes, s.why = begun, nodes, ""
	if err != nil {
		s.why = unread("nodes", err)
	}
	return s.nodes, s.why, nil
}

// claim is that of a name, or says why it cannot be read.
func (s *surroundings) claim(ctx context.Context, of types.NamespacedName) (_ claim, why string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.claims[of]; ok {
		return known, "", nil
	}
	object, err := s.cluster.objects.CoreV1().PersistentVolumeClaims(of.Namespace).Get(ctx, of.Name, metav1.GetOptions{})
	switch {
	case err != nil && ends(ctx, err):
		return claim{}, "", err
	case err != nil:
		return claim{}, unread("claim "+of.Name, err), nil
	}
	s.claims[of] = readClaim(object)
	return s.claims[of], "", nil
}

func unread(what string, err error) string {
	if apierrors.IsForbidden(err) {
		return what + " may not be read by this identity"
	}
	return fmt.Sprintf("%s could not be read: %s", what, quote(err.Error()))
}

// readClaim goes by what the volume can, once there is one.
func readClaim(object *corev1.PersistentVolumeClaim) claim {
	modes := object.Status.AccessModes
	if len(modes) == 0 {
		modes = object.Spec.AccessModes
	}
	c := claim{oneNode: true}
	for _, mode := range modes {
		if mode == corev1.ReadWriteMany || mode == corev1.ReadOnlyMany {
			c.oneNode = false
		}
	}
	for _, mode := range object.Spec.AccessModes {
		c.onePod = c.onePod || mode == corev1.ReadWriteOncePod
	}
	return c
}

// nodes reads all nodes, and of each what the scheduler looks at.
func (c *cluster) nodes(ctx context.Context) ([]corev1.Node, error) {
	nodes := []corev1.Node{}
	options := metav1.ListOptions{Limit: nodePage}
	for {
		page, err := c.objects.CoreV1().Nodes().List(ctx, options)
		if err != nil {
			return nil, err
		}
		for i := range page.Items {
			nodes = append(nodes, leanNode(&page.Items[i]))
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return nodes, nil
		}
	}
}

func leanNode(node *corev1.Node) corev1.Node {
	few := corev1.Node{}
	few.Name, few.Labels, few.Annotations = node.Name, node.Labels, keepGrowing(node.Annotations)
	few.Spec.Taints, few.Spec.Unschedulable = node.Spec.Taints, node.Spec.Unschedulable
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			few.Status.Conditions = []corev1.NodeCondition{{Type: c.Type, Status: c.Status}}
		}
	}
	return few
}

// beside is whether a new Pod of the workload can start while the old ones run. What it
// reads of the cluster it reads only where that matters; its Pods are given where they are
// known already.
func (s *surroundings) beside(ctx context.Context, object *unstructured.Unstructured, f facts, pods []corev1.Pod) (beside, error) {
	template := placedBy(object)
	if !f.surges || pods == nil && template == nil {
		return beside{}, nil
	}
	if pods == nil {
		var err error
		switch pods, err = s.cluster.pods(ctx, object); {
		case err != nil && ends(ctx, err):
			return beside{}, err
		case err != nil:
			return beside{doubts: []string{notChecked(unread("its Pods", err))}}, nil
		}
	}
	c := crowd{namespace: object.GetNamespace(), labels: f.template, spec: template, sameNode: f.inPlace, differing: f.differing}
	var newest *corev1.Pod
	for i := range pods {
		pod := &pods[i]
		if newest == nil || newer(pod, newest) {
			newest = pod
		}
		if pod.Spec.NodeName != "" && !goes(pod) {
			c.onNodes = append(c.onNodes, pod.Spec.NodeName)
		}
	}
	if newest != nil {
		if c.labels, c.spec = newest.Labels, placed(&newest.Spec); c.spec != nil {
			c.spec.NodeName = "" // where it is need not be where it had to be
			if template != nil {
				c.spec.NodeName = template.NodeName
			}
		}
	}
	if c.spec == nil {
		return beside{}, nil
	}
	return s.judge(ctx, c)
}

// judge reads what is to be known of claims, and of nodes where it matters which there are.
func (s *surroundings) judge(ctx context.Context, c crowd) (beside, error) {
	c.claims = map[string]claim{}
	for _, name := range exclusiveOf(c.spec).claims {
		read, why, err := s.claim(ctx, types.NamespacedName{Namespace: c.namespace, Name: name})
		if err != nil {
			return beside{}, err
		}
		if c.claims[name] = read; why != "" {
			c.unknown = append(c.unknown, why)
		}
	}
	if !c.byNodes() {
		return c.judge(), nil
	}
	nodes, why, err := s.read(ctx)
	if err != nil {
		return beside{}, err
	}
	if c.nodes = nodes; why != "" {
		c.unknown = append(c.unknown, why)
	}
	return c.judge(), nil
}
