package policies

import (
	"context"
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
)

// mayNotLook is said where the caller may not read policies.
const mayNotLook = "Whether the cluster has other versions of these policies already may not be read: none is taken to be there."

// compare looks whether the cluster has a policy, or a binding, of the same name. A dry run has
// gone through that one: what it changes cannot be taken back, so that another version of a
// mutating one is an error, and the same one is not asked twice. What a validating one refuses
// is not known of its other version.
func (s *Set) compare(ctx context.Context, resource dynamic.ResourceInterface, object unstructured.Unstructured) error {
	stored, err := resource.Get(ctx, object.GetName(), metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case apierrors.IsForbidden(err):
		if !slices.Contains(s.notes, mayNotLook) {
			s.notes = append(s.notes, mayNotLook)
		}
		return nil
	case err != nil:
		return err
	}
	name := object.GetKind() + "/" + object.GetName()
	now, err := sayingOf(stored)
	if err != nil {
		return fmt.Errorf("%s of the cluster: %w", name, err)
	}
	then, err := sayingOf(&object)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	same := equality.Semantic.DeepEqual(now.spec, then.spec) && (!then.params || len(s.params) == 0)
	switch kind := object.GetKind(); {
	case strings.HasPrefix(kind, "Validating"):
		if !same {
			s.others = append(s.others, now.policy, then.policy)
		}
	case !same:
		return fmt.Errorf("the cluster has %s already, which answers in each dry run: that it is another, or has other parameters, cannot be previewed. Give what is to come other names if both are to be there, or preview it where the present one is not", name)
	case kind == "MutatingAdmissionPolicyBinding":
		s.policies[mutatingBindings] = slices.DeleteFunc(s.policies[mutatingBindings], func(o runtime.Object) bool { return nameOf(o) == object.GetName() })
	}
	return nil
}

// saying is what a policy or a binding says, defaults included.
type saying struct {
	spec   any
	policy string // that it is about
	params bool   // it goes by parameters
}

func sayingOf(object *unstructured.Unstructured) (saying, error) {
	typed := kinds[object.GetKind()].empty()
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, typed); err != nil {
		return saying{}, err
	}
	setDefaults(typed)
	switch o := typed.(type) {
	case *admissionregistrationv1.MutatingAdmissionPolicy:
		return saying{o.Spec, o.Name, o.Spec.ParamKind != nil}, nil
	case *admissionregistrationv1.ValidatingAdmissionPolicy:
		return saying{o.Spec, o.Name, o.Spec.ParamKind != nil}, nil
	case *admissionregistrationv1.MutatingAdmissionPolicyBinding:
		return saying{o.Spec, o.Spec.PolicyName, o.Spec.ParamRef != nil}, nil
	case *admissionregistrationv1.ValidatingAdmissionPolicyBinding:
		return saying{o.Spec, o.Spec.PolicyName, o.Spec.ParamRef != nil}, nil
	}
	return saying{}, fmt.Errorf("%T is no policy", typed)
}

// otherVersion names the policy by whose present version a Pod is refused; empty: by none.
func (s *Set) otherVersion(reason string) string {
	at := slices.IndexFunc(s.others, func(policy string) bool {
		return strings.Contains(reason, "ValidatingAdmissionPolicy '"+policy+"'")
	})
	if at < 0 {
		return ""
	}
	return s.others[at]
}
