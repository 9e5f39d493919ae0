package rollout

import (
	"context"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// fewObjects of a kind in a namespace are read one by one; more are listed.
const fewObjects = 3

// listPage is how many objects are asked for at once: each may have 1.5 MB.
const listPage = 100

// objects reads workloads for a plan.
type objects struct {
	cluster *cluster
	wanted  map[inventory.WorkloadRef]int // by kind and namespace, without a name
	lists   sync.Map                      // of the same → func() (map[string]*unstructured.Unstructured, error)
}

func newObjects(c *cluster, items []report.Item) *objects {
	o := &objects{cluster: c, wanted: map[inventory.WorkloadRef]int{}}
	for _, item := range items {
		o.wanted[group(refOf(item))]++
	}
	return o
}

// group is the workload's kind and namespace.
func group(ref inventory.WorkloadRef) inventory.WorkloadRef {
	ref.Name = ""
	return ref
}

// get returns the workload, or an error for which apierrors.IsNotFound holds.
func (o *objects) get(ctx context.Context, ref inventory.WorkloadRef) (*unstructured.Unstructured, error) {
	of := group(ref)
	if o.wanted[of] <= fewObjects {
		return o.cluster.get(ctx, ref)
	}
	list, _ := o.lists.LoadOrStore(of, sync.OnceValues(func() (map[string]*unstructured.Unstructured, error) {
		return o.cluster.list(ctx, of)
	}))
	all, err := list.(func() (map[string]*unstructured.Unstructured, error))()
	if err != nil {
		return nil, err
	}
	if object, ok := all[ref.Name]; ok {
		return object, nil
	}
	return nil, apierrors.NewNotFound(resourceOf(ref.Kind).GroupResource(), ref.Name)
}

// list returns the workloads of a kind in a namespace by name.
func (c *cluster) list(ctx context.Context, of inventory.WorkloadRef) (map[string]*unstructured.Unstructured, error) {
	all := map[string]*unstructured.Unstructured{}
	options := metav1.ListOptions{Limit: listPage}
	for {
		page, err := c.of(of).List(ctx, options)
		if err != nil {
			return nil, err
		}
		for i := range page.Items {
			all[page.Items[i].GetName()] = slim(&page.Items[i])
		}
		if options.Continue = page.GetContinue(); options.Continue == "" {
			return all, nil
		}
	}
}

// slim is what the guards judge of a workload, without what may be large.
func slim(object *unstructured.Unstructured) *unstructured.Unstructured {
	object.SetAnnotations(ours(object.GetAnnotations()))
	object.SetManagedFields(nil)
	unstructured.RemoveNestedField(object.Object, "spec", "template", "spec")
	unstructured.RemoveNestedField(object.Object, "spec", "template", "metadata", "annotations")
	return object
}
