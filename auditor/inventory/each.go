package inventory

import (
	"context"
	"strings"

	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/internal/kind"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// Seen is a live Pod, and the workload that it is of as far as it says so itself.
type Seen struct {
	Pod
	Workload WorkloadRef
	Node     jsontree.Node // valid during the call
}

// Each lists the selected Pods and hands on those that run, one after the other: nothing but
// Pods is read. A list may have to be read again from its beginning: begin is called each time
// and returns whom to hand them to. Unread is how many could not be read.
func Each(ctx context.Context, client rest.Interface, selection Selection, begin func() func(Seen)) (unread int, err error) {
	err = retryUnread(func() error {
		unread = 0
		each := begin()
		for _, namespace := range selection.namespaces() {
			if err := list(ctx, client, query{
				resource: pods, namespace: namespace,
				labels: selection.LabelSelector, fields: selection.fieldSelector(),
			}, func(raw []byte) error {
				node, malformed := jsontree.Parse(raw)
				if malformed != nil {
					unread++
					return nil //nolint:nilerr // what is wrong with one Pod stays with it
				}
				r := selection.record(node)
				switch {
				case r.broken != nil:
					unread++
				case r.judged && r.selected && (r.Named || len(selection.WithContainers) == 0):
					each(Seen{r.Pod, r.presumed(node), node})
				}
				return nil
			}, func() error { return nil }); err != nil {
				return err
			}
		}
		return nil
	})
	return unread, err
}

// presumed is the workload by what the Pod says alone: a ReplicaSet of a Deployment has its
// name and a hash, which the Pod has as a label.
// https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#pod-template-hash-label
func (r record) presumed(pod jsontree.Node) WorkloadRef {
	if r.owner == (Owner{}) {
		return WorkloadRef{kind.Pod, r.namespace, r.Name}
	}
	hash := pod.Get("metadata", "labels").Get("pod-template-hash").String()
	if name, has := strings.CutSuffix(r.owner.Name, "-"+hash); has && hash != "" && r.owner.Kind == kind.ReplicaSet {
		return WorkloadRef{kind.Deployment, r.namespace, name}
	}
	return WorkloadRef{r.owner.Kind, r.namespace, r.owner.Name}
}
