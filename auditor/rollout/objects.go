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
	groups  map[inventory.WorkloadRef]*workloads // by kind and namespace, without a name
}

// workloads of a kind in a namespace, read once and kept until all that are wanted of
// them were.
type workloads struct {
	wanted int
	mu     sync.Mutex
	asked  int
	listed bool
	byName map[string]*unstructured.Unstructured
	err    error
}

func newObjects(c *cluster, steps []Step) *objects {
	o := &objects{cluster: c, groups: map[inventory.WorkloadRef]*workloads{}}
	for _, s := range steps {
		if s.Result != report.Planned {
			continue
		}
		of := group(refOf(s.Item))
		if o.groups[of] == nil {
			o.groups[of] = &workloads{}
		}
		o.groups[of].wanted++
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
	w := o.groups[of]
	if w == nil || w.wanted <= fewObjects {
		return o.cluster.get(ctx, ref)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.listed {
		w.byName, w.err = o.cluster.list(ctx, of)
		w.listed = true
	}
	object, ok := w.byName[ref.Name]
	if w.asked++; w.asked == w.wanted {
		w.byName = nil
	}
	if w.err != nil || ok {
		return object, w.err
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
	keepPlaced(object)
	unstructured.RemoveNestedField(object.Object, "spec", "template", "metadata", "annotations")
	return object
}
