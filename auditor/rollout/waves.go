package rollout

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// Reasons are the changes of a workload that are a reason to roll it out.
func Reasons(item report.Item, opts Options) []verdict.Change {
	changes := opts.Select.differences(item)
	if !opts.Select.IncludeSpent {
		changes = verdict.Unspent(changes)
	}
	return changes
}

// Settled are those of the workloads that all run their present template, and are
// available, or are gone.
func Settled(ctx context.Context, cfg *rest.Config, workloads []inventory.WorkloadRef) (map[inventory.WorkloadRef]bool, error) {
	c, err := connect(cfg)
	if err != nil {
		return nil, err
	}
	settled, around := map[inventory.WorkloadRef]bool{}, newSurroundings(c, surroundingsHold)
	for _, ref := range workloads {
		object, err := c.get(ctx, ref)
		switch {
		case apierrors.IsNotFound(err):
			settled[ref] = true
		case err != nil:
			return nil, fmt.Errorf("status of %s: %w", ref, err)
		default:
			_, done, err := status(object)
			if !done && err == nil {
				_, done = around.enough(ctx, object)
			}
			settled[ref] = done && err == nil
		}
	}
	return settled, nil
}

// Labels are what workloads are selected by, besides their own Pods'.
type Labels struct {
	Namespaces map[string]labels.Set
	Templates  map[inventory.WorkloadRef]labels.Set // of the Pod templates
}

// ReadLabels reads the labels of all namespaces, and of the Pod templates of some
// workloads; those that are gone have none.
func ReadLabels(ctx context.Context, cfg *rest.Config, templates []inventory.WorkloadRef) (Labels, error) {
	found := Labels{Namespaces: map[string]labels.Set{}, Templates: map[inventory.WorkloadRef]labels.Set{}}
	c, err := connect(cfg)
	if err != nil {
		return found, err
	}
	options := metav1.ListOptions{Limit: listPage}
	for {
		page, err := c.objects.CoreV1().Namespaces().List(ctx, options)
		if err != nil {
			return found, fmt.Errorf("labels of namespaces: %w", err)
		}
		for _, ns := range page.Items {
			found.Namespaces[ns.Name] = ns.Labels
		}
		if options.Continue = page.Continue; options.Continue == "" {
			break
		}
	}
	steps := make([]Step, len(templates))
	for i, ref := range templates {
		steps[i] = Step{Item: report.Item{Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name}, Result: report.Planned}
	}
	objects := newObjects(c, steps)
	for _, ref := range templates {
		object, err := objects.get(ctx, ref)
		switch {
		case apierrors.IsNotFound(err):
			found.Templates[ref] = nil
		case err != nil:
			return found, fmt.Errorf("labels of the Pod template of %s: %w", ref, err)
		default:
			set, _, _ := unstructured.NestedStringMap(object.Object, "spec", "template", "metadata", "labels")
			found.Templates[ref] = set
		}
	}
	return found, nil
}
