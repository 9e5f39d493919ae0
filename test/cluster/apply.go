package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

// objects reaches the resource of any object.
type objects struct {
	mapper *restmapper.DeferredDiscoveryRESTMapper
	client dynamic.Interface
}

func newObjects(config *rest.Config, client kubernetes.Interface) (objects, error) {
	config = rest.CopyConfig(config)
	config.WarningHandler = rest.NoWarnings{}
	ofAny, err := dynamic.NewForConfig(config)
	if err != nil {
		return objects{}, err
	}
	return objects{restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client.Discovery())), ofAny}, nil
}

// Apply creates or updates the objects of a YAML or JSON stream, server-side, as
// `kubectl apply --server-side --force-conflicts` does: fields that the API server does
// not know are refused, and an object that cannot be applied keeps none behind it from
// it. kubectl, a program of its own that first reads the API's whole schema, takes many
// times as much of the processors.
func (c *Cluster) Apply(ctx context.Context, manifests string) error {
	objects, err := Objects(manifests)
	if err != nil {
		return fmt.Errorf("apply: %w", err)
	}
	var errs []error
	for _, object := range objects {
		if object.IsList() {
			errs = append(errs, object.EachListItem(func(item runtime.Object) error {
				return c.apply(ctx, item.(*unstructured.Unstructured))
			}))
			continue
		}
		errs = append(errs, c.apply(ctx, object))
	}
	return errors.Join(errs...)
}

func (c *Cluster) apply(ctx context.Context, object *unstructured.Unstructured) error {
	resource, err := c.Resource(object, metav1.NamespaceDefault)
	if err != nil {
		return err
	}
	body, err := json.Marshal(object.Object)
	if err != nil {
		return fmt.Errorf("apply %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	force := true
	_, err = resource.Patch(ctx, object.GetName(), types.ApplyPatchType, body, metav1.PatchOptions{
		FieldManager: "kubectl", FieldValidation: metav1.FieldValidationStrict, Force: &force,
	})
	if err != nil {
		return fmt.Errorf("apply %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	return nil
}

// Resource returns the resource of an object, of its namespace, which becomes the given
// one if it has none and needs one.
func (c *Cluster) Resource(object *unstructured.Unstructured, namespace string) (dynamic.ResourceInterface, error) {
	kind := object.GroupVersionKind()
	mapping, err := c.objects.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if meta.IsNoMatchError(err) { // it may have been defined since
		c.objects.mapper.Reset()
		mapping, err = c.objects.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	}
	if err != nil {
		return nil, fmt.Errorf("find the resource of %s %s: %w", kind.Kind, object.GetName(), err)
	}
	resource := c.objects.client.Resource(mapping.Resource)
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return resource, nil
	}
	if object.GetNamespace() == "" {
		object.SetNamespace(namespace)
	}
	return resource.Namespace(object.GetNamespace()), nil
}
