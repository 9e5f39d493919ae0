package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
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
	return c.each(manifests, func(object *unstructured.Unstructured, resource dynamic.ResourceInterface) error {
		if err := apply(ctx, object, resource); err != nil {
			return fmt.Errorf("apply %s %s: %w", object.GetKind(), object.GetName(), err)
		}
		return nil
	})
}

// Delete deletes those objects of a YAML or JSON stream that are there, and does not wait for
// what finalizers keep.
func (c *Cluster) Delete(ctx context.Context, manifests string) error {
	return c.each(manifests, func(object *unstructured.Unstructured, resource dynamic.ResourceInterface) error {
		background := metav1.DeletePropagationBackground
		err := resource.Delete(ctx, object.GetName(), metav1.DeleteOptions{PropagationPolicy: &background})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("delete %s %s: %w", object.GetKind(), object.GetName(), err)
		}
		return nil
	})
}

// each does something with every object of a stream, those of lists one by one.
func (c *Cluster) each(manifests string, do func(*unstructured.Unstructured, dynamic.ResourceInterface) error) error {
	objects, err := Objects(manifests)
	if err != nil {
		return err
	}
	one := func(object runtime.Object) error {
		of := object.(*unstructured.Unstructured)
		resource, err := c.Resource(of, metav1.NamespaceDefault)
		if err != nil {
			return err
		}
		return do(of, resource)
	}
	var errs []error
	for _, object := range objects {
		if object.IsList() {
			errs = append(errs, object.EachListItem(one))
		} else {
			errs = append(errs, one(object))
		}
	}
	return errors.Join(errs...)
}

func apply(ctx context.Context, object *unstructured.Unstructured, resource dynamic.ResourceInterface) error {
	body, err := json.Marshal(object.Object)
	if err != nil {
		return err
	}
	force := true
	_, err = resource.Patch(ctx, object.GetName(), types.ApplyPatchType, body, metav1.PatchOptions{
		FieldManager: "kubectl", FieldValidation: metav1.FieldValidationStrict, Force: &force,
	})
	return err
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
