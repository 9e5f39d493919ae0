package causes

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// managers write by turns: those of Argo CD and Flux by server-side apply, the others by
// updates.
var managers = []string{"helm", "kubectl-edit", "argocd-controller", "kustomize-controller", "kubectl-client-side-apply"}

func applies(manager string) bool {
	return manager == "argocd-controller" || manager == "kustomize-controller"
}

// resource is where an object is served.
type resource struct{ group, version, plural, kind string }

var (
	configMaps      = resource{"", "v1", "configmaps", "ConfigMap"}
	secrets         = resource{"", "v1", "secrets", "Secret"}
	namespaces      = resource{"", "v1", "namespaces", "Namespace"}
	limitRanges     = resource{"", "v1", "limitranges", "LimitRange"}
	deployments     = resource{"apps", "v1", "deployments", "Deployment"}
	statefulSets    = resource{"apps", "v1", "statefulsets", "StatefulSet"}
	configurations  = resource{"admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration"}
	policies        = resource{"admissionregistration.k8s.io", "v1", "mutatingadmissionpolicies", "MutatingAdmissionPolicy"}
	bindings        = resource{"admissionregistration.k8s.io", "v1", "mutatingadmissionpolicybindings", "MutatingAdmissionPolicyBinding"}
	proxyConfigs    = resource{"networking.istio.io", "v1beta1", "proxyconfigs", "ProxyConfig"}
	components      = resource{"dapr.io", "v1alpha1", "components", "Component"}
	instrumentation = resource{"opentelemetry.io", "v1alpha1", "instrumentations", "Instrumentation"}
	podDefaults     = resource{"kubeflow.org", "v1alpha1", "poddefaults", "PodDefault"}
	agents          = resource{"own.example.com", "v1", "agents", "Agent"}
)

func (r resource) gvr() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: r.group, Version: r.version, Resource: r.plural}
}

// fields is what of an object is written.
type fields = map[string]any

// write has a manager write fields of an object, as it does: by server-side apply, or by an
// update; what is not there is created.
func (w *world) write(ctx context.Context, manager string, r resource, namespace, name string, of fields) error {
	object := &unstructured.Unstructured{Object: of}
	object = object.DeepCopy()
	object.SetAPIVersion(schema.GroupVersion{Group: r.group, Version: r.version}.String())
	object.SetKind(r.kind)
	object.SetName(name)
	object.SetNamespace(namespace)
	client := w.dynamic.Resource(r.gvr()).Namespace(namespace)
	text, err := json.Marshal(object)
	if err != nil {
		return err
	}
	if applies(manager) {
		force := true
		_, err = client.Patch(ctx, name, types.ApplyPatchType, text, metav1.PatchOptions{FieldManager: manager, Force: &force})
		return named(err, manager, r, name)
	}
	_, err = client.Patch(ctx, name, types.MergePatchType, text, metav1.PatchOptions{FieldManager: manager})
	if apierrors.IsNotFound(err) {
		_, err = client.Create(ctx, object, metav1.CreateOptions{FieldManager: manager})
	}
	return named(err, manager, r, name)
}

// remove has a manager take fields away by an update, which leaves no trace.
func (w *world) remove(ctx context.Context, manager string, r resource, namespace, name string, patch string) error {
	_, err := w.dynamic.Resource(r.gvr()).Namespace(namespace).Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: manager})
	return named(err, manager, r, name)
}

// list has a manager write a list of an object whole.
func (w *world) jsonPatch(ctx context.Context, manager string, r resource, name, patch string) error {
	_, err := w.dynamic.Resource(r.gvr()).Patch(ctx, name, types.JSONPatchType, []byte(patch), metav1.PatchOptions{FieldManager: manager})
	return named(err, manager, r, name)
}

func (w *world) delete(ctx context.Context, r resource, namespace, name string) error {
	err := w.dynamic.Resource(r.gvr()).Namespace(namespace).Delete(ctx, name, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return named(err, "somebody", r, name)
}

func named(err error, manager string, r resource, name string) error {
	if err != nil {
		return fmt.Errorf("%s writes %s %s: %w", manager, r.kind, name, err)
	}
	return nil
}
