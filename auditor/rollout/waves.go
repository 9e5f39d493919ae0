package rollout

import (
	"context"
	"fmt"
	"slices"
	"time"

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
// available, or are gone. Of each it is given which nodes were not ready when its rollout began:
// another one may have been brought down by its new Pod.
func Settled(ctx context.Context, cfg *rest.Config, workloads map[inventory.WorkloadRef][]string) (map[inventory.WorkloadRef]bool, error) {
	c, err := connect(cfg)
	if err != nil {
		return nil, err
	}
	settled, around := map[inventory.WorkloadRef]bool{}, newSurroundings(c, surroundingsHold)
	for ref, lost := range workloads {
		object, err := c.get(ctx, ref)
		switch {
		case apierrors.IsNotFound(err):
			settled[ref] = true
		case err != nil:
			return nil, fmt.Errorf("status of %s: %w", ref, err)
		default:
			_, done, err := status(object)
			if !done && err == nil {
				var now lostPods
				now, done = around.enough(ctx, object)
				done = done && now.onlySince(lost)
			}
			settled[ref] = done && err == nil
		}
	}
	return settled, nil
}

// Labels are what workloads are selected by, besides their own Pods'.
type Labels struct {
	Namespaces map[string]labels.Set
	// Templates are those of the Pod templates. What could not be read is not there.
	Templates map[inventory.WorkloadRef]labels.Set
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
	err = c.eachOf(ctx, templates, func(ref inventory.WorkloadRef, object *unstructured.Unstructured, err error) {
		if err == nil {
			found.Templates[ref] = nil
		}
		if object != nil {
			found.Templates[ref], _, _ = unstructured.NestedStringMap(object.Object, "spec", "template", "metadata", "labels")
		}
	})
	if err != nil {
		err = fmt.Errorf("labels of Pod templates: %w", err)
	}
	return found, err
}

// nameable reports whether workloads of its kind can be read, and one of its name can exist.
func nameable(ref inventory.WorkloadRef) bool {
	_, known := workloadKinds[ref.Kind]
	return known && impossible(ref) == ""
}

// Trace is what the last rollout of a workload left on it: when, and with which result, which
// is Interrupted from its beginning on.
type Trace struct {
	At     time.Time
	Result report.Result
	// Unread is why the workload could not be read; empty where it could.
	Unread string
}

// Traces reads those of workloads. An eviction, or a resize, leaves one at its end only; those
// that are gone have none. What cannot be read of one has not ended well, as of now.
func Traces(ctx context.Context, cfg *rest.Config, workloads []inventory.WorkloadRef) (map[inventory.WorkloadRef]Trace, error) {
	c, err := connect(cfg)
	if err != nil {
		return nil, err
	}
	traces := map[inventory.WorkloadRef]Trace{}
	workloads = slices.DeleteFunc(slices.Clone(workloads), func(ref inventory.WorkloadRef) bool {
		return !nameable(ref)
	})
	err = c.eachOf(ctx, workloads, func(ref inventory.WorkloadRef, object *unstructured.Unstructured, err error) {
		switch {
		case err != nil:
			traces[ref] = Trace{At: time.Now(), Result: report.Interrupted, Unread: quote(err.Error())}
		case object != nil:
			if last, ok := parseLastRollout(object.GetAnnotations()[LastRolloutAnnotation]); ok {
				traces[ref] = Trace{At: last.Time, Result: last.Result}
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("what rollouts have left on workloads: %w", err)
	}
	return traces, nil
}

// eachOf reads workloads, and gives each, nil for one that is gone, or what the API server
// answers about that one. The error is about all of them.
func (c *cluster) eachOf(ctx context.Context, workloads []inventory.WorkloadRef, give func(inventory.WorkloadRef, *unstructured.Unstructured, error)) error {
	steps := make([]Step, len(workloads))
	for i, ref := range workloads {
		steps[i] = Step{Item: report.Item{Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name}, Result: report.Planned}
	}
	objects := newObjects(c, steps)
	for _, ref := range workloads {
		object, err := objects.get(ctx, ref)
		switch {
		case apierrors.IsNotFound(err):
			give(ref, nil, nil)
		case err != nil && ends(ctx, err):
			return fmt.Errorf("%s: %w", ref, err)
		default:
			give(ref, object, err)
		}
	}
	return nil
}
