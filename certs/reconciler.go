package certs

import (
	"bytes"
	"context"
	"fmt"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	corev1apply "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// fieldManager owns what the controller writes, and so tells GitOps tools that
// the caBundle is not theirs to revert.
const fieldManager = "sidecar-drift-certs"

// reconciler makes the cluster hold what [MakePlan] says.
type reconciler struct {
	client  client.Client
	options Options
	now     func() time.Time
}

// Reconcile looks at all three objects, writes those that are not as they
// should be, and comes back when the serving certificate is due. A conflict
// with another writer is an error like any other: the next attempt starts from
// what that writer left.
func (r *reconciler) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	authority, err := r.readSecret(ctx, r.options.AuthoritySecret)
	if err != nil {
		return reconcile.Result{}, err
	}
	serving, err := r.readSecret(ctx, r.options.ServingSecret)
	if err != nil {
		return reconcile.Result{}, err
	}
	now := r.now()
	plan, err := MakePlan(authority.Data, serving.Data, r.options.Hosts, now)
	if err != nil {
		return reconcile.Result{}, err
	}
	if err := r.writeSecret(ctx, authority, plan.Authority); err != nil {
		return reconcile.Result{}, err
	}
	if err := r.writeSecret(ctx, serving, plan.Serving); err != nil {
		return reconcile.Result{}, err
	}
	if err := r.publish(ctx, plan.Trust); err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{RequeueAfter: plan.RenewAt.Sub(now)}, nil
}

// readSecret returns the Secret as the API server has it, or one with a name
// only if there is none.
func (r *reconciler) readSecret(ctx context.Context, name string) (*corev1.Secret, error) {
	secret := &corev1.Secret{}
	secret.Namespace, secret.Name = r.options.Namespace, name
	err := r.client.Get(ctx, client.ObjectKeyFromObject(secret), secret)
	if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("read Secret %s/%s: %w", secret.Namespace, name, err)
	}
	if err == nil && secret.Data == nil {
		secret.Data = SecretData{} // exists, and is empty
	}
	return secret, nil
}

// writeSecret applies the change, if there is one, to the very version of the
// Secret that it was planned from.
//
// A missing Secret is created by server-side apply too: unlike a plain create,
// RBAC can limit it to resourceNames.
func (r *reconciler) writeSecret(ctx context.Context, live *corev1.Secret, change Change) error {
	if !change.Needed() {
		return nil
	}
	secret := corev1apply.Secret(live.Name, live.Namespace).
		WithLabels(map[string]string{
			"app.kubernetes.io/name":       "sidecar-drift",
			"app.kubernetes.io/component":  "certificates",
			"app.kubernetes.io/managed-by": fieldManager,
		}).
		WithType(corev1.SecretTypeTLS).
		WithData(change.Data)
	if live.ResourceVersion != "" {
		// A Secret's type cannot be changed, and need not be.
		secret.WithResourceVersion(live.ResourceVersion).WithUID(live.UID).WithType(live.Type)
	}
	if err := r.client.Apply(ctx, secret, client.FieldOwner(fieldManager), client.ForceOwnership); err != nil {
		return fmt.Errorf("write Secret %s/%s: %w", live.Namespace, live.Name, err)
	}
	log.FromContext(ctx).Info("wrote Secret", "namespace", live.Namespace, "name", live.Name, "reason", change.Reason)
	return nil
}

// publish makes the bundle the caBundle of every webhook of the configuration,
// and changes nothing else of it. A configuration that does not exist is
// waited for: its creation wakes the controller.
func (r *reconciler) publish(ctx context.Context, trust Bundle) error {
	name := r.options.WebhookConfiguration
	logger := log.FromContext(ctx).WithValues("webhookConfiguration", name)
	configuration := &admissionregistrationv1.MutatingWebhookConfiguration{}
	err := r.client.Get(ctx, client.ObjectKey{Name: name}, configuration)
	if apierrors.IsNotFound(err) {
		logger.Info("there is no such MutatingWebhookConfiguration yet")
		return nil
	}
	if err != nil {
		return fmt.Errorf("read MutatingWebhookConfiguration %s: %w", name, err)
	}
	original := configuration.DeepCopy()
	if !setBundle(configuration, trust.PEM()) {
		return nil
	}
	patch := client.StrategicMergeFrom(original, client.MergeFromWithOptimisticLock{})
	if err := r.client.Patch(ctx, configuration, patch, client.FieldOwner(fieldManager)); err != nil {
		return fmt.Errorf("patch the caBundle of MutatingWebhookConfiguration %s: %w", name, err)
	}
	logger.Info("wrote caBundle", "certificates", len(trust))
	return nil
}

// setBundle says whether it had to change any webhook.
func setBundle(configuration *admissionregistrationv1.MutatingWebhookConfiguration, bundle []byte) (changed bool) {
	for i := range configuration.Webhooks {
		clientConfig := &configuration.Webhooks[i].ClientConfig
		if !bytes.Equal(clientConfig.CABundle, bundle) {
			clientConfig.CABundle = bundle
			changed = true
		}
	}
	return changed
}
