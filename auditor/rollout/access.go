package rollout

import (
	"context"
	"fmt"
	"sync"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
)

// access asks, before anything is touched, whether this identity may do what a
// rollout needs. Each question is asked once.
type access struct {
	cluster *cluster
	answers sync.Map // authorizationv1.ResourceAttributes → func() (bool, error)
}

func newAccess(c *cluster) *access { return &access{cluster: c} }

// denied says what the identity may not do that the workload's rollout needs;
// empty if it may do all of it.
func (a *access) denied(ctx context.Context, ref inventory.WorkloadRef, strategy Strategy) (string, error) {
	if strategy == Resize {
		return a.lacking(ctx, resizeRight(ref.Namespace))
	}
	resource := resourceOf(ref.Kind)
	needed := []authorizationv1.ResourceAttributes{{
		Namespace: ref.Namespace, Verb: "patch",
		Group: resource.Group, Version: resource.Version, Resource: resource.Resource,
	}}
	if strategy == Evict {
		needed = append(needed, authorizationv1.ResourceAttributes{
			Namespace: ref.Namespace, Verb: "create", Version: "v1", Resource: "pods", Subresource: "eviction",
		})
	}
	return a.lacking(ctx, needed...)
}

// lacking says which of the rights the identity does not have.
func (a *access) lacking(ctx context.Context, needed ...authorizationv1.ResourceAttributes) (string, error) {
	for _, n := range needed {
		allowed, err := a.may(ctx, n)
		if err != nil {
			return "", err
		}
		if !allowed {
			return fmt.Sprintf("you may not %s %s in namespace %s: %s", n.Verb, resourceName(n), n.Namespace, inventory.RollOutAsFenced), nil
		}
	}
	return "", nil
}

func resourceName(a authorizationv1.ResourceAttributes) string {
	name := a.Resource
	if a.Group != "" {
		name += "." + a.Group
	}
	if a.Subresource != "" {
		name += "/" + a.Subresource
	}
	return name
}

// may asks first for all namespaces: whoever may everywhere is asked about once.
// Where that has no answer, the namespace's own counts.
func (a *access) may(ctx context.Context, attributes authorizationv1.ResourceAttributes) (bool, error) {
	everywhere := attributes
	everywhere.Namespace = metav1.NamespaceAll
	if allowed, err := a.ask(ctx, everywhere); err == nil && allowed {
		return true, nil
	}
	return a.ask(ctx, attributes)
}

func (a *access) ask(ctx context.Context, attributes authorizationv1.ResourceAttributes) (bool, error) {
	answer, _ := a.answers.LoadOrStore(attributes, sync.OnceValues(func() (bool, error) {
		review := &authorizationv1.SelfSubjectAccessReview{
			Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &attributes},
		}
		review, err := a.cluster.objects.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		if err != nil {
			return false, fmt.Errorf("ask whether you may %s %s: %w", attributes.Verb, resourceName(attributes), err)
		}
		return review.Status.Allowed, nil
	}))
	return answer.(func() (bool, error))()
}
