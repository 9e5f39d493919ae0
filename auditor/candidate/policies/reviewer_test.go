package policies

import (
	"context"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"
)

// What cannot be asked as the policy asks it is not answered as something else.
func TestSelectorsAreNotLeftOut(t *testing.T) {
	client := fake.NewClientset()
	client.PrependReactor("create", "subjectaccessreviews", func(ktesting.Action) (bool, runtime.Object, error) {
		return true, &authorizationv1.SubjectAccessReview{}, nil
	})
	for name, selector := range map[string]fields.Requirements{"none": nil, "a field": {{Field: "spec.nodeName", Operator: "=", Value: "one"}}} {
		ctx, unanswered := withReviews(context.Background())
		client.ClearActions()
		_, _, _ = newReviewer(client).Authorize(ctx, authorizer.AttributesRecord{
			User: &user.DefaultInfo{Name: "somebody"}, Verb: "list", Resource: "pods", ResourceRequest: true, FieldSelectorRequirements: selector,
		})
		if asked := len(client.Actions()) > 0; asked != (selector == nil) || (unanswered() == nil) != (selector == nil) {
			t.Errorf("%s: asked %t, %v", name, asked, unanswered())
		}
	}
}
