package policies

import (
	"context"
	"errors"
	"sync"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/kubernetes"
)

// reviewer answers what policies ask the authorizer, by SubjectAccessReviews.
type reviewer struct{ client kubernetes.Interface }

func newReviewer(client kubernetes.Interface) *reviewer { return &reviewer{client} }

// unanswered is why a question of one evaluation could not be answered.
type unanswered struct {
	mu  sync.Mutex
	err error
}

type unansweredKey struct{}

// withReviews returns a context whose evaluation tells afterwards what it could not ask.
func withReviews(ctx context.Context) (context.Context, func() error) {
	u := &unanswered{}
	return context.WithValue(ctx, unansweredKey{}, u), func() error {
		u.mu.Lock()
		defer u.mu.Unlock()
		return u.err
	}
}

// unknowable takes down that something was not answered.
func unknowable(ctx context.Context, err error) {
	if u, ok := ctx.Value(unansweredKey{}).(*unanswered); ok {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.err = err
	}
}

// Authorize is authorizer.UnconditionalAuthorizer's.
func (r *reviewer) Authorize(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: a.GetUser().GetName(), UID: a.GetUser().GetUID(), Groups: a.GetUser().GetGroups(),
	}}
	if a.IsResourceRequest() {
		fields, err1 := a.GetFieldSelector()
		labels, err2 := a.GetLabelSelector()
		err := errors.Join(err1, err2)
		if len(fields)+len(labels) > 0 { // without these it would be another question
			err = errors.New("who may do what to objects of a selector")
		}
		if err != nil {
			unknowable(ctx, err)
			return authorizer.DecisionNoOpinion, "", err
		}
		review.Spec.ResourceAttributes = &authorizationv1.ResourceAttributes{
			Namespace: a.GetNamespace(), Verb: a.GetVerb(), Group: a.GetAPIGroup(), Version: a.GetAPIVersion(),
			Resource: a.GetResource(), Subresource: a.GetSubresource(), Name: a.GetName(),
		}
	} else {
		review.Spec.NonResourceAttributes = &authorizationv1.NonResourceAttributes{Path: a.GetPath(), Verb: a.GetVerb()}
	}
	answer, err := r.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		unknowable(ctx, err)
		return authorizer.DecisionNoOpinion, "", err
	}
	switch {
	case answer.Status.Allowed:
		return authorizer.DecisionAllow, answer.Status.Reason, nil
	case answer.Status.Denied:
		return authorizer.DecisionDeny, answer.Status.Reason, nil
	}
	return authorizer.DecisionNoOpinion, answer.Status.Reason, nil
}
