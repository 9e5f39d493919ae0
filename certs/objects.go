package certs

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	corev1apply "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// RotateAnnotation on the authority's Secret, with any value, asks for another
// authority. It is gone when the change has begun.
const RotateAnnotation = "sidecar-drift.io/rotate-ca"

// fieldManager owns what the controller writes, and so tells GitOps tools that
// the caBundle is not theirs to revert. creator owns the Secrets' existence.
const (
	fieldManager = "sidecar-drift-certs"
	creator      = "sidecar-drift-certs-create"
)

// By annotations with these beginnings cert-manager's controller knows the Secrets that
// it keeps, and its injector what it writes a caBundle into. Two who write the same
// objects undo each other's work for ever.
// https://cert-manager.io/docs/concepts/ca-injector/
const (
	certManagerSecret  = "cert-manager.io/certificate-name"
	certManagerInjects = "cert-manager.io/inject-"
)

// InjectedBy is the annotation that has cert-manager's injector write the caBundle of a
// webhook configuration with these; empty if none does.
func InjectedBy(annotations map[string]string) string {
	return annotated(annotations, certManagerInjects)
}

// annotated returns the first key with a beginning, if there is one.
func annotated(annotations map[string]string, beginning string) string {
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		if strings.HasPrefix(key, beginning) {
			return key
		}
	}
	return ""
}

// objects are those of the cluster.
type objects struct {
	client  client.Client
	options Options
}

func (o *objects) now() time.Time { return o.options.Now() }

func (o *objects) secret(ctx context.Context, name string) (secret, error) {
	object := &corev1.Secret{}
	err := o.client.Get(ctx, client.ObjectKey{Namespace: o.options.Namespace, Name: name}, object)
	if apierrors.IsNotFound(err) {
		return secret{}, nil
	}
	if err != nil {
		return secret{}, fmt.Errorf("read Secret %s/%s: %w", o.options.Namespace, name, err)
	}
	read := secret{version: object.ResourceVersion, data: object.Data}
	if read.data == nil {
		read.data = SecretData{} // exists, and is empty
	}
	_, read.requested = object.Annotations[RotateAnnotation]
	read.foreign = annotated(object.Annotations, certManagerSecret)
	return read, nil
}

// reserve applies, without force and as another manager than the one that
// writes content: so it conflicts with content. A plain create would do, but
// RBAC cannot limit it to resourceNames.
func (o *objects) reserve(ctx context.Context, name string) error {
	object := corev1apply.Secret(name, o.options.Namespace).
		WithLabels(map[string]string{
			"app.kubernetes.io/name":       "sidecar-drift",
			"app.kubernetes.io/component":  "certificates",
			"app.kubernetes.io/managed-by": fieldManager,
		}).
		WithType(corev1.SecretTypeTLS).
		WithData(SecretData{corev1.TLSCertKey: {}, corev1.TLSPrivateKeyKey: {}})
	if err := o.client.Apply(ctx, object, client.FieldOwner(creator)); err != nil {
		return fmt.Errorf("create Secret %s/%s: %w", o.options.Namespace, name, err)
	}
	return nil
}

func (o *objects) writeSecret(ctx context.Context, name string, read secret, change change) error {
	metadata := map[string]any{"resourceVersion": read.version}
	if change.answers {
		metadata["annotations"] = map[string]any{RotateAnnotation: nil}
	}
	object := &corev1.Secret{}
	object.Namespace, object.Name = o.options.Namespace, name
	if err := o.patch(ctx, object, types.MergePatchType, map[string]any{"metadata": metadata, "data": change.data}); err != nil {
		return fmt.Errorf("write Secret %s/%s: %w", o.options.Namespace, name, err)
	}
	return nil
}

func (o *objects) configuration(ctx context.Context) (configuration, error) {
	object := &admissionregistrationv1.MutatingWebhookConfiguration{}
	err := o.client.Get(ctx, client.ObjectKey{Name: o.options.WebhookConfiguration}, object)
	if apierrors.IsNotFound(err) {
		return configuration{}, nil // its creation wakes the controller
	}
	if err != nil {
		return configuration{}, fmt.Errorf("read MutatingWebhookConfiguration %s: %w", o.options.WebhookConfiguration, err)
	}
	read := configuration{uid: string(object.UID), version: object.ResourceVersion, generation: object.Generation}
	read.foreign = InjectedBy(object.Annotations)
	for _, hook := range object.Webhooks {
		read.webhooks = append(read.webhooks, webhook{hook.Name, hook.ClientConfig.CABundle})
	}
	return read, nil
}

// writeBundle changes the caBundles, and nothing else of the configuration.
func (o *objects) writeBundle(ctx context.Context, read configuration, trust Bundle) error {
	var webhooks []any
	for _, hook := range read.webhooks {
		webhooks = append(webhooks, map[string]any{"name": hook.name, "clientConfig": map[string]any{"caBundle": trust.PEM()}})
	}
	object := &admissionregistrationv1.MutatingWebhookConfiguration{}
	object.Name = o.options.WebhookConfiguration
	err := o.patch(ctx, object, types.StrategicMergePatchType, map[string]any{
		"metadata": map[string]any{"resourceVersion": read.version},
		"webhooks": webhooks,
	})
	if err != nil {
		return fmt.Errorf("write the caBundle of MutatingWebhookConfiguration %s: %w", object.Name, err)
	}
	return nil
}

func (o *objects) patch(ctx context.Context, object client.Object, kind types.PatchType, content map[string]any) error {
	text, err := json.Marshal(content)
	if err != nil {
		return err
	}
	return o.client.Patch(ctx, object, client.RawPatch(kind, text), client.FieldOwner(fieldManager))
}
